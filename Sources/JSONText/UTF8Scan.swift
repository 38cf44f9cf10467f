/// Decodes UTF-8 that may be wrong anywhere: file names, arguments and host names are bytes, not text.
enum UTF8Scan {
    /// The character that starts at `index`, or `nil` when the bytes there are not well-formed UTF-8.
    ///
    /// Strict in the sense of RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
    @inline(__always)
    static func scalar(in bytes: Span<UInt8>, at index: Int) -> (value: UInt32, length: Int)? {
        let lead = bytes[index]
        if lead < 0x80 { return (UInt32(lead), 1) }
        let length: Int
        var value: UInt32
        let least: UInt32
        switch lead {
        case 0xC2...0xDF: (length, value, least) = (2, UInt32(lead & 0x1F), 0x80)
        case 0xE0...0xEF: (length, value, least) = (3, UInt32(lead & 0x0F), 0x800)
        case 0xF0...0xF4: (length, value, least) = (4, UInt32(lead & 0x07), 0x10000)
        default: return nil
        }
        guard index + length <= bytes.count else { return nil }
        for offset in 1..<length {
            let next = bytes[index + offset]
            guard next & 0xC0 == 0x80 else { return nil }
            value = value << 6 | UInt32(next & 0x3F)
        }
        guard value >= least, value <= 0x10FFFF, !(0xD800...0xDFFF).contains(value) else { return nil }
        return (value, length)
    }

    /// Whether every byte belongs to a well-formed character.
    static func isValid(_ bytes: Span<UInt8>) -> Bool {
        var index = 0
        while index < bytes.count {
            if bytes[index] < 0x80 {
                index += 1
            } else if let scalar = scalar(in: bytes, at: index) {
                index += scalar.length
            } else {
                return false
            }
        }
        return true
    }

    /// Characters that act on a terminal or on a reader's eye instead of being seen: the C0 and C1 controls, DEL,
    /// the line and paragraph separators (some readers split lines there) and the bidirectional controls (which
    /// can make a name read as another, CVE-2021-42574).
    @inline(__always)
    static func isControl(_ value: UInt32) -> Bool {
        if value < 0x20 { return true }
        if value < 0x7F { return false }
        switch value {
        case 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: return true
        default: return false
        }
    }
}
