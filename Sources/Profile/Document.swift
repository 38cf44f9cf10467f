/// A TOML document as the profile checker wants it: every assignment in the order written, with its place.
///
/// Names are canonical dotted paths (`limits.memory`), however the document wrote them: under a header, as a dotted
/// key or in an inline table. A part that is no bare key keeps its quotes, so that it equals no name of ours.
struct Document: Equatable {
    struct Position: Equatable, Sendable {
        var line: Int
        var column: Int
    }

    enum Value: Equatable {
        case string(String)
        case integer(Int64)
        case float(Double)
        case boolean(Bool)
        /// A date, a time or both; no profile key takes one.
        case moment(String)
        case array([Element])
        /// A table inside an array; no profile key takes one.
        case table
        /// Not a TOML value; the mistake has been reported already.
        case invalid

        /// What it is, for messages.
        var kind: String {
            switch self {
            case .string: "a string"
            case .integer: "a whole number"
            case .float: "a floating-point number"
            case .boolean: "a boolean"
            case .moment: "a date or time"
            case .array: "a list"
            case .table: "a table"
            case .invalid: "no value"
            }
        }
    }

    struct Element: Equatable {
        var value: Value
        var position: Position
    }

    struct Entry: Equatable {
        var name: String
        var position: Position
        var value: Value
        var valuePosition: Position
    }

    /// `[name]`, `[[name]]` or `name = { ... }`.
    struct Header: Equatable {
        var name: String
        var position: Position
        var isArrayElement: Bool
    }

    struct Mistake: Equatable {
        var position: Position
        var found: String
        var remedy: String
    }

    var entries: [Entry] = []
    var headers: [Header] = []
    var mistakes: [Mistake] = []
}
