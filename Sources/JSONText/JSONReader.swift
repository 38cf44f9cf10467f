/// Why a text is not the JSON we accept.
public struct JSONError: Error, Equatable, CustomStringConvertible {
    /// Bytes from the start of the text.
    public let offset: Int
    /// What was expected or refused there.
    public let problem: String

    public init(offset: Int, problem: String) {
        self.offset = offset
        self.problem = problem
    }

    public var description: String { "not valid JSON at byte \(offset): \(problem)" }
}

/// A strict reader of JSON (RFC 8259) for texts that somebody may have meddled with.
///
/// Refused besides what the grammar refuses: invalid UTF-8, lone surrogates, a name that stands twice in one object,
/// numbers that are infinite as a double, anything after the value, and more depth or bytes than the limits allow.
public struct JSONReader {
    /// Bounds on what is read.
    public struct Limits: Sendable {
        /// How deep arrays and objects may lie in each other. The reader calls itself once for each.
        public var depth = 64
        /// The longest text, bytes.
        public var bytes = 16 << 20

        public init() {}

        public init(depth: Int, bytes: Int) {
            self.depth = depth
            self.bytes = bytes
        }
    }

    private let bytes: [UInt8]
    private let limits: Limits
    private var index = 0
    private var depth = 0

    /// Reads a text that holds exactly one value.
    public static func read(_ bytes: [UInt8], limits: Limits = Limits()) throws(JSONError) -> JSONValue {
        guard bytes.count <= limits.bytes else {
            throw JSONError(offset: limits.bytes, problem: "longer than \(limits.bytes) bytes")
        }
        var reader = JSONReader(bytes: bytes, limits: limits)
        reader.skipSpace()
        let value = try reader.value()
        reader.skipSpace()
        guard reader.index == bytes.count else { throw reader.error("something follows the value") }
        return value
    }

    private init(bytes: [UInt8], limits: Limits) {
        self.bytes = bytes
        self.limits = limits
    }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private func error(_ problem: String) -> JSONError { JSONError(offset: index, problem: problem) }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        index += 1
        return true
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        guard let byte = current else { throw error("the text ends where a value should stand") }
        switch byte {
        case UInt8(ascii: "{"): return .object(try nested(JSONReader.object))
        case UInt8(ascii: "["): return .array(try nested(JSONReader.array))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error("a value should stand here")
        }
    }

    private mutating func nested<Value>(
        _ read: (inout JSONReader) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        depth += 1
        guard depth <= limits.depth else { throw error("more than \(limits.depth) levels deep") }
        index += 1
        let value = try read(&self)
        depth -= 1
        return value
    }

    private static func object(_ reader: inout JSONReader) throws(JSONError) -> JSONObject {
        var object = JSONObject()
        reader.skipSpace()
        if reader.take(UInt8(ascii: "}")) { return object }
        while true {
            reader.skipSpace()
            let start = reader.index
            guard reader.current == UInt8(ascii: "\"") else { throw reader.error("a member's name should stand here") }
            let name = try reader.string()
            reader.skipSpace()
            guard reader.take(UInt8(ascii: ":")) else { throw reader.error("a colon should stand here") }
            reader.skipSpace()
            let value = try reader.value()
            guard object.append(name, value) else {
                throw JSONError(offset: start, problem: "the name stands twice in one object")
            }
            reader.skipSpace()
            if reader.take(UInt8(ascii: "}")) { return object }
            guard reader.take(UInt8(ascii: ",")) else { throw reader.error("a comma or } should stand here") }
        }
    }

    private static func array(_ reader: inout JSONReader) throws(JSONError) -> [JSONValue] {
        var values: [JSONValue] = []
        reader.skipSpace()
        if reader.take(UInt8(ascii: "]")) { return values }
        while true {
            reader.skipSpace()
            values.append(try reader.value())
            reader.skipSpace()
            if reader.take(UInt8(ascii: "]")) { return values }
            guard reader.take(UInt8(ascii: ",")) else { throw reader.error("a comma or ] should stand here") }
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        for byte in text.description.utf8 {
            guard take(byte) else { throw error("true, false or null should stand here") }
        }
        return value
    }

    private mutating func digits() -> Bool {
        let start = index
        while let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { index += 1 }
        return index > start
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = index
        var whole = true
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) {
            guard digits() else { throw error("a digit should stand here") }
        }
        if take(UInt8(ascii: ".")) {
            whole = false
            guard digits() else { throw error("a digit should stand here") }
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            whole = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            guard digits() else { throw error("a digit should stand here") }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if whole {
            if let value = Int64(text) { return .integer(value) }
            if let value = UInt64(text) { return .unsigned(value) }
        }
        guard let value = Double(text), value.isFinite else {
            throw JSONError(offset: start, problem: "the number is too large")
        }
        return .number(value)
    }

    private mutating func string() throws(JSONError) -> String {
        index += 1
        let start = index
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { index += 1 }
        if current == UInt8(ascii: "\"") {
            let text = try text(of: bytes[start..<index], at: start)
            index += 1
            return text
        }
        var unescaped = Array(bytes[start..<index])
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                let text = try text(of: unescaped[...], at: start)
                index += 1
                return text
            case UInt8(ascii: "\\"):
                index += 1
                try escape(into: &unescaped)
            case 0..<0x20:
                throw error("a control character stands in a string")
            default:
                unescaped.append(byte)
                index += 1
            }
        }
        throw error("the text ends inside a string")
    }

    private func text(of part: ArraySlice<UInt8>, at offset: Int) throws(JSONError) -> String {
        guard let text = String(validating: part, as: UTF8.self) else {
            throw JSONError(offset: offset, problem: "the string is not UTF-8")
        }
        return text
    }

    private mutating func escape(into output: inout [UInt8]) throws(JSONError) {
        guard let byte = current else { throw error("the text ends inside a string") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(byte)
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0C)
        case UInt8(ascii: "n"): output.append(0x0A)
        case UInt8(ascii: "r"): output.append(0x0D)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "u"):
            var value = UInt32(try codeUnit())
            if (0xD800...0xDBFF).contains(value) {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw error("half a surrogate pair") }
                let low = UInt32(try codeUnit())
                guard (0xDC00...0xDFFF).contains(low) else { throw error("half a surrogate pair") }
                value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(value) else { throw error("half a surrogate pair") }
            output.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        default:
            throw error("an unknown escape")
        }
    }

    private mutating func codeUnit() throws(JSONError) -> UInt16 {
        guard index + 4 <= bytes.count, let pair = Hexadecimal.bytes(of: bytes[index..<index + 4].span) else {
            throw error("four hexadecimal digits should stand here")
        }
        index += 4
        return UInt16(pair[0]) << 8 | UInt16(pair[1])
    }
}
