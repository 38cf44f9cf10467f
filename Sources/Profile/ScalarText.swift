/// Reads the TOML values that are not plain: strings with escapes or over several lines, integers in other bases or
/// with underscores, floating-point numbers, dates. See toml.io/en/v1.0.0, whose grammar the names follow.
enum ScalarText {
    struct Mistake: Error, Equatable {
        var found: String
        var remedy: String
    }

    /// - Parameter text: one value as it stands in the document, quotes included, nothing around it.
    static func read(_ text: String) throws(Mistake) -> Document.Value {
        let bytes = Array(text.utf8)
        switch bytes.first {
        case UInt8(ascii: "\""): return .string(try basicString(bytes))
        case UInt8(ascii: "'"): return .string(literalString(bytes))
        default: break
        }
        if let value = integer(bytes) ?? float(bytes) { return value }
        if isMoment(bytes) { return .moment(text) }
        throw Mistake(found: "\(quoted(text)) is no value", remedy: "strings need quotes; true, false and 42 need none")
    }

    // MARK: Strings

    /// What stands between three quotes, without a line end right after the opening ones; every line end as `\n`, which
    /// TOML leaves open, so that a profile saved on another system says the same.
    private static func block(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
        guard bytes.count >= 6, bytes[1] == bytes[0], bytes[2] == bytes[0] else { return nil }
        // The scanner lets no carriage return through but before a line end.
        let inner = bytes[3..<(bytes.count - 3)].filter { $0 != UInt8(ascii: "\r") }
        return inner.first == UInt8(ascii: "\n") ? inner.dropFirst() : inner[...]
    }

    private static func literalString(_ bytes: [UInt8]) -> String {
        String(decoding: block(bytes) ?? bytes[1..<(bytes.count - 1)], as: UTF8.self)
    }

    private static func basicString(_ bytes: [UInt8]) throws(Mistake) -> String {
        let block = block(bytes)
        var rest = block ?? bytes[1..<(bytes.count - 1)]
        var result: [UInt8] = []
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            if block != nil, skipFoldedLine(&rest) { continue }
            result += try escape(&rest).utf8
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// A backslash at a line's end takes the line end and all white space after it along.
    private static func skipFoldedLine(_ rest: inout ArraySlice<UInt8>) -> Bool {
        let tail = rest.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard tail.first == UInt8(ascii: "\n") else { return false }
        rest = tail.drop { " \t\n".utf8.contains($0) }
        return true
    }

    private static func escape(_ rest: inout ArraySlice<UInt8>) throws(Mistake) -> String {
        let byte = rest.popFirst() ?? 0
        switch byte {
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "u"): return try scalar(&rest, digits: 4)
        case UInt8(ascii: "U"): return try scalar(&rest, digits: 8)
        default:
            throw Mistake(
                found: "an unknown escape in a string", remedy: "write \\\\ for a backslash, or use single quotes")
        }
    }

    private static func scalar(_ rest: inout ArraySlice<UInt8>, digits: Int) throws(Mistake) -> String {
        let text = rest.prefix(digits)
        guard text.count == digits, text.allSatisfy({ isDigit($0, radix: 16) }),
            let code = UInt32(String(decoding: text, as: UTF8.self), radix: 16), let scalar = Unicode.Scalar(code)
        else {
            throw Mistake(
                found: "an escape that is no Unicode character", remedy: "\\u takes 4 hexadecimal digits, \\U takes 8")
        }
        rest = rest.dropFirst(digits)
        return String(Character(scalar))
    }

    // MARK: Numbers

    private static func integer(_ bytes: [UInt8]) -> Document.Value? {
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where bytes.starts(with: prefix.utf8) {
            guard let digits = digits(bytes.dropFirst(2), radix: radix) else { return nil }
            return Int64(digits, radix: radix).map { .integer($0) }
        }
        let sign = sign(bytes)
        guard let digits = digits(bytes.dropFirst(sign.utf8.count), radix: 10), !isPadded(digits) else { return nil }
        return Int64(sign + digits).map { .integer($0) }
    }

    private static func float(_ bytes: [UInt8]) -> Document.Value? {
        let sign = sign(bytes)
        let rest = bytes.dropFirst(sign.utf8.count)
        if rest.elementsEqual("inf".utf8) { return .float(sign == "-" ? -.infinity : .infinity) }
        if rest.elementsEqual("nan".utf8) { return .float(.nan) }
        let mantissaBytes = rest.prefix { $0 | 0x20 != UInt8(ascii: "e") }
        let exponentBytes = rest[mantissaBytes.endIndex...].dropFirst()
        let wholeBytes = mantissaBytes.prefix { $0 != UInt8(ascii: ".") }
        let hasPoint = wholeBytes.count < mantissaBytes.count
        let hasExponent = mantissaBytes.count < rest.count
        guard hasPoint || hasExponent, var number = digits(wholeBytes, radix: 10), !isPadded(number) else { return nil }
        if hasPoint {
            guard let fraction = digits(mantissaBytes[wholeBytes.endIndex...].dropFirst(), radix: 10) else {
                return nil
            }
            number += "." + fraction
        }
        if hasExponent {
            let exponentSign = self.sign(Array(exponentBytes))
            guard let exponent = digits(exponentBytes.dropFirst(exponentSign.utf8.count), radix: 10) else { return nil }
            number += "e" + exponentSign + exponent
        }
        return Double(sign + number).map { .float($0) }
    }

    private static func sign(_ bytes: [UInt8]) -> String {
        switch bytes.first {
        case UInt8(ascii: "-"): "-"
        case UInt8(ascii: "+"): "+"
        default: ""
        }
    }

    /// The digits without their underscores, each of which must stand between two digits; `nil` for anything else.
    private static func digits(_ bytes: ArraySlice<UInt8>, radix: Int) -> String? {
        var result: [UInt8] = []
        var previous = UInt8(ascii: "_")
        for byte in bytes {
            if byte == UInt8(ascii: "_") {
                guard previous != byte else { return nil }
            } else {
                guard isDigit(byte, radix: radix) else { return nil }
                result.append(byte)
            }
            previous = byte
        }
        return previous == UInt8(ascii: "_") ? nil : String(decoding: result, as: UTF8.self)
    }

    private static func isPadded(_ digits: String) -> Bool {
        digits.utf8.count > 1 && digits.utf8.first == UInt8(ascii: "0")
    }

    private static func isDigit(_ byte: UInt8, radix: Int) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0")) < radix
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): radix == 16
        default: false
        }
    }

    // MARK: Dates

    /// Whether it has the shape of a date, a time, or both. No key takes one, so the calendar is not asked.
    private static func isMoment(_ bytes: [UInt8]) -> Bool {
        if hasShape(bytes[...], "dd:dd:dd") { return isFraction(bytes.dropFirst(8)) }
        guard hasShape(bytes[...], "dddd-dd-dd") else { return false }
        if bytes.count == 10 { return true }
        guard "Tt ".utf8.contains(bytes[10]), hasShape(bytes.dropFirst(11), "dd:dd:dd") else { return false }
        var rest = bytes.dropFirst(19)
        if rest.last.map({ $0 | 0x20 == UInt8(ascii: "z") }) == true {
            rest = rest.dropLast()
        } else if rest.count >= 6, hasShape(rest.suffix(5), "dd:dd"), "+-".utf8.contains(rest[rest.endIndex - 6]) {
            rest = rest.dropLast(6)
        }
        return isFraction(rest)
    }

    private static func isFraction(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let first = bytes.first else { return true }
        return first == UInt8(ascii: ".") && bytes.count > 1 && bytes.dropFirst().allSatisfy { isDigit($0, radix: 10) }
    }

    private static func hasShape(_ bytes: ArraySlice<UInt8>, _ shape: String) -> Bool {
        guard bytes.count >= shape.utf8.count else { return false }
        return zip(bytes, shape.utf8).allSatisfy { byte, wanted in
            wanted == UInt8(ascii: "d") ? isDigit(byte, radix: 10) : byte == wanted
        }
    }
}
