/* Writes a container-like seccomp allow-list to standard output, as struct sock_filter: what bwrap --seccomp reads, so
 * that bwrap is measured with a filter of the same kind and size as mis's. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

/* What a container may not call: everything else the kernel has up to pidfd and Landlock calls is let through. */
static const char *const refused[] = {
    "acct",
    "add_key",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_mempolicy",
    "init_module",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_load",
    "kexec_file_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
    "chroot",
    "syslog",
    "uselib",
    "ustat",
    "sysfs",
};

static int is_refused(const char *name) {
    for (size_t index = 0; index < sizeof refused / sizeof *refused; index++)
        if (strcmp(refused[index], name) == 0)
            return 1;
    return 0;
}

int main(void) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return 1;
    /* Level 2: the calls as a binary tree, the shape of a filter made with care. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (int number = 0; number < 470; number++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        if (!name || is_refused(name))
            continue;
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) < 0)
            return 1;
    }
    return seccomp_export_bpf(filter, fileno(stdout)) < 0;
}
