/// How long to wait before the next try: the paper's five steps exactly, because the first failures are mostly over at
/// once; then longer ones, drawn, so that a fleet does not come back in one moment.
public struct RetrySteps: Equatable, Sendable {
    /// Milliseconds.
    public static let first = [100, 200, 500, 1000, 2000]
    /// Milliseconds; an outage that is over is noticed within this.
    public static let longest = 10_000

    /// Tries that failed since the last success.
    public private(set) var failures = 0

    public init() {}

    public mutating func reset() { failures = 0 }

    /// Milliseconds to wait now.
    public mutating func next() -> Int {
        var generator = SystemRandomNumberGenerator()
        return next(using: &generator)
    }

    public mutating func next(using generator: inout some RandomNumberGenerator) -> Int {
        failures += 1
        if failures <= Self.first.count { return Self.first[failures - 1] }
        // 4 s, 8 s, 10 s: half of it sure, half drawn.
        let doublings = min(failures - Self.first.count, 8)
        let longest = min((Self.first.last ?? Self.longest) << doublings, Self.longest)
        return longest / 2 + Int.random(in: 0...(longest / 2), using: &generator)
    }
}

/// When to pull again.
public enum PullSchedule {
    /// Milliseconds after a pull that worked: the interval, a tenth more or less.
    public static func afterSuccess(interval: Int) -> Int {
        let tenth = interval / 10
        return interval - tenth + Int.random(in: 0...(2 * tenth))
    }

    /// Milliseconds after the nth failure in a row: 15 s doubling, up to the interval, a quarter of it drawn. Web servers
    /// are not pushed: nothing urgent hangs on one.
    public static func afterFailure(_ failures: Int, interval: Int) -> Int {
        let wait = min(15_000 << min(max(failures, 1) - 1, 16), interval)
        return wait - wait / 4 + Int.random(in: 0...(wait / 4))
    }
}
