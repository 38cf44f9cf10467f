public import Cgroup

/// What a machine supports, as a value: tests describe any machine with it.
///
/// ``probe()`` fills in what every run needs, in a handful of system calls; ``fullProbe(stateFolder:)`` adds
/// ``detail``, which only `mis doctor` and the explanation of a failure read. A fresh value is a machine that has
/// nothing.
public struct KernelSupport: Sendable, Equatable {
    /// `uname -r`.
    public var release = "unknown"
    /// `uname -m`.
    public var architecture = "unknown"
    public var caller = Caller()
    /// Landlock's ABI version; 0: none.
    public var landlockABI = 0
    /// SECCOMP_RET_USER_NOTIF.
    public var seccompNotification = false
    /// Whether fanotify groups that decide about accesses can be made.
    public var fanotify = Answer.no("not looked for")
    /// The active security modules in their order; nil: the kernel does not say.
    public var securityModules: [String]?
    public var bpf = BPFSupport()
    public var cgroup = CgroupDetection.none(reason: "not looked for", fix: "look for it")
    /// The machine's memory, bytes.
    public var memory: UInt64 = 0
    /// Processors this process may run on.
    public var processors = 1
    /// The highest capability number the kernel knows.
    public var lastCapability = 40
    /// What only the full probe looks at.
    public var detail: MachineDetail?

    public init() {}

    public var version: KernelVersion? { KernelVersion(release: release) }

    func isAtLeast(_ wanted: KernelVersion) -> Bool { version.map { $0 >= wanted } ?? false }
}

/// Who asks.
public struct Caller: Sendable, Equatable {
    public var user: UInt32 = 0
    public var effectiveUser: UInt32 = 0
    public var group: UInt32 = 0
    public var effectiveGroup: UInt32 = 0
    /// Effective capabilities, a bit each.
    public var capabilities: UInt64 = 0
    /// The program was given more rights than its caller has (set-uid, file capabilities).
    public var isPrivilegedExecution = false

    public init() {}

    public var isRoot: Bool { effectiveUser == 0 }

    public func has(_ capability: Capability) -> Bool { capabilities & (1 << capability.rawValue) != 0 }

    /// The capabilities that decide what can be enforced (linux/capability.h).
    public enum Capability: UInt64, Sendable {
        case setUser = 7
        case networkAdministration = 12
        case systemAdministration = 21
        case bpf = 39

        public var name: String {
            switch self {
            case .setUser: "CAP_SETUID"
            case .networkAdministration: "CAP_NET_ADMIN"
            case .systemAdministration: "CAP_SYS_ADMIN"
            case .bpf: "CAP_BPF"
            }
        }
    }
}

/// What `mis doctor` looks at beyond what a run needs.
public struct MachineDetail: Sendable, Equatable {
    /// Whether a user namespace can be made and used without privileges.
    public var userNamespace = UserNamespaceTrial.works
    /// `user.max_user_namespaces`; nil where there is no such setting. So are the next.
    public var maxUserNamespaces: Int?
    /// `kernel.unprivileged_userns_clone` (Debian's and Arch's patch).
    public var unprivilegedUserNamespaceClone: Int?
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu 23.10 and newer).
    public var appArmorRestrictsUserNamespaces: Int?
    /// `vm.memfd_noexec`: 2 forbids executable memory files.
    public var memfdNoExec: Int?
    /// Whether the kernel takes a mark for permission events; nil where no group can be made.
    public var permissionEvents: Answer?
    public var kernelCommandLine = ""
    /// Ranges of /etc/subuid and /etc/subgid for the caller, `first:count`.
    public var subordinateUsers: [String] = []
    public var subordinateGroups: [String] = []
    /// newuidmap and newgidmap are installed.
    public var hasMapTools = false
    /// /sys/devices/system/cpu/vulnerabilities.
    public var mitigations: [Mitigation] = []
    /// /proc/self/cgroup.
    public var ownCgroups: [String] = []
    /// The controllers that can be handed down in the v2 tree.
    public var unifiedControllers: [String] = []
    /// Whether some disk heeds I/O weights.
    public var ioWeight = Answer.yes
    public var stateFolder: StateFolder?
    /// `fs.fanotify.max_user_groups`: how many fanotify groups a user may have; nil before Linux 5.13. So is the next.
    public var fanotifyGroups: Int?
    /// `fs.inotify.max_user_instances`.
    public var inotifyInstances: Int?
    /// Bytes of swap space.
    public var swap: UInt64 = 0
    /// The running program, to name it in a remedy.
    public var program = "/usr/local/bin/mis"
    /// The caller's name in /etc/passwd.
    public var userName: String?

    public init() {}

    /// A weakness of the processor and what the kernel does about it.
    public struct Mitigation: Sendable, Equatable {
        public var name: String
        public var status: String

        public init(name: String, status: String) {
            self.name = name
            self.status = status
        }

        public var isVulnerable: Bool { status.hasPrefix("Vulnerable") }
    }

    /// Where sessions are kept.
    public struct StateFolder: Sendable, Equatable {
        public var path: String
        /// Bytes the caller can still write there.
        public var free: UInt64
        /// Why it cannot be written.
        public var problem: String?

        public init(path: String, free: UInt64, problem: String? = nil) {
            self.path = path
            self.free = free
            self.problem = problem
        }
    }
}

/// How far making and using a user namespace got.
public enum UserNamespaceTrial: Sendable, Equatable {
    case works
    case failed(Stage, errno: Int32)

    public enum Stage: Sendable, Equatable {
        /// No process could be made to try it in.
        case process
        /// The namespaces were refused.
        case namespace
        /// They were made, but give no rights.
        case mount
        /// All but a fresh /proc.
        case proc
    }
}

/// What the bpf tier stands on.
public struct BPFSupport: Sendable, Equatable {
    /// CONFIG_BPF_LSM in /boot/config-RELEASE; nil: no such file, or not looked at: only the full probe does.
    public var isBuilt: Bool?
    /// /sys/kernel/btf/vmlinux.
    public var hasTypeInformation = false
    /// A BPF file system at /sys/fs/bpf.
    public var hasFileSystem = false
    /// Whether the kernel takes an LSM program; nil: not tried, because something above is missing or the probe was not
    /// the full one.
    public var program: Answer?

    public init() {}
}
