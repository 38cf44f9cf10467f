/// A type that writes itself as one JSON value.
public protocol JSONWritable {
    /// Appends exactly one value to `writer`.
    func write(to writer: inout JSONWriter)
}

/// Writes JSON (RFC 8259) into a buffer of bytes, value by value; nothing else is allocated.
///
/// Whatever is put in, what comes out is valid JSON in valid UTF-8, and one line unless `pretty`: control characters,
/// C1 controls, line separators and bidirectional controls are escaped, bytes that are not UTF-8 become U+FFFD
/// (``member(_:bytes:)`` keeps them readable beside it), and numbers JSON cannot hold become `null`.
///
/// A fresh writer may also write members without an enclosing object: a *fragment*, to be framed by somebody else.
public struct JSONWriter: Sendable {
    /// Everything written so far.
    public private(set) var bytes: [UInt8] = []
    /// Whether everything begun is ended: no object or array is open, no name waits for its value.
    public var isComplete: Bool { depth == 0 && !followsKey }
    private var depth = 0
    private let pretty: Bool
    private var needsComma = false
    private var followsKey = false

    /// - Parameter pretty: two spaces of indentation and a line per member, for people.
    public init(pretty: Bool = false) {
        self.pretty = pretty
    }

    /// The text of one value.
    public static func text(of value: some JSONWritable, pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        value.write(to: &writer)
        return writer.bytes
    }

    // MARK: Structure

    /// Writes an object whose members are written by `members`.
    public mutating func object<Failure>(_ members: (inout JSONWriter) throws(Failure) -> Void) throws(Failure) {
        open(UInt8(ascii: "{"))
        try members(&self)
        close(UInt8(ascii: "}"))
    }

    /// Writes an array whose elements are written by `elements`.
    public mutating func array<Failure>(_ elements: (inout JSONWriter) throws(Failure) -> Void) throws(Failure) {
        open(UInt8(ascii: "["))
        try elements(&self)
        close(UInt8(ascii: "]"))
    }

    /// Starts a member of the open object; the next value written is its value.
    public mutating func key(_ name: String) {
        separate()
        appendQuoted(name.utf8.span)
        bytes.append(UInt8(ascii: ":"))
        if pretty { bytes.append(UInt8(ascii: " ")) }
        followsKey = true
    }

    // MARK: Values

    /// Writes a string.
    public mutating func string(_ value: String) {
        separate()
        appendQuoted(value.utf8.span)
        needsComma = true
    }

    /// Writes bytes as a string.
    /// - Returns: whether they were UTF-8; if not, each wrong byte reads U+FFFD.
    @discardableResult
    public mutating func string(bytes value: Span<UInt8>) -> Bool {
        separate()
        let lossless = appendQuoted(value)
        needsComma = true
        return lossless
    }

    /// Writes bytes as a string; see ``string(bytes:)-(Span<UInt8>)``.
    @discardableResult
    public mutating func string(bytes value: [UInt8]) -> Bool {
        string(bytes: value.span)
    }

    /// Writes a signed integer.
    public mutating func int(_ value: Int64) {
        separate()
        appendDigits(value.magnitude, negative: value < 0)
        needsComma = true
    }

    /// Writes an unsigned integer.
    public mutating func uint(_ value: UInt64) {
        separate()
        appendDigits(value, negative: false)
        needsComma = true
    }

    /// Writes any integer.
    @inlinable
    public mutating func integer<Number: FixedWidthInteger>(_ value: Number) {
        if Number.isSigned {
            int(Int64(clamping: value))
        } else {
            uint(UInt64(clamping: value))
        }
    }

    /// Writes a number so that reading it gives the same one; `null` for infinities and NaN, which JSON lacks.
    public mutating func double(_ value: Double) {
        guard value.isFinite else { return null() }
        separate()
        bytes.append(contentsOf: value.description.utf8)
        needsComma = true
    }

    /// Writes `true` or `false`.
    public mutating func bool(_ value: Bool) {
        separate()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
        needsComma = true
    }

    /// Writes `null`.
    public mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
        needsComma = true
    }

    /// Writes any value that can write itself.
    public mutating func value(_ value: some JSONWritable) {
        value.write(to: &self)
    }

    // MARK: Buffers of several fragments

    /// Starts a new fragment behind what is there: no comma is written in front of its first member.
    public mutating func beginFragment() {
        depth = 0
        needsComma = false
        followsKey = false
    }

    /// Takes back everything written after the first `count` bytes, and begins a fragment there.
    public mutating func truncate(to count: Int) {
        if count < bytes.count { bytes.removeSubrange(count...) }
        beginFragment()
    }

    /// Empties the buffer, keeping its memory.
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        beginFragment()
    }

    // MARK: Private

    private mutating func open(_ bracket: UInt8) {
        separate()
        bytes.append(bracket)
        depth += 1
        needsComma = false
    }

    private mutating func close(_ bracket: UInt8) {
        depth -= 1
        if needsComma { breakLine() }
        bytes.append(bracket)
        needsComma = true
        followsKey = false
    }

    private mutating func separate() {
        if followsKey {
            followsKey = false
            needsComma = false
            return
        }
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        if depth > 0 { breakLine() }
        needsComma = false
    }

    private mutating func breakLine() {
        guard pretty else { return }
        bytes.append(UInt8(ascii: "\n"))
        for _ in 0..<depth {
            bytes.append(UInt8(ascii: " "))
            bytes.append(UInt8(ascii: " "))
        }
    }

    private mutating func appendDigits(_ magnitude: UInt64, negative: Bool) {
        if negative { bytes.append(UInt8(ascii: "-")) }
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var rest = magnitude
        var first = 20
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        for index in first..<20 { bytes.append(digits[index]) }
    }

    @discardableResult
    private mutating func appendQuoted(_ text: Span<UInt8>) -> Bool {
        bytes.append(UInt8(ascii: "\""))
        let lossless = JSONEscaping.append(text, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
        return lossless
    }
}
