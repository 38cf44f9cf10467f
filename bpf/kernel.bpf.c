// The kernel's own interfaces: nothing inside talks to them.
#include "events.h"

// Programs, maps and pins of bpf include these very ones (C113, and invariant 8).
SEC("lsm/bpf")
int BPF_PROG(bpf_call, int command) {
    return refuse_inside(ARBITER_OP_BPF, command, 0);
}

SEC("lsm/perf_event_open")
int BPF_PROG(perf_event_open) {
    return refuse_inside(ARBITER_OP_PERF, 0, 0);
}

// A module loaded by request of a sandbox is new kernel code of the sandbox's choice (C100, C105).
SEC("lsm/kernel_module_request")
int BPF_PROG(kernel_module_request) {
    return refuse_inside(ARBITER_OP_MODULE, 0, 0);
}

SEC("lsm/kernel_read_file")
int BPF_PROG(kernel_read_file, struct file *file, int kind) {
    return refuse_inside(ARBITER_OP_KERNEL_READ, kind, 0);
}

SEC("lsm/kernel_load_data")
int BPF_PROG(kernel_load_data, int kind) {
    return refuse_inside(ARBITER_OP_KERNEL_READ, kind, 0);
}

// What a locked-down kernel refuses everybody, a sandbox is refused on any kernel: /dev/mem, kcore, kexec, tracing.
SEC("lsm/locked_down")
int BPF_PROG(locked_down, int reason) {
    return refuse_inside(ARBITER_OP_LOCKDOWN, reason, 0);
}

// Keyrings follow the user, not the sandbox: what is in them is others' (C082).
SEC("lsm/key_alloc")
int BPF_PROG(key_alloc) {
    return refuse_inside(ARBITER_OP_KEY, 0, 0);
}

SEC("lsm/key_permission")
int BPF_PROG(key_permission) {
    return refuse_inside(ARBITER_OP_KEY, 1, 0);
}

SEC("lsm/syslog")
int BPF_PROG(syslog_call, int type) {
    return refuse_inside(ARBITER_OP_SYSLOG, type, 0);
}

SEC("lsm/settime")
int BPF_PROG(settime) {
    return refuse_inside(ARBITER_OP_CLOCK, 0, 0);
}

SEC("lsm/quotactl")
int BPF_PROG(quotactl, int command) {
    return refuse_inside(ARBITER_OP_QUOTA, command, 0);
}

// userfaultfd stretches the windows of races (C025, C094), io_uring does work no syscall filter sees (C044). Both are
// anonymous inodes with a name of their own; both hooks below exist since before 6.1.
SEC("lsm/inode_init_security_anon")
int BPF_PROG(inode_init_security_anon, struct inode *inode, const struct qstr *name) {
    if (!caller_cgroup())
        return 0;
    char text[16] = {};
    const unsigned char *at = 0;
    READ(at, name->name);
    bpf_probe_read_kernel_str(text, sizeof(text), at);
    if (text[0] != '[')
        return 0;
    if (text[1] == 'u' && text[2] == 's' && text[3] == 'e' && text[4] == 'r' && text[5] == 'f')
        return refuse_inside(ARBITER_OP_USERFAULTFD, 0, 0);
    if (text[1] == 'i' && text[2] == 'o' && text[3] == '_' && text[4] == 'u')
        return refuse_inside(ARBITER_OP_IO_URING, 0, ARBITER_ALLOW_IO_URING);
    return 0;
}

// Since 6.16; says no before any of it is made.
SEC("?lsm/uring_allowed")
int BPF_PROG(uring_allowed) {
    return refuse_inside(ARBITER_OP_IO_URING, 1, ARBITER_ALLOW_IO_URING);
}
