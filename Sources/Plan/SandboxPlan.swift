public import HostView
public import LinuxSystem
public import Profile
public import Seccomp

/// Everything that will be done for one run, decided. Printed by `--dry-run`, compared in tests, flattened into steps
/// by `Launch`, enforced by `Enforce` and `Supervise`.
public struct SandboxPlan: Sendable, Equatable {
    public var session: String
    public var profile: String
    public var tier: Tier
    /// For people.
    public var command: [String]
    /// What is executed.
    public var arguments: [[UInt8]]
    public var workspace: String
    /// Inside.
    public var workingFolder: String
    public var identity: AgentIdentity
    public var network: Profile.Network.Mode
    public var nested: Bool
    /// Kept capabilities, as a bit set.
    public var capabilities: UInt64
    public var mounts: [PlannedMount]
    /// Symlinks of the private root (`/bin -> usr/bin`).
    public var links: [HostObject.Link]
    /// Listed files of the home folder, copied in and written back.
    public var homeFiles: [HomeFile]
    /// Globs of the home folder; what comes to match them is written back too.
    public var homePatterns: [HomePattern]
    /// Entries of the private home that only exist to be refused by name, and reported.
    public var decoys: [Decoy]
    public var landlock: LandlockPlan
    public var seccomp: SeccompPolicy
    public var limits: PlannedLimits
    public var environment: [EnvironmentVariable]
    /// Stdin, stdout, stderr: which are replaced by the sandbox's own terminal.
    public var terminals: [Bool]
    /// All path rules in force, for the tiers that decide by path.
    public var rules: [PathRule]
    /// Denied objects, by what they are.
    public var deniedObjects: [DeniedObject]
    /// Protected paths that do not exist yet: watched.
    public var protectedNames: [ProtectedName]
    /// Tier bpf: what the kernel is told. nil in the others.
    public var kernel: KernelRules?
    /// The supervisor is asked about opens on marked mounts.
    public var asksAboutOpens: Bool
    public var timeoutMilliseconds: Int?
    public var watchdog: Profile.Watchdog
    public var watchdogMemory: UInt64?
    public var escalation: Profile.Escalation
    public var streams: Profile.Streams
    public var policy: Profile.Policy
    public var gaps: Profile.Enforcement.Gaps
    /// What the tier cannot enforce, one sentence each, naming the rule.
    public var unenforced: [String]
    /// Listed paths that do not exist.
    public var skipped: [String]
}

/// Who the agent is, outside and inside.
public struct AgentIdentity: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// An ordinary user launched it: the same user, in a user namespace made first.
        case ordinary
        /// Root launched it for an account: the account's ids, in a user namespace made last.
        case account
        /// Plain root launched it: ids nobody else has; what belongs to the workspace's and the home's owner is
        /// shown as the agent's own by idmapped mounts.
        case subordinate
    }

    public var kind: Kind
    public var hostUser: UInt32
    public var hostGroup: UInt32
    public var insideUser: UInt32
    public var insideGroup: UInt32
    public var name: String
    public var home: String
}

/// One mount of the private root, parents before children.
public struct PlannedMount: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// A part of the host.
        case bind(source: String, identity: ObjectIdentity, isFolder: Bool, recursive: Bool)
        /// A fresh tmpfs.
        case tmpfs(size: UInt64?, mode: UInt32, owned: Bool)
        /// Nothing to see: an empty object over a denied one. `names` are shown to the tier that answers opens, so
        /// that it can say what was refused.
        case mask(isFolder: Bool, names: [String])
        /// A small file of our own over the host's (`/etc/passwd`).
        case synthetic(text: String)
    }

    public var target: String
    public var kind: Kind
    public var readOnly: Bool
    public var executable: Bool
    /// Owner on disk whose files are the agent's inside; nil: ids as they are.
    public var idmap: OwnerMap?
    /// Opens are asked about (tier fanotify).
    public var marked: Bool
    /// Sub-mounts of a recursive bind that need a mark of their own, relative to the target.
    public var subMounts: [String] = []
    /// Where the rule stands, for messages.
    public var origin: String
}

extension PlannedMount {
    /// The folder or file of the host that is shown at its own path; nil: another kind of mount.
    var sharedInPlace: String? {
        if case .bind(target, _, _, _) = kind { target } else { nil }
    }
}

public struct OwnerMap: Sendable, Hashable {
    public var user: UInt32
    public var group: UInt32

    public init(user: UInt32, group: UInt32) {
        self.user = user
        self.group = group
    }
}

public struct HomeFile: Sendable, Equatable {
    /// Inside and outside alike.
    public var path: String
    /// On the host, symlinks resolved.
    public var hostPath: String
    /// nil: the file does not exist yet.
    public var mode: UInt32?
    public var user: UInt32
    public var group: UInt32
    public var rule: Int
}

public struct HomePattern: Sendable, Equatable {
    /// Inside and outside alike.
    public var folder: String
    public var glob: String
    /// For files that are made new.
    public var user: UInt32
    public var group: UInt32
}

public struct Decoy: Sendable, Equatable {
    public var path: String
    public var isFolder: Bool
}

public struct DeniedObject: Sendable, Equatable {
    public var identity: ObjectIdentity
    /// Index into ``SandboxPlan/rules``.
    public var rule: Int
}

public struct ProtectedName: Sendable, Equatable {
    public var path: String
    /// The writable folder of the host it would come to be in.
    public var root: String
    /// Index into ``SandboxPlan/rules``.
    public var rule: Int
}

/// Landlock, in rights of the running ABI.
public struct LandlockPlan: Sendable, Equatable {
    public var abi: Int
    public var handledAccess: UInt64
    public var scoped: UInt64
    public var rules: [Rule]

    /// Whether there is anything for it to hold; the kernel refuses an empty ruleset.
    public var isNeeded: Bool { handledAccess != 0 || scoped != 0 }

    public struct Rule: Sendable, Equatable {
        public var path: String
        public var access: UInt64
    }
}

/// Limits in the kernel's units; nil: none of ours.
public struct PlannedLimits: Sendable, Equatable {
    public var memory: UInt64?
    public var memoryHigh: UInt64?
    public var cpuPercent: Int?
    public var cpuWeight: Int?
    public var pids: Int?
    public var ioWeight: Int?
    public var files: UInt64?
    public var fileSize: UInt64?
    /// (Core files are always off: a file, or the host's handler, would carry the sandbox out.)
    public var tmpSize: UInt64?

    public init() {}
}

/// Why no plan could be made: everything that is wrong, at once.
public struct PlanErrors: Error, Sendable, Equatable, CustomStringConvertible {
    public var sentences: [String]

    public init(_ sentences: [String]) { self.sentences = sentences }

    public var description: String { sentences.joined(separator: "\n") }
}
