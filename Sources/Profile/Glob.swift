/// Globs over one name: `*` is any run of bytes (an initial dot included), `?` any one byte.
enum Glob {
    static func isSpecial(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "*") || byte == UInt8(ascii: "?") }

    /// Linear in practice, at worst pattern times name; allocates nothing. Ranges are checked by the spans.
    static func matches(
        _ pattern: borrowing Span<UInt8>, _ patternRange: Range<Int>, _ name: borrowing Span<UInt8>,
        _ nameRange: Range<Int>
    ) -> Bool {
        var p = patternRange.lowerBound
        var n = nameRange.lowerBound
        // Where to come back to: after the last star seen, with one byte more given to it.
        var star = -1
        var resume = 0
        while n < nameRange.upperBound {
            if p < patternRange.upperBound, pattern[p] == UInt8(ascii: "*") {
                star = p
                resume = n
                p += 1
            } else if p < patternRange.upperBound, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
                p += 1
                n += 1
            } else if star >= 0 {
                p = star + 1
                resume += 1
                n = resume
            } else {
                return false
            }
        }
        while p < patternRange.upperBound, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == patternRange.upperBound
    }

    /// Whether `name` is one the glob `pattern` means.
    public static func matches(_ pattern: String, _ name: String) -> Bool {
        let patternBytes = Array(pattern.utf8)
        let nameBytes = Array(name.utf8)
        return matches(patternBytes.span, patternBytes.indices, nameBytes.span, nameBytes.indices)
    }
}
