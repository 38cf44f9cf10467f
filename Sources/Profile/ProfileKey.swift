/// Every key a profile may hold, by its full name.
enum ProfileKey: String, CaseIterable {
    case name, description, extends

    case require = "enforcement.require"
    case unknown = "enforcement.unknown"
    case gaps = "enforcement.gaps"

    case read = "filesystem.read"
    case write = "filesystem.write"
    case execute = "filesystem.execute"
    case deny = "filesystem.deny"
    case protect = "filesystem.protect"
    case tmpfs = "filesystem.tmpfs"

    case user = "process.user"
    case capabilities = "process.capabilities"
    case seccomp = "process.seccomp"
    case nested = "process.nested"
    case environment = "process.environment"

    case memory = "limits.memory"
    case memoryHigh = "limits.memory_high"
    case cpu = "limits.cpu"
    case cpuWeight = "limits.cpu_weight"
    case pids = "limits.pids"
    case ioWeight = "limits.io_weight"
    case files = "limits.files"
    case fileSize = "limits.file_size"
    case tmpSize = "limits.tmp_size"
    case timeout = "limits.timeout"

    case networkMode = "network.mode"

    case watchdogInterval = "watchdog.interval"
    case watchdogCPU = "watchdog.cpu"
    case watchdogCPUFor = "watchdog.cpu_for"
    case watchdogMemory = "watchdog.memory"

    case escalationKill = "escalation.kill"
    case escalationWindow = "escalation.window"

    case trace = "streams.trace"
    case reasoning = "streams.reasoning"
    case onFailure = "streams.on_failure"
    case streamLimit = "streams.limit"

    static let sections = [
        "enforcement", "filesystem", "process", "limits", "network", "watchdog", "escalation", "streams",
    ]

    /// `memory` of `limits.memory`.
    var shortName: String { String(Substring(rawValue.utf8.drop { $0 != UInt8(ascii: ".") }.dropFirst())) }

    /// The names that may stand in a section; the empty name is the top of the file.
    static func names(in section: String) -> [String] {
        if section.isEmpty { return ["name", "description", "extends"] + sections }
        return allCases.filter { $0.rawValue.hasPrefix(section + ".") }.map(\.shortName)
    }

    /// The `[filesystem]` list this is.
    var access: PathRule.Access? {
        switch self {
        case .read: .read
        case .write: .write
        case .execute: .execute
        case .deny: .deny
        case .protect: .protect
        case .tmpfs: .tmpfs
        default: nil
        }
    }

    /// The limit this is.
    var limit: Profile.Limits.Key? {
        switch self {
        case .memory: .memory
        case .memoryHigh: .memoryHigh
        case .cpu: .cpu
        case .cpuWeight: .cpuWeight
        case .pids: .pids
        case .ioWeight: .ioWeight
        case .files: .files
        case .fileSize: .fileSize
        case .tmpSize: .tmpSize
        case .timeout: .timeout
        default: nil
        }
    }
}
