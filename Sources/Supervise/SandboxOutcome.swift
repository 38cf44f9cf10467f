public import Cgroup
public import Launch
public import Record

/// How a run went: what the report is made of.
public struct SandboxOutcome: Sendable {
    public var exit: RunExit
    /// Why nothing ran, when nothing did.
    public var setupFailure: LaunchFailure?
    /// More about a kill: what the watchdog saw, which part of enforcement was lost.
    public var detail: String?
    public var durationMilliseconds: UInt64
    public var verdicts: RunReport.Verdicts
    public var denials: DenialLog
    /// Events that never reached the record.
    public var lostEvents: UInt64
    /// The highest alarm reached: 5 is none.
    public var level: Int
    /// The threat policy in force at the end.
    public var policy: RunReport.PolicyVersions
    /// What turned out not to be enforced while it ran.
    public var unenforced: [String]
    /// What it has used, when that was asked for.
    public var usage: CgroupUsage
}
