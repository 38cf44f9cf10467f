import TOMLKit

/// Values the scanner does not read itself (escapes, strings over several lines, floats, dates, other integers), and
/// the last word on whether a whole text is TOML: both are TOMLKit's.
enum UnusualValue {
    struct Mistake: Error {
        var position: Document.Position
        var found: String
    }

    /// One value as it stands in the document, without what surrounds it.
    static func read(_ text: String) -> Result<Document.Value, Mistake> {
        switch parse("v = " + text) {
        case .failure(let mistake):
            return .failure(mistake)
        case .success(let table):
            guard let node = table["v"] else {
                return .failure(Mistake(position: Document.Position(line: 1, column: 1), found: "no value"))
            }
            if let string = node.string { return .success(.string(string)) }
            if let integer = node.int { return .success(.integer(Int64(integer))) }
            if let float = node.double { return .success(.float(float)) }
            if let boolean = node.bool { return .success(.boolean(boolean)) }
            return .success(.moment(text))
        }
    }

    /// `nil` when the whole text is TOML. Its place is where TOMLKit noticed, which may be after the cause.
    static func mistake(in text: String) -> Mistake? {
        switch parse(text) {
        case .success: nil
        case .failure(let mistake): mistake
        }
    }

    private static func parse(_ text: String) -> Result<TOMLTable, Mistake> {
        do {
            return .success(try TOMLTable(string: text))
        } catch let error as TOMLParseError {
            let position = Document.Position(line: error.source.begin.line, column: error.source.begin.column)
            return .failure(Mistake(position: position, found: "not TOML: \(error.description)"))
        } catch {
            return .failure(Mistake(position: Document.Position(line: 1, column: 1), found: "not TOML"))
        }
    }
}
