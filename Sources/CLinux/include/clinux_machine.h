/*
 * What a machine is asked about itself: calls libc does not show, or only through files that cost more to read.
 */
#ifndef MIS_CLINUX_MACHINE_H
#define MIS_CLINUX_MACHINE_H

#include <stdint.h>

/* capget(2) of the calling thread. */
int clinux_capability_sets(uint64_t *_Nonnull effective, uint64_t *_Nonnull permitted);
/* Whether the kernel knows capability `number`. */
int clinux_capability_known(unsigned number);
/* seccomp(SECCOMP_GET_ACTION_AVAIL): 0, or -1 with EOPNOTSUPP. */
int clinux_seccomp_action_available(uint32_t action);
/* lsm_list_modules(2), Linux 6.8: LSM_ID_* in their order. Returns how many, or -1. */
int clinux_security_modules(uint64_t *_Nonnull identifiers, unsigned capacity);
/* Processors this process may run on. */
int clinux_processors(void);
/* Whether the kernel started this program with more rights than its caller had (set-uid, file capabilities). */
int clinux_is_privileged_execution(void);

enum clinux_trial {
    clinux_trial_done = 0,
    clinux_trial_process = 1,   /* no process could be made for the trial */
    clinux_trial_namespace = 2, /* unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) */
    clinux_trial_mount = 3,     /* mount(2) inside */
    clinux_trial_proc = 4,      /* a fresh /proc inside */
};

/* Makes a user namespace in a short-lived process and uses its rights, as a launch without root would. Returns the
 * stage that failed, and its errno. */
int clinux_try_user_namespace(int *_Nonnull error);

/* Loads an LSM program that allows everything, and takes it away unattached. 0, or -1: ENOENT when the kernel's type
 * information has no such hook. */
int clinux_try_lsm_program(void);

#endif
