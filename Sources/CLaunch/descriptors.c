/*
 * The set-up child's descriptors: those it hands over and receives, and those the sandbox's init begins with.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "setup.h"

/* A message with one descriptor. It points into itself, so it stays where it was prepared. */
struct parcel {
    struct mis_sent_descriptor body;
    struct iovec part;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control;
    struct msghdr message;
};

static void prepare(struct parcel *parcel, uint32_t what) {
    *parcel = (struct parcel){.body = {what}};
    parcel->part = (struct iovec){&parcel->body, sizeof parcel->body};
    parcel->message = (struct msghdr){.msg_iov = &parcel->part,
                                      .msg_iovlen = 1,
                                      .msg_control = parcel->control.bytes,
                                      .msg_controllen = sizeof parcel->control.bytes};
}

long mis_send_descriptor(struct state *state, const struct mis_step *step) {
    struct parcel parcel;
    prepare(&parcel, (uint32_t)step->number);
    struct cmsghdr *header = &parcel.control.header;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)(void *)CMSG_DATA(header) = place(state, step->slot);
    long sent =
        attempt(state, SYS_sendmsg, raw3(SYS_sendmsg, state->setup->descriptor_socket, &parcel.message, MSG_NOSIGNAL));
    return sent < 0 ? sent : 0;
}

long mis_receive_descriptor(struct state *state, const struct mis_step *step) {
    struct parcel parcel;
    prepare(&parcel, 0);
    /* Waits: the launcher makes it while the steps before this one are taken. When it dies, so does this process. */
    long size = attempt(state, SYS_recvmsg,
                        raw3(SYS_recvmsg, state->setup->descriptor_socket, &parcel.message, MSG_CMSG_CLOEXEC));
    if (size < 0)
        return size;
    struct cmsghdr *header = &parcel.control.header;
    if (parcel.message.msg_controllen < CMSG_LEN(sizeof(int)) || header->cmsg_type != SCM_RIGHTS)
        return -ENOMSG;
    keep(state, (int32_t)step->number, *(int *)(void *)CMSG_DATA(header));
    return 0;
}

static int resolve_descriptor(const struct state *state, int32_t number) {
    return number < 0 ? place(state, ~number) : number;
}

enum { execution_target_count = mis_fd_terminal + 1 };

/* The numbers that the init's descriptors have now, by those they get; -1 for none. Its image is last. */
static void execution_sources(const struct state *state, const struct mis_execution *execution, int *sources) {
    const int32_t wanted[] = {execution->stdio[0], execution->stdio[1], execution->stdio[2], execution->reasoning,
                              execution->status,   execution->terminal, execution->image};
    for (int target = 0; target <= execution_target_count; target++)
        sources[target] = wanted[target] == INT32_MIN ? -1 : resolve_descriptor(state, wanted[target]);
}

/* Closes everything but these. The launcher's descriptors, of which tier bpf has hundreds, would else leave no number
 * free below a small limit on open files. */
static long close_all_but(struct state *state, const int *kept, int count) {
    unsigned from = 0;
    for (;;) {
        unsigned next = ~0u;
        for (int i = 0; i < count; i++)
            if (kept[i] >= 0 && (unsigned)kept[i] >= from && (unsigned)kept[i] < next)
                next = (unsigned)kept[i];
        if (next > from) {
            long result =
                attempt(state, SYS_close_range, raw3(SYS_close_range, from, next == ~0u ? next : next - 1, 0));
            if (result < 0)
                return result;
        }
        if (next == ~0u)
            return 0;
        from = next + 1;
    }
}

long mis_close_others(struct state *state, const struct mis_step *step) {
    int kept[execution_target_count + 1];
    execution_sources(state, step->data, kept);
    return close_all_but(state, kept, execution_target_count + 1);
}

long mis_execute(struct state *state, const struct mis_step *step) {
    const struct mis_execution *execution = step->data;
    enum { count = execution_target_count, image_target = count };
    int sources[count + 1];
    execution_sources(state, execution, sources);
    /* Two passes: a source may have the number of another's target. */
    int lifted[count + 1];
    for (int target = 0; target <= count; target++) {
        lifted[target] = -1;
        if (sources[target] < 0)
            continue;
        long fd = attempt(state, SYS_fcntl, raw3(SYS_fcntl, sources[target], F_DUPFD_CLOEXEC, count + 1));
        if (fd < 0)
            return fd;
        lifted[target] = (int)fd;
    }
    for (int target = 0; target <= count; target++) {
        long result = lifted[target] < 0
                          ? (raw1(SYS_close, target), 0)
                          : attempt(state, SYS_dup3,
                                    raw3(SYS_dup3, lifted[target], target, target == image_target ? O_CLOEXEC : 0));
        if (result < 0)
            return result;
    }
    long result = attempt(state, SYS_close_range, raw3(SYS_close_range, count + 1, ~0u, 0));
    if (result < 0)
        return result;
    return attempt(state, SYS_execveat,
                   raw5(SYS_execveat, image_target, "", execution->arguments, execution->environment, AT_EMPTY_PATH));
}
