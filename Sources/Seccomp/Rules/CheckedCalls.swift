/// Calls that are fine with some arguments only.
let checkedCalls: [SyscallGroup] = [
    SyscallGroup(
        "new processes, but no new namespaces: nested allows those in which it can still not mount",
        .choose(Word(0), [.init(.anyBit(CloneFlag.all), .refuse)], otherwise: .allow),
        nested: .choose(Word(0), [.init(.anyBit(CloneFlag.cgroup), .refuse)], otherwise: .allow),
        "clone"),
    SyscallGroup(
        "leaving shared namespaces: for nested sandboxes only, cgroup and time namespaces never",
        .refuse,
        nested: .choose(Word(0), [.init(.anyBit(CloneFlag.cgroup | CloneFlag.time), .refuse)], otherwise: .allow),
        "unshare"),
    SyscallGroup(
        "a nested sandbox joins and empties what it made itself; the host's namespaces are not visible",
        .refuse, nested: .allow, counts: true,
        "setns"),
    SyscallGroup(
        "needs a capability over a namespace of its own, so useless unless nested",
        .refuse, nested: .allow,
        "chroot"),
    SyscallGroup(
        "typing into a terminal (TIOCSTI), pasting into a console (TIOCLINUX), loading line disciplines (TIOCSETD)",
        .choose(1, in: [0x5412, 0x541C, 0x5423], .refuse, otherwise: .allow), counts: true,
        "ioctl"),
    SyscallGroup(
        "families and protocols programs use; the others are where kernel bugs live (AF_ALG, AF_VSOCK, SCTP, RDS...)",
        socketDecision,
        "socket"),
    SyscallGroup(
        "pairs of AF_UNIX; TIPC has them too",
        .choose(0, in: [SocketFamily.unix], .allow, otherwise: .refuse),
        "socketpair"),
    SyscallGroup(
        "options that put other code into a socket's path: ESP in UDP and TCP, IPsec policies, packet filter tables",
        setsockoptDecision, counts: true,
        "setsockopt"),
    SyscallGroup(
        "its own settings; not the layout the kernel shows of it, nor rights; unknown options as on a kernel without",
        prctlDecision,
        "prctl"),
    SyscallGroup(
        "PER_LINUX, UNAME26, PER_LINUX32 and asking; READ_IMPLIES_EXEC and ADDR_NO_RANDOMIZE undo hardening",
        .choose(0, in: [0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF], .allow, otherwise: .refuse),
        "personality"),
    SyscallGroup(
        "limits of its own; pid 1 is the sandbox's init, and has the agent's uid",
        .choose(0, in: [1], .answer(Errno.notPermitted), otherwise: .allow),
        "prlimit64"),
    SyscallGroup(
        "thread pointers, AMX permission, address tags, shadow stacks; glibc probes others at every start",
        .choose(
            Word(0),
            [
                .init(.atMost(0x1000), .answer(Errno.notPermitted)),
                .init(.atMost(0x1004), .allow),
                .init(.atMost(0x1020), .answer(Errno.notPermitted)),
                .init(.atMost(0x1023), .allow),
                .init(.atMost(0x4000), .answer(Errno.notPermitted)),
                .init(.atMost(0x4003), .allow),
                .init(.atMost(0x5000), .answer(Errno.notPermitted)),
                .init(.atMost(0x5005), .allow),
            ],
            otherwise: .answer(Errno.notPermitted)),
        "arch_prctl"),
    SyscallGroup(
        "SCHED_OTHER, SCHED_BATCH, SCHED_IDLE; real-time classes can starve the machine",
        .choose(
            1, mask: ~0x4000_0000, in: [0, 3, 5], .allow, otherwise: .answer(Errno.notPermitted)),
        "sched_setscheduler"),
    SyscallGroup(
        "IO priority, except the real-time class (bits 13 to 15 are 1)",
        .choose(2, mask: 0xE000, in: [0x2000], .answer(Errno.notPermitted), otherwise: .allow),
        "ioprio_set"),
    SyscallGroup(
        "filters of its own can only tighten; see Outcome.listen for the listener",
        .choose(
            Word(0),
            [.init(.equals(1), .choose(Word(1), [.init(.anyBit(0x8), .outcome(.listen))], otherwise: .allow))],
            otherwise: .allow),
        "seccomp"),
]

enum Errno {
    static let notPermitted: UInt16 = 1
    static let busy: UInt16 = 16
    static let invalid: UInt16 = 22
    static let noSuchCall: UInt16 = 38
}

/// linux/sched.h
private enum CloneFlag {
    static let time: UInt32 = 0x80
    static let cgroup: UInt32 = 0x0200_0000
    /// NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. (CLONE_NEWTIME cannot be asked of clone: there its bit
    /// belongs to the exit signal.)
    static let all: UInt32 =
        0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000
        | 0x4000_0000
}

/// linux/socket.h
private enum SocketFamily {
    static let unix: UInt32 = 1
    static let inet: UInt32 = 2
    static let inet6: UInt32 = 10
    static let netlink: UInt32 = 16
}

/// The type's upper bits are flags (SOCK_TYPE_MASK is 0xf). A type is asked for, too, because protocol 0 of
/// SOCK_SEQPACKET is SCTP and that of SOCK_DCCP is DCCP. Raw sockets need a capability, and are themselves plain.
private let internetSocket = Decision.choose(
    Word(1, mask: 0xF),
    [
        .init(.equals(1), internetProtocol), .init(.equals(2), internetProtocol), .init(.equals(3), .allow),
    ],
    otherwise: .refuse)

/// 0, ICMP, TCP, UDP, ICMPv6, and MPTCP, which Go asks for when it listens.
private let internetProtocol = Decision.choose(2, in: [0, 6, 17, 1, 58, 262], .allow, otherwise: .refuse)

private let socketDecision = Decision.choose(
    Word(0),
    [
        .init(.equals(SocketFamily.unix), .allow),
        .init(.equals(SocketFamily.inet), internetSocket),
        .init(.equals(SocketFamily.inet6), internetSocket),
        // Protocol 0 is NETLINK_ROUTE: interfaces and addresses, which libc's getifaddrs reads.
        .init(.equals(SocketFamily.netlink), .choose(2, in: [0], .allow, otherwise: .refuse)),
    ],
    otherwise: .refuse)

private let setsockoptDecision = Decision.choose(
    Word(1),
    [
        // IPPROTO_TCP: TCP_ULP (31), which also loads modules by name.
        .init(.equals(6), .choose(2, in: [31], .refuse, otherwise: .allow)),
        // IPPROTO_IP: IP_XFRM_POLICY (17); tables of ip (64, 65), arp (96, 97) and ebtables (128, 129).
        .init(.equals(0), .choose(2, in: [17, 64, 65, 96, 97, 128, 129], .refuse, otherwise: .allow)),
        // IPPROTO_IPV6: IPV6_XFRM_POLICY (35); tables (64, 65).
        .init(.equals(41), .choose(2, in: [35, 64, 65], .refuse, otherwise: .allow)),
        // IPPROTO_UDP: UDP_ENCAP (100).
        .init(.equals(17), .choose(2, in: [100], .refuse, otherwise: .allow)),
    ],
    otherwise: .allow)

/// linux/prctl.h
private let prctlDecision = Decision.choose(
    Word(0),
    [
        .init(.equals(35), .refuse),  // PR_SET_MM
        .init(.equals(28), .refuse),  // PR_SET_SECUREBITS
        .init(.equals(24), .refuse),  // PR_CAPBSET_DROP; PR_CAPBSET_READ tells what /proc/self/status tells
        .init(.equals(47), .choose(1, in: [2], .refuse, otherwise: .allow)),  // PR_CAP_AMBIENT: RAISE
        .init(.atMost(78), .allow),  // PR_FUTEX_HASH, the last one looked at
        .init(.equals(0x5961_6D61), .allow),  // PR_SET_PTRACER
        .init(.equals(0x5356_4D41), .allow),  // PR_SET_VMA
        .init(.equals(0x4155_5856), .allow),  // PR_GET_AUXV
    ],
    otherwise: .answer(Errno.invalid))
