/*
 * What the sandbox's init and the supervisor say to each other, and the descriptors the init starts with.
 * Included by the init (no libc), the set-up child and, through the module map, by Swift.
 */
#ifndef MIS_INIT_PROTOCOL_H
#define MIS_INIT_PROTOCOL_H

#include <stdint.h>

/* Descriptors of the init; everything above is closed. The agent inherits 0, 1, 2 and, when asked for, reasoning. */
enum {
    mis_fd_reasoning = 3,
    mis_fd_status = 4,
    mis_fd_terminal = 5,
};

/* argv[1] of the init: one letter an option. */
#define MIS_INIT_TERMINAL 't'  /* mis_fd_terminal is to become the controlling terminal */
#define MIS_INIT_REASONING 'r' /* mis_fd_reasoning is open and stays so for the agent */

/* One message, init to supervisor, over a SOCK_SEQPACKET pair. */
struct mis_init_message {
    uint32_t kind; /* enum mis_init_kind */
    int32_t value; /* errno, signal or wait status, by kind */
};

enum mis_init_kind {
    mis_init_ready = 1,       /* set-up is over, the init runs; value 0 */
    mis_init_exec_failed = 2, /* the command could not be executed; value: errno */
    mis_init_stopped = 3,     /* the agent was stopped; value: the signal */
    mis_init_continued = 4,   /* the agent goes on */
    mis_init_ended = 5,       /* the agent is gone; value: its wait status */
    mis_init_prepared = 6,    /* the set-up child waits for the launcher; what it had to hand over was sent before */
};

_Static_assert(sizeof(struct mis_init_message) == 8, "the message's layout is part of the protocol");

#endif
