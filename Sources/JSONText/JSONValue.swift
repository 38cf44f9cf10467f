/// A JSON value that was read: sessions, manifests and reports come back as these.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A whole number that fits `Int64`.
    case integer(Int64)
    /// A whole number above `Int64.max` that fits `UInt64`.
    case unsigned(UInt64)
    /// Any other number.
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// The member of an object; `nil` for anything else.
    public subscript(name: String) -> JSONValue? {
        if case .object(let object) = self { return object[name] }
        return nil
    }

    /// The text, if it is a string.
    public var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    /// The number, if it is a whole one that fits.
    public var int64: Int64? {
        if case .integer(let value) = self { return value }
        return nil
    }

    /// The number, if it is a whole one that fits.
    public var uint64: UInt64? {
        switch self {
        case .integer(let value): UInt64(exactly: value)
        case .unsigned(let value): value
        default: nil
        }
    }

    /// The truth value, if it is one.
    public var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    /// The elements, if it is an array.
    public var array: [JSONValue]? {
        if case .array(let values) = self { return values }
        return nil
    }

    /// The members, if it is an object.
    public var object: JSONObject? {
        if case .object(let object) = self { return object }
        return nil
    }
}

/// The members of a JSON object, in the order they stood; a name stands once.
public struct JSONObject: Sendable, Equatable {
    /// Names and values in order.
    public private(set) var members: [Member] = []
    /// Only made for larger objects: most records have a handful of members, found sooner by looking along.
    private var places: [String: Int] = [:]
    private static let lookAlong = 16

    public struct Member: Sendable, Equatable {
        public let name: String
        public let value: JSONValue
    }

    public init() {}

    /// The value of the member with this name.
    public subscript(name: String) -> JSONValue? {
        place(of: name).map { members[$0].value }
    }

    /// Adds a member.
    /// - Returns: `false`, and nothing is added, when the name (up to Unicode's canonical equivalence) is there.
    public mutating func append(_ name: String, _ value: JSONValue) -> Bool {
        guard place(of: name) == nil else { return false }
        members.append(Member(name: name, value: value))
        if members.count == Self.lookAlong + 1 {
            for (place, member) in members.enumerated() { places[member.name] = place }
        } else if members.count > Self.lookAlong {
            places[name] = members.count - 1
        }
        return true
    }

    private func place(of name: String) -> Int? {
        if members.count > Self.lookAlong { return places[name] }
        return members.firstIndex { $0.name == name }
    }
}

extension JSONValue: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let value): writer.bool(value)
        case .integer(let value): writer.int(value)
        case .unsigned(let value): writer.uint(value)
        case .number(let value): writer.double(value)
        case .string(let value): writer.string(value)
        case .array(let values):
            writer.array { writer in
                for value in values { value.write(to: &writer) }
            }
        case .object(let object):
            writer.object { writer in
                for member in object.members { writer.member(member.name, member.value) }
            }
        }
    }
}
