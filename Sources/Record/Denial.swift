import JSONText

/// An access that was refused, and what would allow it.
public struct Denial: Sendable, Equatable {
    public var time: EventTime
    /// `open`, `exec`, `create`, `connect`...
    public var operation: String
    /// A path or an address: bytes, for a file's name is.
    public var object: [UInt8]
    /// The rule that decided, as the user wrote it, with its origin.
    public var rule: String
    /// What decided: `fanotify`, `landlock`, `bpf`, `mount`, `seccomp`...
    public var layer: String
    /// The smallest change that would allow it; `nil` when nothing may.
    public var fix: String?
    /// Who asked, as far as the layer tells: the pid as seen from outside, and its name.
    public var pid: Int32?
    public var program: [UInt8]?

    public init(
        time: EventTime = .now(), operation: String, object: [UInt8], rule: String, layer: String, fix: String?,
        pid: Int32? = nil, program: [UInt8]? = nil
    ) {
        self.time = time
        self.operation = operation
        self.object = object
        self.rule = rule
        self.layer = layer
        self.fix = fix
        self.pid = pid
        self.program = program
    }

    /// Writes the members that both the report and a stream's line have (a line has a `time` already).
    public func writeMembers(to writer: inout JSONWriter) {
        writer.member("operation", operation)
        writer.member("object", bytes: object)
        writer.member("rule", rule)
        writer.member("layer", layer)
        writer.member("fix", fix)
    }

    /// Writes a line's members for the execution stream: `"event":"denied"` and everything known.
    public func writeLine(to writer: inout JSONWriter) {
        writer.member("event", "denied")
        writeMembers(to: &writer)
        if let pid { writer.member("pid", pid) }
        if let program { writer.member("program", bytes: program) }
    }

    /// One line for a person, fit for a terminal.
    public func message(count: UInt64 = 1) -> String {
        let times = count > 1 ? " (\(count) times)" : ""
        let remedy = fix.map { "; to allow it: \(TerminalText.escaped($0))" } ?? ""
        return "denied \(TerminalText.escaped(operation)) \(TerminalText.escaped(object))\(times): "
            + "\(TerminalText.escaped(rule)) [\(TerminalText.escaped(layer))]\(remedy)"
    }

    fileprivate func isSame(as other: Denial) -> Bool {
        object == other.object && operation == other.operation && rule == other.rule && layer == other.layer
    }
}

/// What was denied in a run: the first few distinct denials, each with its count, and how many there were in all.
///
/// Bounded whatever the agent does: a million denials with a million names cost twenty entries and a counter.
public struct DenialLog: Sendable {
    /// A denial and how often it came.
    public struct Entry: Sendable, Equatable {
        public let denial: Denial
        public fileprivate(set) var count: UInt64
    }

    /// What is to be done with one denial's line in the execution stream.
    public enum Recording: Sendable, Equatable {
        /// Write it; before it, this many were only counted.
        case full(unrecorded: UInt64)
        /// Only count it.
        case counted
    }

    /// Distinct denials kept for the report.
    public static let kept = 20

    /// The first distinct denials, in the order they came first.
    public private(set) var entries: [Entry] = []
    /// All denials.
    public private(set) var total: UInt64 = 0
    /// Denials that are none of ``entries``.
    public private(set) var others: UInt64 = 0

    private var allowance: Allowance
    private var unrecorded: UInt64 = 0

    /// - Parameters:
    ///   - burst: denials recorded in full at any rate.
    ///   - perSecond: and how many more with every second; the rest is counted.
    public init(burst: UInt64 = 10_000, perSecond: UInt64 = 200) {
        allowance = Allowance(burst: burst, perSecond: perSecond)
    }

    /// Takes a denial in, which stands for `count` equal ones.
    /// - Returns: whether its line is to be written into the execution stream. A flood is cut down there, so that it
    ///   cannot use up what the session may keep.
    public mutating func add(_ denial: Denial, count: UInt64 = 1) -> Recording {
        total += count
        if let place = entries.firstIndex(where: { $0.denial.isSame(as: denial) }) {
            entries[place].count += count
        } else if entries.count < Self.kept {
            entries.append(Entry(denial: denial, count: count))
        } else {
            others += count
        }
        guard allowance.take(at: denial.time.monotonic) else {
            unrecorded += 1
            return .counted
        }
        defer { unrecorded = 0 }
        return .full(unrecorded: unrecorded)
    }

    /// Lines for the end of a run: the first `limit` denials, and one line that counts the rest. Empty if there were none.
    public func summary(limit: Int = 3) -> [String] {
        var lines = entries.prefix(limit).map { $0.denial.message(count: $0.count) }
        let shown = entries.prefix(limit).reduce(0) { $0 + $1.count }
        if total > shown { lines.append("and \(total - shown) more denials (--report lists the first \(Self.kept))") }
        return lines
    }
}

/// A token bucket: a burst at once, then so many each second.
private struct Allowance: Sendable {
    private let burst: UInt64
    /// Nanoseconds that earn one more.
    private let interval: UInt64
    private var left: UInt64
    private var earnedUntil: UInt64?

    init(burst: UInt64, perSecond: UInt64) {
        self.burst = burst
        interval = perSecond == 0 ? UInt64.max : 1_000_000_000 / perSecond
        left = burst
    }

    mutating func take(at now: UInt64) -> Bool {
        let since = earnedUntil ?? now
        let earned = now > since ? (now - since) / interval : 0
        left = min(burst, left + min(earned, burst))
        earnedUntil = since + earned * interval
        guard left > 0 else { return false }
        left -= 1
        return true
    }
}
