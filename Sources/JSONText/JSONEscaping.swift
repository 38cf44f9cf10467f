/// Turns arbitrary bytes into the inside of a JSON string.
enum JSONEscaping {
    /// Appends `text`, escaped; each byte that is not UTF-8 becomes U+FFFD.
    /// - Returns: whether nothing had to be replaced.
    static func append(_ text: Span<UInt8>, to output: inout [UInt8]) -> Bool {
        var lossless = true
        var index = 0
        // Names are almost always plain: they are copied in runs, not byte by byte.
        var plain = 0
        while index < text.count {
            let byte = text[index]
            if byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") {
                index += 1
                continue
            }
            if byte >= 0x80, let scalar = UTF8Scan.scalar(in: text, at: index), !UTF8Scan.isControl(scalar.value) {
                index += scalar.length
                continue
            }
            copy(text.extracting(plain..<index), to: &output)
            if let scalar = UTF8Scan.scalar(in: text, at: index) {
                escape(scalar.value, to: &output)
                index += scalar.length
            } else {
                output.append(0xEF)
                output.append(0xBF)
                output.append(0xBD)
                lossless = false
                index += 1
            }
            plain = index
        }
        copy(text.extracting(plain..<index), to: &output)
        return lossless
    }

    private static func copy(_ run: Span<UInt8>, to output: inout [UInt8]) {
        guard !run.isEmpty else { return }
        output.append(addingCapacity: run.count) { space in
            for index in run.indices { space.append(run[index]) }
        }
    }

    /// Every character that is escaped lies below U+10000, so one `\uXXXX` holds it.
    private static func escape(_ value: UInt32, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\\"))
        switch value {
        case 0x22: output.append(UInt8(ascii: "\""))
        case 0x5C: output.append(UInt8(ascii: "\\"))
        case 0x08: output.append(UInt8(ascii: "b"))
        case 0x09: output.append(UInt8(ascii: "t"))
        case 0x0A: output.append(UInt8(ascii: "n"))
        case 0x0C: output.append(UInt8(ascii: "f"))
        case 0x0D: output.append(UInt8(ascii: "r"))
        default:
            output.append(UInt8(ascii: "u"))
            output.append(Hexadecimal.digit(UInt8(truncatingIfNeeded: value >> 12) & 0x0F))
            output.append(Hexadecimal.digit(UInt8(truncatingIfNeeded: value >> 8) & 0x0F))
            output.append(Hexadecimal.digit(UInt8(truncatingIfNeeded: value >> 4) & 0x0F))
            output.append(Hexadecimal.digit(UInt8(truncatingIfNeeded: value) & 0x0F))
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
public enum Hexadecimal {
    /// The digit for 0...15.
    @inline(__always)
    static func digit(_ nibble: UInt8) -> UInt8 {
        nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
    }

    /// Appends two digits for each byte.
    public static func append(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
        output.append(addingCapacity: bytes.count * 2) { space in
            for index in bytes.indices {
                space.append(digit(bytes[index] >> 4))
                space.append(digit(bytes[index] & 0x0F))
            }
        }
    }

    /// The digits of `bytes` as text.
    public static func text(of bytes: [UInt8]) -> String {
        var digits: [UInt8] = []
        append(bytes.span, to: &digits)
        return String(decoding: digits, as: UTF8.self)
    }

    /// The bytes that `digits` (either case) stand for; `nil` for an odd count or anything that is no digit.
    public static func bytes(of digits: Span<UInt8>) -> [UInt8]? {
        guard digits.count.isMultiple(of: 2) else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(digits.count / 2)
        var index = 0
        while index < digits.count {
            guard let high = value(of: digits[index]), let low = value(of: digits[index + 1]) else { return nil }
            result.append(high << 4 | low)
            index += 2
        }
        return result
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
