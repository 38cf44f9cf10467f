public import Profile

/// Something the sandbox was refused, or did and had undone.
public struct Violation: Sendable, Equatable {
    /// What took the decision.
    public enum Layer: String, Sendable {
        /// A verdict of the kernel's own programs.
        case bpf
        /// A permission event answered by ``FanotifyArbiter``.
        case fanotify
        /// A system call refused by the filter, told by ``SystemCallObserver``.
        case seccomp
        /// A name that appeared and was taken away again, by ``NameWatcher`` or ``NamePatternWatcher``.
        case watch
        /// A change that a read-only or masking mount refuses, told by ``SystemCallObserver``.
        case mount
        /// The threat policy: a hit of the filter of critical threats.
        case hotfix
        /// The threat policy: a known threat.
        case base
    }

    /// `open`, `write`, `execute`, `create`, `rename`, or the name of a system call.
    public var operation: String
    /// The object's path as the sandbox sees it, or a call's arguments: bytes, for a file's name is.
    public var object: [UInt8]
    public var rule: RuleReference
    public var layer: Layer
    /// As seen by the supervisor; 0 when nobody could be named.
    public var pid: Int32
    /// The thread's name, at most 15 bytes.
    public var program: [UInt8]?
    /// How often, since it was last reported.
    public var count: UInt64
    /// Whether it speaks of ill will. False for what honest programs try and live without.
    public var countsTowardsLevel: Bool
    /// Whether the place exists, where only a path was seen; `nil`: not looked at, or it cannot be told.
    public var objectExists: Bool?
    /// What would allow it, where the layer knows better than its rule tells.
    public var remedy: String?

    public init(
        operation: String, object: [UInt8], rule: RuleReference, layer: Layer, pid: Int32 = 0, program: [UInt8]? = nil,
        count: UInt64 = 1, countsTowardsLevel: Bool = true, objectExists: Bool? = nil,
        remedy: String? = nil
    ) {
        self.operation = operation
        self.object = object
        self.rule = rule
        self.layer = layer
        self.pid = pid
        self.program = program
        self.count = count
        self.countsTowardsLevel = countsTowardsLevel
        self.objectExists = objectExists
        self.remedy = remedy
    }
}

/// The rule behind a decision, for messages and the record.
public struct RuleReference: Sendable, Equatable {
    /// Hundreds are made for one that is told, so the words are found when they are asked for.
    private enum Source: Sendable, Equatable {
        case sentence(String, origin: String)
        case rule(PathRule, index: Int)
    }

    private let source: Source

    /// The rule as the user wrote it, or a sentence where no rule of theirs decided.
    public var text: String {
        switch source {
        case .sentence(let text, _): text
        case .rule(let rule, _): "\(rule.access.rawValue) \"\(rule.text)\""
        }
    }

    /// Where it is written; `built in` for what no profile says.
    public var origin: String {
        switch source {
        case .sentence(_, let origin): origin
        case .rule(let rule, _): rule.origin.description
        }
    }

    /// The rule's index in the plan's rules; `nil`: none of them.
    public var index: Int? {
        switch source {
        case .sentence: nil
        case .rule(_, let index): index
        }
    }

    /// For what no rule of the user's decides.
    public init(text: String, origin: String = "built in") { source = .sentence(text, origin: origin) }

    /// - Parameter index: among the plan's rules.
    public init(_ rule: PathRule, index: Int) { source = .rule(rule, index: index) }
}

/// Where the enforcing components report. Called on the thread that calls their `handle()`.
public protocol ViolationSink: AnyObject {
    func violation(_ violation: Violation)

    /// Something was allowed, and somebody wants that told.
    func observed(operation: String, object: [UInt8], pid: Int32)

    /// An access no rule speaks of was let through, because the profile says `unknown = "trace"`.
    func traced(operation: String, object: [UInt8], pid: Int32)

    /// Nothing can be promised any more: the run must end (status 123).
    func enforcementLost(_ reason: String)
}

/// Verdicts a component gave.
public struct VerdictCounts: Sendable, Equatable {
    public var allow: UInt64 = 0
    public var deny: UInt64 = 0
    public var trace: UInt64 = 0

    public init() {}
}
