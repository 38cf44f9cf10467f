/// What is wrong with the text of a size, a duration, a share of the processor or a number.
public struct AmountError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was found.
    public var found: String
    /// What would be right.
    public var remedy: String

    public init(found: String, remedy: String) {
        self.found = found
        self.remedy = remedy
    }

    public var description: String { "\(found); \(remedy)" }
}

/// `2G`, `1.8G`, `512M`, `64K`, `1T`, plain bytes, or `75%` of the machine's memory. Units are powers of 1024.
public enum SizeText {
    /// - Throws: when it is no size, negative, or more than 2^63 - 1 bytes.
    public static func parse(_ text: String) throws(AmountError) -> Profile.Amount {
        if text.utf8.last == UInt8(ascii: "%") {
            guard let percent = Int(text.dropLast()), percent >= 1, percent <= 100 else {
                throw AmountError(found: "\(quoted(text)) is no share of the memory", remedy: "write 1% to 100%")
            }
            return .percentOfMemory(percent)
        }
        return .bytes(try parseBytes(text))
    }

    /// A size that cannot be a share of something.
    public static func parseBytes(_ text: String) throws(AmountError) -> UInt64 {
        let (number, unit) = splitNumber(text)
        let scale: UInt64? =
            switch unit.lowercased() {
            case "", "b": 1
            case "k", "kib": 1 << 10
            case "m", "mib": 1 << 20
            case "g", "gib": 1 << 30
            case "t", "tib": 1 << 40
            default: nil
            }
        guard let scale, let bytes = scaled(number, by: scale), bytes <= UInt64(Int64.max) else {
            throw AmountError(
                found: "\(quoted(text)) is no size", remedy: "write a number with K, M, G or T, such as \"512M\"")
        }
        return bytes
    }

    /// The shortest text that parses to the same amount.
    public static func describe(_ amount: Profile.Amount) -> String {
        switch amount {
        case .percentOfMemory(let percent): return "\(percent)%"
        case .bytes(let bytes): return describe(bytes: bytes)
        }
    }

    public static func describe(bytes: UInt64) -> String {
        guard bytes > 0 else { return "0" }
        for (unit, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] {
            let scale = UInt64(1) << UInt64(shift)
            if bytes % scale == 0 { return "\(bytes / scale)\(unit)" }
            // 1.8G is not a whole number of bytes: look whether one decimal says it.
            let tenths = (bytes / scale) * 10 + ((bytes % scale) * 10 + scale - 1) / scale
            let text = "\(tenths / 10).\(tenths % 10)\(unit)"
            if bytes >= scale, (try? parseBytes(text)) == bytes { return text }
        }
        return "\(bytes)"
    }
}

/// `500ms`, `30s`, `10m`, `1h`, `2d`, or several in falling order: `1h30m`.
public enum DurationText {
    /// - Returns: milliseconds.
    /// - Throws: when it is no duration, or longer than ten years.
    public static func parse(_ text: String) throws(AmountError) -> Int {
        var rest = text
        var total: UInt64 = 0
        var largest = UInt64.max
        repeat {
            let (number, tail) = splitNumber(rest)
            let unit = String(tail.prefix(while: { !$0.isNumber }))
            let scale: UInt64? =
                switch unit {
                case "ms": 1
                case "s": 1000
                case "m": 60_000
                case "h": 3_600_000
                case "d": 86_400_000
                default: nil
                }
            guard let scale, scale < largest, let part = scaled(number, by: scale), part <= Self.limit else {
                throw AmountError(
                    found: "\(quoted(text)) is no duration",
                    remedy: "write a number with ms, s, m, h or d, such as \"30s\" or \"10m\"")
            }
            total += part
            largest = scale
            rest = String(tail.dropFirst(unit.count))
        } while !rest.isEmpty
        guard total <= Self.limit else {
            throw AmountError(found: "\(quoted(text)) is too long", remedy: "at most ten years")
        }
        return Int(total)
    }

    /// The text of the largest units that say it exactly.
    public static func describe(milliseconds: Int) -> String {
        guard milliseconds > 0 else { return "0s" }
        for (unit, scale) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
        where milliseconds % scale == 0 {
            return "\(milliseconds / scale)\(unit)"
        }
        return "\(milliseconds)ms"
    }

    private static let limit: UInt64 = 3650 * 86_400_000
}

/// `80%` of one core, or a number of cores: `1.5`.
public enum ProcessorText {
    /// - Returns: percent of one core.
    public static func parse(_ text: String) throws(AmountError) -> Int {
        let isPercent = text.utf8.last == UInt8(ascii: "%")
        let number = isPercent ? String(text.dropLast()) : text
        guard let percent = scaled(number, by: isPercent ? 1 : 100), percent >= 1, percent <= 409_600,
            !(isPercent && number.utf8.contains(UInt8(ascii: ".")))
        else {
            throw AmountError(
                found: "\(quoted(text)) is no share of the processor",
                remedy: "write percent of one core such as \"80%\", or cores such as \"1.5\"")
        }
        return Int(percent)
    }

    public static func describe(percent: Int) -> String { "\(percent)%" }
}

/// A whole number within bounds.
public enum CountText {
    public static func parse(_ text: String, in range: ClosedRange<Int>) throws(AmountError) -> Int {
        guard let number = Int(text), text.utf8.first != UInt8(ascii: "+") else {
            throw AmountError(found: "\(quoted(text)) is no whole number", remedy: bounds(range))
        }
        return try check(number, in: range)
    }

    static func check(_ number: Int, in range: ClosedRange<Int>) throws(AmountError) -> Int {
        guard range.contains(number) else {
            throw AmountError(found: "\(number) is out of range", remedy: bounds(range))
        }
        return number
    }

    private static func bounds(_ range: ClosedRange<Int>) -> String {
        "write a whole number from \(range.lowerBound) to \(range.upperBound)"
    }
}

/// The leading digits (with at most one point among them) and what follows.
private func splitNumber(_ text: String) -> (number: String, rest: String) {
    let number = text.utf8.prefix { ($0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9")) || $0 == UInt8(ascii: ".") }
    return (String(Substring(number)), String(text.utf8.dropFirst(number.count)) ?? "")
}

/// `number` times `scale`, rounded down; exact, without floating point. `nil` when it is no number or too large.
private func scaled(_ number: String, by scale: UInt64) -> UInt64? {
    var whole: UInt64 = 0
    var fraction: UInt64 = 0
    var fractionScale: UInt64 = 1
    var seenPoint = false
    var digitsBefore = 0
    var digitsAfter = 0
    for byte in number.utf8 {
        if byte == UInt8(ascii: ".") {
            guard !seenPoint, digitsBefore > 0 else { return nil }
            seenPoint = true
            continue
        }
        guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
        let digit = UInt64(byte - UInt8(ascii: "0"))
        if seenPoint {
            digitsAfter += 1
            guard digitsAfter <= 6 else { return nil }
            fraction = fraction * 10 + digit
            fractionScale *= 10
        } else {
            digitsBefore += 1
            guard digitsBefore <= 19 else { return nil }
            whole = whole * 10 + digit
        }
    }
    guard digitsBefore > 0, !seenPoint || digitsAfter > 0 else { return nil }
    let (product, overflow) = whole.multipliedReportingOverflow(by: scale)
    guard !overflow else { return nil }
    let (high, low) = fraction.multipliedFullWidth(by: scale)
    let (sum, carries) = product.addingReportingOverflow(fractionScale.dividingFullWidth((high, low)).quotient)
    return carries ? nil : sum
}
