import Profile

/// The threat level: violations within a window raise it, and it falls back as they grow old.
///
/// Level 5 is normal; with the default of 15 violations the levels begin at 3, 6, 10 and 15, and level 1 kills. The
/// count belongs to the sandbox: a process that forks or starts again keeps it.
public struct Escalation: Sendable {
    private let kill: Int
    private let window: UInt64
    /// Monotonic times of the violations in the window, oldest first; bounded by `kill`.
    private var times: [UInt64] = []
    /// The lowest number (the highest alarm) reached in the run.
    public private(set) var worst = 5

    public init(_ settings: Profile.Escalation) {
        kill = settings.kill
        window = UInt64(max(settings.windowMilliseconds, 0)) * 1_000_000
    }

    /// - Parameter now: monotonic nanoseconds.
    /// - Returns: the level after this violation.
    public mutating func violation(at now: UInt64) -> Int {
        times.append(now)
        let bound = max(kill, 15)
        if times.count > bound { times.removeFirst(times.count - bound) }
        return level(at: now)
    }

    public mutating func level(at now: UInt64) -> Int {
        times.removeAll { now >= $0 && now - $0 > window }
        let level = Self.level(count: times.count, kill: kill)
        worst = min(worst, level)
        return level
    }

    /// The steps 3, 6, 10 and 15, scaled to `kill`; 0 never reaches level 1.
    static func level(count: Int, kill: Int) -> Int {
        let scale = kill > 0 ? kill : 15
        let steps = [15, 10, 6, 3]
        for (index, step) in steps.enumerated() where count * 15 >= step * scale {
            let level = index + 1
            return level == 1 && kill == 0 ? 2 : level
        }
        return 5
    }
}
