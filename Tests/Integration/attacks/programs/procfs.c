/* Class E: /proc, /sys and control files. Nothing of the machine is changed: a file that opens for writing is enough.
 */
#include "attack.h"

static void processes(void) {
    DIR *folder = opendir("/proc");
    long listed = -1, line = -1, environment = -1, honest = -1;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (atol(entry->d_name) <= 0)
            continue;
        const char *process = in("/proc", entry->d_name);
        if (atol(entry->d_name) == getpid())
            honest = 0;
        else if (holds(in(process, "comm"), "mis-neighbour") == 0) {
            listed = 0;
            line = line && holds(in(process, "cmdline"), argument("token"));
            environment = environment && holds(in(process, "environ"), argument("token"));
        }
    }
    errno = ESRCH;
    step("neighbour listed", listed);
    step("neighbour's command line", line);
    step("neighbour's environment", environment);
    near("own process listed", honest);
    near("own status", read_some("/proc/self/status"));
}

static void sysctls(void) {
    static const char *const names[] = {"kernel/core_pattern",
                                        "kernel/modprobe",
                                        "kernel/hotplug",
                                        "kernel/sysrq",
                                        "vm/overcommit_memory",
                                        "vm/drop_caches",
                                        "fs/file-max",
                                        "net/ipv4/ip_forward",
                                        "user/max_user_namespaces",
                                        "user/max_mnt_namespaces",
                                        "kernel/ns_last_pid",
                                        "kernel/shmmax",
                                        "kernel/randomize_va_space",
                                        "net/ipv4/ping_group_range",
                                        "kernel/hostname",
                                        "fs/protected_hardlinks"};
    for (size_t each = 0; each < sizeof names / sizeof *names; each++) {
        const char *path = in("/proc/sys", names[each]);
        if (access(path, F_OK) == 0)
            step(names[each], open_to_write(path));
    }
    near("read ostype", read_some("/proc/sys/kernel/ostype"));
    near("read random uuid", read_some("/proc/sys/kernel/random/uuid"));
}

static void controls(void) {
    step("sysrq-trigger", open_to_write("/proc/sysrq-trigger"));
    step("irq", open_to_write("/proc/irq/default_smp_affinity"));
    static const char *const names[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sys/kernel"};
    for (size_t each = 0; each < sizeof names / sizeof *names; each++)
        step(names[each], utimensat(AT_FDCWD, names[each], NULL, 0));
    step("mtrr", close_if_open(open("/proc/mtrr", O_RDWR)));
    near("uptime", read_some("/proc/uptime"));
}

/* What tells about the host: readable with content is an escape. An absent file is none of the kernel's here. */
static void secrets_of(const char *const names[], size_t count) {
    for (size_t each = 0; each < count; each++) {
        if (getuid() == 0 && access(names[each], F_OK)) {
            print("note %s: not in this kernel\n", names[each]);
            continue;
        }
        long size = read_some(names[each]);
        struct stat about;
        if (size >= 0 && stat(names[each], &about) == 0 && S_ISDIR(about.st_mode)) {
            /* "." and ".." only: an empty folder. */
            DIR *folder = opendir(names[each]);
            long entries = 0;
            while (folder && readdir(folder))
                entries++;
            size = entries > 2 ? 1 : 0;
        }
        if (size == 0) {
            errno = ENODATA;
            size = -1;
        }
        step(names[each], size);
    }
}

static void masked(void) {
    static const char *const names[] = {
        "/proc/kcore",       "/proc/kallsyms",      "/proc/keys",         "/proc/key-users",  "/proc/timer_list",
        "/proc/slabinfo",    "/proc/vmallocinfo",   "/proc/pagetypeinfo", "/proc/kpagecount", "/proc/kpageflags",
        "/proc/sched_debug", "/proc/latency_stats", "/proc/acpi",         "/proc/asound",     "/proc/scsi",
        "/proc/driver",      "/proc/modules",       "/proc/pressure/cpu"};
    secrets_of(names, sizeof names / sizeof *names);
    /* Reading it would take lines away from the machine's own reader. */
    int log = open("/proc/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct statfs system = {0};
    if (log >= 0) {
        fstatfs(log, &system);
        errno = ENODATA;
    }
    step("kmsg", system.f_type == 0x9fa0 ? 0 : -1);
    near("cpuinfo", read_some("/proc/cpuinfo"));
    near("meminfo", read_some("/proc/meminfo"));
}

static void side_channels(void) {
    static const char *const names[] = {"/proc/interrupts", "/proc/softirqs", "/proc/zoneinfo", "/sys/class/powercap",
                                        "/sys/devices/virtual/powercap"};
    secrets_of(names, sizeof names / sizeof *names);
    near("loadavg", read_some("/proc/loadavg"));
}

static void sysfs(void) {
    static const char *const names[] = {"/sys/kernel",          "/sys/kernel/debug", "/sys/kernel/tracing",
                                        "/sys/kernel/security", "/sys/fs/bpf",       "/sys/fs/cgroup",
                                        "/sys/firmware",        "/sys/module",       "/sys/class/net",
                                        "/sys/kernel/slab",     "/sys/power"};
    secrets_of(names, sizeof names / sizeof *names);
    step("uevent helper", open_to_write("/sys/kernel/uevent_helper"));
    step("module parameter", open_to_write("/sys/module/printk/parameters/time"));
    near("proc", read_some("/proc/filesystems"));
}

static void own_limits(void) {
    step("lower oom_score_adj", write_text("/proc/self/oom_score_adj", "-900"));
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    struct rlimit more = {files.rlim_max + 1, files.rlim_max + 1};
    step("raise open files", setrlimit(RLIMIT_NOFILE, &more));
    struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY}, now;
    getrlimit(RLIMIT_CORE, &now);
    step("raise core size", now.rlim_max == RLIM_INFINITY ? 0 : setrlimit(RLIMIT_CORE, &core));
    step("negative nice", setpriority(PRIO_PROCESS, 0, -5));
    step("limits of pid 1", syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, &(struct rlimit){64, 64}, NULL));
    step("oom_score_adj of pid 1", open_to_write("/proc/1/oom_score_adj"));
    near("raise oom_score_adj", write_text("/proc/self/oom_score_adj", "900"));
    near("lower open files", setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}));
}

static void id_maps(void) {
    step("uid_map", write_text("/proc/self/uid_map", "0 0 1"));
    step("gid_map", write_text("/proc/self/gid_map", "0 0 1"));
    step("setgroups", write_text("/proc/self/setgroups", "allow"));
    step("projid_map", write_text("/proc/self/projid_map", "0 0 1"));
    step("uid_map of pid 1", write_text("/proc/1/uid_map", "0 0 1"));
    near("read uid_map", read_some("/proc/self/uid_map"));
}

static void nested_proc(void) {
    const char *target = argument("mountpoint");
    step("mount proc", mount("none", target, "proc", 0, NULL));
    step("sysctl through it", open_to_write(in(target, "sys/kernel/core_pattern")));
    umount2(target, MNT_DETACH);
    step("fsopen proc", close_if_open(syscall(SYS_fsopen, "proc", 0)));
    near("own proc", read_some("/proc/self/status"));
}

ATTACKS({"C063", processes}, {"C064", sysctls}, {"C065", controls}, {"C066", masked}, {"C067", side_channels},
        {"C068", sysfs}, {"C069", own_limits}, {"C070", id_maps}, {"C071", nested_proc})
