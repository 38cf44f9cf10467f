import LinuxSystem

/// When something happened, by both clocks: the wall clock to be read by people, the monotonic one to order and
/// measure by (it never steps back, and it is the one BPF programs stamp their records with).
public struct EventTime: Sendable, Equatable {
    /// Seconds since 1970-01-01T00:00:00Z.
    public let seconds: Int64
    /// 0...999,999,999.
    public let nanoseconds: Int64
    /// CLOCK_MONOTONIC, nanoseconds.
    public let monotonic: UInt64

    public init(seconds: Int64, nanoseconds: Int64, monotonic: UInt64) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.monotonic = monotonic
    }

    /// This moment.
    public static func now() -> EventTime {
        let wall = Clock.wall()
        return EventTime(
            seconds: Int64(wall / 1_000_000_000), nanoseconds: Int64(wall % 1_000_000_000),
            monotonic: Clock.monotonic())
    }

    /// The moment a monotonic stamp (`bpf_ktime_get_ns`) stands for.
    public static func at(monotonic stamp: UInt64) -> EventTime {
        let now = now()
        let wall = now.seconds * 1_000_000_000 + now.nanoseconds - (Int64(now.monotonic) - Int64(clamping: stamp))
        let nanoseconds = ((wall % 1_000_000_000) + 1_000_000_000) % 1_000_000_000
        return EventTime(
            seconds: (wall - nanoseconds) / 1_000_000_000, nanoseconds: nanoseconds, monotonic: stamp)
    }

    /// RFC 3339 in UTC with microseconds: `2026-11-23T12:27:05.123456Z`.
    public var text: String {
        var output: [UInt8] = []
        append(to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    func append(to output: inout [UInt8]) {
        let day = seconds.flooredQuotient(by: 86_400)
        let second = seconds - day * 86_400
        let (year, month, dayOfMonth) = Self.civilDate(daysSince1970: day)
        // A clock set beyond the years RFC 3339 can write must not make a line that cannot be read.
        Self.append(min(max(year, 0), 9999), digits: 4, to: &output)
        output.append(UInt8(ascii: "-"))
        Self.append(month, digits: 2, to: &output)
        output.append(UInt8(ascii: "-"))
        Self.append(dayOfMonth, digits: 2, to: &output)
        output.append(UInt8(ascii: "T"))
        Self.append(second / 3600, digits: 2, to: &output)
        output.append(UInt8(ascii: ":"))
        Self.append(second / 60 % 60, digits: 2, to: &output)
        output.append(UInt8(ascii: ":"))
        Self.append(second % 60, digits: 2, to: &output)
        output.append(UInt8(ascii: "."))
        Self.append(nanoseconds / 1000, digits: 6, to: &output)
        output.append(UInt8(ascii: "Z"))
    }

    private static func append(_ value: Int64, digits: Int, to output: inout [UInt8]) {
        var scale: Int64 = 1
        for _ in 1..<digits { scale *= 10 }
        while scale > 0 {
            output.append(UInt8(ascii: "0") + UInt8(value / scale % 10))
            scale /= 10
        }
    }

    /// The proleptic Gregorian date, by H. Hinnant's "chrono-compatible low-level date algorithms".
    private static func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = daysSince1970 + 719_468
        let era = shifted.flooredQuotient(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension Int64 {
    fileprivate func flooredQuotient(by divisor: Int64) -> Int64 {
        (self >= 0 ? self : self - (divisor - 1)) / divisor
    }
}
