/// A checked profile: what a sandbox may see, do and use. A plain value; nothing here touches the machine.
///
/// Made by ``ProfileLoader`` from TOML (built-in, system or user files with `extends`), then narrowed or widened by
/// the command line. `Plan` turns it, with a request and the machine's abilities, into a `SandboxPlan`.
public struct Profile: Sendable, Equatable {
    public var name: String
    public var description: String
    public var enforcement = Enforcement()
    public var filesystem = Filesystem()
    public var process = Process()
    public var limits = Limits()
    public var network = Network()
    public var watchdog = Watchdog()
    public var escalation = Escalation()
    public var streams = Streams()
    public var policy = Policy()
    public var cache = Cache()

    public init(name: String, description: String = "") {
        self.name = name
        self.description = description
    }
}

/// The layers that decide, from strongest to weakest. Raw values are the names users type.
public enum Tier: String, Sendable, CaseIterable, Comparable {
    case bpf, fanotify, landlock

    private var strength: Int {
        switch self {
        case .bpf: 3
        case .fanotify: 2
        case .landlock: 1
        }
    }

    public static func < (left: Tier, right: Tier) -> Bool { left.strength < right.strength }

    /// Somebody sees what is opened and can tell of refusals; where nobody does, what is denied is rather not there.
    public var tellsRefusals: Bool { self > .landlock }
}

extension Profile {
    /// `[enforcement]`
    public struct Enforcement: Sendable, Equatable {
        /// Refuse to run below this tier. `nil`: the strongest the machine offers, whichever it is.
        public var require: Tier?
        /// What happens to an access no rule speaks of.
        public var unknown = Unknown.deny
        /// What happens when the tier in force cannot enforce a rule.
        public var gaps = Gaps.report

        public enum Unknown: String, Sendable, CaseIterable { case trace, deny }
        public enum Gaps: String, Sendable, CaseIterable { case refuse, report }

        public init() {}
    }

    /// `[filesystem]`, flattened: one rule per listed entry, in the order read, bases first.
    public struct Filesystem: Sendable, Equatable {
        public var rules: [PathRule] = []

        public init() {}
    }

    /// `[process]`
    public struct Process: Sendable, Equatable {
        /// The account the agent runs as when the launcher is root. `nil`: the invoking user under sudo, else a
        /// subordinate id.
        public var user: String?
        /// Capabilities kept (names such as `CAP_NET_BIND_SERVICE`), effective only inside the sandbox's namespaces.
        public var capabilities: [String] = []
        /// System calls allowed in addition to the built-in allow-list.
        public var seccomp: [String] = []
        /// Lifts what programs that build sandboxes of their own (Chromium) need.
        public var nested = false
        /// `NAME` passes a variable from the caller, `NAME=VALUE` sets it, `PREFIX*` passes every match.
        public var environment: [String] = []

        public init() {}
    }

    /// `[limits]`; `nil` is "no limit of ours". Bytes, unless said otherwise.
    public struct Limits: Sendable, Equatable {
        public var memory: Amount?
        public var memoryHigh: Amount?
        /// Percent of one core: 80 is four fifths of a core, 200 two cores.
        public var cpuPercent: Int?
        /// cgroup v2 `cpu.weight`, 1...10000; 100 is a neighbour's default.
        public var cpuWeight: Int?
        public var pids: Int?
        /// cgroup v2 `io.weight`, 1...10000.
        public var ioWeight: Int?
        /// RLIMIT_NOFILE.
        public var files: Int?
        /// RLIMIT_FSIZE.
        public var fileSize: Amount?
        /// Size of each tmpfs (/tmp, /dev/shm, the private home).
        public var tmpSize: Amount?
        /// Wall clock, milliseconds.
        public var timeoutMilliseconds: Int?

        public init() {}
    }

    /// Bytes, or a share of the machine's memory.
    public enum Amount: Sendable, Equatable {
        case bytes(UInt64)
        case percentOfMemory(Int)
    }

    /// `[network]`
    public struct Network: Sendable, Equatable {
        public enum Mode: String, Sendable, CaseIterable { case none, host }
        public var mode = Mode.none

        public init() {}
    }

    /// `[watchdog]`: ends a run that stays above a use of the processor or of memory.
    public struct Watchdog: Sendable, Equatable {
        /// Time between two looks, milliseconds; 0 switches the watchdog off.
        public var intervalMilliseconds = 5000
        /// Percent of one core; `nil`: the processor is not watched.
        public var cpuPercent: Int?
        /// How long it must stay above `cpuPercent`, milliseconds.
        public var cpuForMilliseconds = 30000
        /// `nil`: memory is not watched.
        public var memory: Amount?

        public init() {}
    }

    /// `[escalation]`: violations within a window raise the threat level; the last level kills.
    public struct Escalation: Sendable, Equatable {
        /// Violations within the window that end the run; 0: never.
        public var kill = 15
        /// Milliseconds.
        public var windowMilliseconds = 60000

        public init() {}
    }

    /// `[policy]`: what of the machine's threat policy holds.
    public struct Policy: Sendable, Equatable {
        public var bundles = Bundles.all
        /// A policy that comes into force while a sandbox runs also counts for what is open already: reads and writes of
        /// open files are judged from then on, and processes that have denied code mapped are killed.
        public var revoke = false

        /// Bundles that are enforced; the whitelist goes with them.
        public enum Bundles: String, Sendable, CaseIterable {
            case all, base, hotfix, none
        }

        public init() {}
    }

    /// `[cache]`: how long the kernel's programs use a verdict they remember, by what it is used for, in seconds; 0: every
    /// time is judged anew. That a verdict is void when what it came from changes does not depend on these.
    public struct Cache: Sendable, Equatable {
        public var open = 180
        public var execute = 300
        /// Reads and writes of open files, where these are judged (`[policy] revoke`).
        public var use = 60

        public init() {}
    }

    /// `[streams]`: what the session keeps.
    public struct Streams: Sendable, Equatable {
        /// Records allowed accesses too, not only denials.
        public var trace = false
        /// Gives the agent a descriptor for its reasoning (`MIS_REASONING_FD`).
        public var reasoning = true
        /// What happens when the record cannot be written: the run goes on (counted), or ends.
        public var onFailure = OnFailure.proceed
        /// The most a session may keep on disk, bytes.
        public var limit: UInt64 = 256 << 20

        public enum OnFailure: String, Sendable, CaseIterable {
            case proceed = "continue"
            case stop
        }

        public init() {}
    }
}

/// One entry of a `[filesystem]` list.
public struct PathRule: Sendable, Equatable {
    public enum Access: String, Sendable, CaseIterable {
        case read, write, execute, deny, protect, tmpfs
    }

    public var access: Access
    /// The entry with `~` and `${...}` expanded.
    public var pattern: PathPattern
    /// The entry as the user wrote it.
    public var text: String
    public var origin: Origin

    public init(access: Access, pattern: PathPattern, text: String, origin: Origin) {
        self.access = access
        self.pattern = pattern
        self.text = text
        self.origin = origin
    }
}

/// What a rule's text names.
public enum PathPattern: Sendable, Equatable, Hashable {
    /// An absolute path, lexically normal: no `.`, `..`, doubled or trailing slash.
    case path(String)
    /// An absolute folder and a glob for one name in it (`~/.claude.json.tmp.*`).
    case glob(folder: String, name: String)
    /// `**/a/b`: whatever path ends in these components, each of which may hold `*` and `?`.
    case suffix([String])
    /// A variable that has no value for this run (`${GIT_DIR}` outside a repository): the rule is skipped.
    case unavailable(variable: String)
}

/// Where a rule was written, for messages and the record.
public enum Origin: Sendable, Equatable, CustomStringConvertible {
    case file(name: String, line: Int, column: Int)
    case commandLine(option: String)

    public var description: String {
        switch self {
        case .file(let name, let line, _): "\(name):\(line)"
        case .commandLine(let option): option
        }
    }
}
