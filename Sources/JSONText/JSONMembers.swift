/// One call for a member's name and value: how nearly all records are written.
extension JSONWriter {
    /// Writes a member; `null` for `nil`.
    public mutating func member(_ name: String, _ value: String?) {
        key(name)
        if let value { string(value) } else { null() }
    }

    /// Writes a member; `null` for `nil`.
    @inlinable
    public mutating func member<Number: FixedWidthInteger>(_ name: String, _ value: Number?) {
        key(name)
        if let value { integer(value) } else { null() }
    }

    /// Writes a member.
    public mutating func member(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }

    /// Writes a member.
    public mutating func member(_ name: String, _ value: Double) {
        key(name)
        double(value)
    }

    /// Writes a member.
    public mutating func member(_ name: String, _ value: some JSONWritable) {
        key(name)
        value.write(to: &self)
    }

    /// Writes a member that is an array of strings.
    public mutating func member(_ name: String, _ values: [String]) {
        key(name)
        array { writer in
            for value in values { writer.string(value) }
        }
    }

    /// Writes a member that is an array.
    public mutating func member(_ name: String, _ values: [some JSONWritable]) {
        key(name)
        array { writer in
            for value in values { value.write(to: &writer) }
        }
    }

    /// Writes a member that is an object.
    public mutating func object<Failure>(
        _ name: String, _ members: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        key(name)
        try object(members)
    }

    /// Writes a member that is an array.
    public mutating func array<Failure>(
        _ name: String, _ elements: (inout JSONWriter) throws(Failure) -> Void
    ) throws(Failure) {
        key(name)
        try array(elements)
    }

    /// Writes a member whose value is bytes: a path, a name, an argument.
    ///
    /// Bytes that are not UTF-8 read U+FFFD; then, and only then, a second member `<name>_hex` holds all of them in
    /// hexadecimal, so that nothing is lost.
    public mutating func member(_ name: String, bytes value: Span<UInt8>) {
        key(name)
        if !string(bytes: value) {
            key(name + "_hex")
            hexadecimal(value)
        }
    }

    /// Writes a member whose value is bytes; see ``member(_:bytes:)-(_,Span<UInt8>)``.
    public mutating func member(_ name: String, bytes value: [UInt8]) {
        member(name, bytes: value.span)
    }

    /// Writes a member that is an array of byte strings, and `<name>_hex` (all of them) when one is not UTF-8.
    public mutating func member(_ name: String, byteStrings values: [[UInt8]]) {
        key(name)
        var lossless = true
        array { writer in
            for value in values where !writer.string(bytes: value) { lossless = false }
        }
        if lossless { return }
        array(name + "_hex") { writer in
            for value in values { writer.hexadecimal(value.span) }
        }
    }

    private mutating func hexadecimal(_ value: Span<UInt8>) {
        var digits: [UInt8] = []
        Hexadecimal.append(value, to: &digits)
        string(bytes: digits)
    }
}
