/// Every key a profile may hold. The raw value is an index: settings are kept in plain arrays, because the first use of
/// a dictionary over a type of ours costs the Swift runtime more than reading the whole profile.
enum ProfileKey: Int, CaseIterable {
    case name, description, extends
    case require, unknown, gaps
    case read, write, execute, deny, protect, tmpfs
    case user, capabilities, seccomp, nested, environment
    case memory, memoryHigh, cpu, cpuWeight, pids, ioWeight, files, fileSize, tmpSize, timeout
    case networkMode
    case watchdogInterval, watchdogCPU, watchdogCPUFor, watchdogMemory
    case escalationKill, escalationWindow
    case trace, reasoning, onFailure, streamLimit
    case policyBundles, policyRevoke
    case cacheOpen, cacheExecute, cacheUse

    static let count = ProfileKey.cacheUse.rawValue + 1

    init?(fullName: String) {
        switch fullName {
        case "name": self = .name
        case "description": self = .description
        case "extends": self = .extends
        case "enforcement.require": self = .require
        case "enforcement.unknown": self = .unknown
        case "enforcement.gaps": self = .gaps
        case "filesystem.read": self = .read
        case "filesystem.write": self = .write
        case "filesystem.execute": self = .execute
        case "filesystem.deny": self = .deny
        case "filesystem.protect": self = .protect
        case "filesystem.tmpfs": self = .tmpfs
        case "process.user": self = .user
        case "process.capabilities": self = .capabilities
        case "process.seccomp": self = .seccomp
        case "process.nested": self = .nested
        case "process.environment": self = .environment
        case "limits.memory": self = .memory
        case "limits.memory_high": self = .memoryHigh
        case "limits.cpu": self = .cpu
        case "limits.cpu_weight": self = .cpuWeight
        case "limits.pids": self = .pids
        case "limits.io_weight": self = .ioWeight
        case "limits.files": self = .files
        case "limits.file_size": self = .fileSize
        case "limits.tmp_size": self = .tmpSize
        case "limits.timeout": self = .timeout
        case "network.mode": self = .networkMode
        case "watchdog.interval": self = .watchdogInterval
        case "watchdog.cpu": self = .watchdogCPU
        case "watchdog.cpu_for": self = .watchdogCPUFor
        case "watchdog.memory": self = .watchdogMemory
        case "escalation.kill": self = .escalationKill
        case "escalation.window": self = .escalationWindow
        case "streams.trace": self = .trace
        case "streams.reasoning": self = .reasoning
        case "streams.on_failure": self = .onFailure
        case "streams.limit": self = .streamLimit
        case "policy.bundles": self = .policyBundles
        case "policy.revoke": self = .policyRevoke
        case "cache.open": self = .cacheOpen
        case "cache.execute": self = .cacheExecute
        case "cache.use": self = .cacheUse
        default: return nil
        }
    }

    /// `limits.memory`
    var fullName: String {
        switch self {
        case .name: "name"
        case .description: "description"
        case .extends: "extends"
        case .require: "enforcement.require"
        case .unknown: "enforcement.unknown"
        case .gaps: "enforcement.gaps"
        case .read: "filesystem.read"
        case .write: "filesystem.write"
        case .execute: "filesystem.execute"
        case .deny: "filesystem.deny"
        case .protect: "filesystem.protect"
        case .tmpfs: "filesystem.tmpfs"
        case .user: "process.user"
        case .capabilities: "process.capabilities"
        case .seccomp: "process.seccomp"
        case .nested: "process.nested"
        case .environment: "process.environment"
        case .memory: "limits.memory"
        case .memoryHigh: "limits.memory_high"
        case .cpu: "limits.cpu"
        case .cpuWeight: "limits.cpu_weight"
        case .pids: "limits.pids"
        case .ioWeight: "limits.io_weight"
        case .files: "limits.files"
        case .fileSize: "limits.file_size"
        case .tmpSize: "limits.tmp_size"
        case .timeout: "limits.timeout"
        case .networkMode: "network.mode"
        case .watchdogInterval: "watchdog.interval"
        case .watchdogCPU: "watchdog.cpu"
        case .watchdogCPUFor: "watchdog.cpu_for"
        case .watchdogMemory: "watchdog.memory"
        case .escalationKill: "escalation.kill"
        case .escalationWindow: "escalation.window"
        case .trace: "streams.trace"
        case .reasoning: "streams.reasoning"
        case .onFailure: "streams.on_failure"
        case .streamLimit: "streams.limit"
        case .policyBundles: "policy.bundles"
        case .policyRevoke: "policy.revoke"
        case .cacheOpen: "cache.open"
        case .cacheExecute: "cache.execute"
        case .cacheUse: "cache.use"
        }
    }

    static let sections = [
        "enforcement", "filesystem", "process", "limits", "network", "watchdog", "escalation", "streams",
        "policy", "cache",
    ]

    /// `memory` of `limits.memory`.
    var shortName: String {
        let tail = fullName.utf8.drop { $0 != UInt8(ascii: ".") }.dropFirst()
        return tail.isEmpty ? fullName : String(Substring(tail))
    }

    /// `limits`; empty for the keys at the top of a file.
    var section: String {
        let name = fullName
        guard let dot = name.utf8.firstIndex(of: UInt8(ascii: ".")) else { return "" }
        return String(name[..<dot])
    }

    /// The names that may stand in a section; the empty name is the top of the file.
    static func names(in section: String) -> [String] {
        if section.isEmpty { return ["name", "description", "extends"] + sections }
        return allCases.filter { $0.section == section }.map(\.shortName)
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
