/// A TOML document as the profile checker wants it: every assignment in the order written, with its place.
///
/// Names are canonical dotted paths (`limits.memory`), however the document wrote them: under a header, as a dotted
/// key or in an inline table. A part that is no bare key keeps its quotes, so that it equals no name of ours.
package struct Document: Equatable {
    package struct Position: Equatable, Sendable {
        package var line: Int
        package var column: Int
    }

    package enum Value: Equatable {
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
        package var kind: String {
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

    package struct Element: Equatable {
        package var value: Value
        package var position: Position
    }

    package struct Entry: Equatable {
        package var name: String
        package var position: Position
        package var value: Value
        package var valuePosition: Position
    }

    /// `[name]`, `[[name]]` or `name = { ... }`.
    package struct Header: Equatable {
        package var name: String
        package var position: Position
        package var isArrayElement: Bool
    }

    package struct Mistake: Equatable {
        package var position: Position
        package var found: String
        package var remedy: String
    }

    package var entries: [Entry] = []
    package var headers: [Header] = []
    package var mistakes: [Mistake] = []
}
