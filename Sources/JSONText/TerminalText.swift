/// Text for a terminal, made of bytes nobody vouches for (attack: escape sequences in names, CVE-2023-28101).
public enum TerminalText {
    /// `bytes` with everything that would act on the terminal shown as `\xNN`, byte by byte.
    ///
    /// That is: C0 and C1 controls (newline and tab too: a message is one line), DEL, line separators, bidirectional
    /// controls, and bytes that are not UTF-8. A backslash is doubled, so that a name which spells `\x1b` in letters
    /// cannot be taken for an escaped one.
    public static func escaped(_ bytes: Span<UInt8>) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            let scalar = UTF8Scan.scalar(in: bytes, at: index)
            let length = scalar?.length ?? 1
            if let scalar, !UTF8Scan.isControl(scalar.value) {
                if scalar.value == 0x5C { output.append(UInt8(ascii: "\\")) }
                for offset in 0..<length { output.append(bytes[index + offset]) }
            } else {
                for offset in 0..<length {
                    output.append(UInt8(ascii: "\\"))
                    output.append(UInt8(ascii: "x"))
                    output.append(Hexadecimal.digit(bytes[index + offset] >> 4))
                    output.append(Hexadecimal.digit(bytes[index + offset] & 0x0F))
                }
            }
            index += length
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// The same for bytes in an array.
    public static func escaped(_ bytes: [UInt8]) -> String { escaped(bytes.span) }

    /// The same for text.
    public static func escaped(_ text: String) -> String { escaped(text.utf8.span) }
}
