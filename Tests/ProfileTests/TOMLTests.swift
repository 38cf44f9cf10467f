import TOMLKit
import Testing

@testable import Profile

/// Our reader against TOMLKit's: what one takes the other takes, and they read the same values.
@Suite struct TOMLTests {
    private func value(_ text: String) -> Document.Value? {
        let document = DocumentScanner.scan(Array("v = \(text)\n".utf8))
        guard document.mistakes.isEmpty, let entry = document.entries.first, entry.name == "v" else { return nil }
        return entry.value
    }

    private func reference(_ text: String) -> Document.Value? {
        guard let table = try? TOMLTable(string: "v = \(text)\n"), let node = table["v"] else { return nil }
        return convert(node, text)
    }

    private func convert(_ node: any TOMLValueConvertible, _ text: String) -> Document.Value {
        if let string = node.string { return .string(string) }
        if let integer = node.int { return .integer(Int64(integer)) }
        if let float = node.double { return .float(float) }
        if let boolean = node.bool { return .boolean(boolean) }
        if let array = node.array {
            return .array(
                array.map { Document.Element(value: convert($0, ""), position: Document.Position(line: 0, column: 0)) })
        }
        return node.table != nil ? .table : .moment(text)
    }

    private func same(_ one: Document.Value?, _ other: Document.Value?) -> Bool {
        switch (one, other) {
        case (.float(let a)?, .float(let b)?): a == b || (a.isNaN && b.isNaN)
        case (.moment?, .moment?): true
        case (.array(let a)?, .array(let b)?): a.count == b.count && zip(a, b).allSatisfy { same($0.value, $1.value) }
        default: one == other
        }
    }

    @Test(arguments: [
        "1", "-1", "+1", "0", "-0", "+0", "1_000", "0x1F", "0x1f_ff", "0o17", "0b101", "9223372036854775807",
        "-9223372036854775808", "1.5", "1.5e3", "1e3", "1E-2", "-1.5e+3", "1_0.2_5", "1e05", "inf", "+inf", "-inf",
        "nan",
        "-nan", "true", "false", "\"\"", "''", "\"a\"", "'a\\b'", "\"a\\tb\\n\"", "\"\\u00e9\"", "\"\\U0001F600\"",
        "\"a\\\"b\"", "\"a\\\\\"", "\"\"\"a\"\"\"", "\"\"\"\na\nb\"\"\"", "\"\"\"a \\\n   b\"\"\"", "\"\"\"a\"\"\"\"",
        "\"\"\"a\"\"\"\"\"", "'''\na'b'''", "'''a''''", "'''a\\u0041'''", "\"\"\"\\u0041\"\"\"", "1979-05-27",
        "1979-05-27T07:32:00Z", "1979-05-27 07:32:00", "1979-05-27T07:32:00.5-07:00", "07:32:00", "07:32:00.25",
        "[1, 2]",
        "[1, 2,]", "[]", "[ # c\n 1,\n # d\n 2 ]", "[[1], ['a']]", "[{a = 1}]", "\"é\"", "[\"a\", 1, true, 1.5]",
        "\"a\" # c", "1#c", "[1]#c", "\"\"\"\r\na\r\nb \\\r\n c\"\"\"",
    ])
    func readsWhatTOMLKitReads(text: String) {
        #expect(value(text) != nil)
        #expect(same(value(text), reference(text)), "\(text): \(String(describing: value(text)))")
    }

    /// TOMLKit is not asked: built for debugging, it aborts on several of these.
    @Test(arguments: [
        "00", "01", "+01", "1__0", "_1", "1_", "0X1", "0xg", "0o8", "0b2", "-0x1", "9223372036854775808", "1.", ".5",
        "1e", "1e+", "01.5", "Inf", "True", "truefalse", "\"\\ud800\"", "\"\\U00110000\"", "\"\\x41\"", "\"\\u12\"",
        "\"unclosed", "'unclosed", "\"\"\"unclosed\"\"", "[1 2]", "[,]", "[1", "2G", "abc", "", "1 2", "\"a\" \"b\"",
        "[1],", "=", "\"\"\"a\"\"\"\"\"\"", "'''a\rb'''", "1979-05", "07:32", "1979-05-27T", "\u{1}", "\"\u{1}\"",
    ])
    func refusesWhatIsNoTOML(text: String) {
        #expect(value(text) == nil)
    }

    @Test func whatIsAcceptedFromNoiseIsTOML() {
        var numbers = Numbers(state: 3)
        let pieces = [
            "0", "1", "7", "9", "_", ".", "e", "E", "+", "-", "x", "o", "b", "f", "a", "\"", "'", "\\", "\\n",
            "\\u0041",
            "[", "]", ",", " ", "\n", "true", "inf", "nan", "#", "\t", "=", "é", "\"\"\"", "'''", "\r\n",
        ]
        var accepted = 0
        for _ in 0..<30_000 {
            let text = (0..<(1 + numbers.below(7))).map { _ in numbers.pick(pieces) }.joined()
            guard let ours = value(text) else { continue }
            accepted += 1
            #expect(same(ours, reference(text)), "\(text.debugDescription): \(ours)")
        }
        #expect(accepted > 500)
    }

    @Test func acceptedDocumentsAreTOML() {
        var numbers = Numbers(state: 5)
        let pieces = [
            "a", "b", "c.d", "\"q r\"", "'s'", " = ", "=", "1", "\"x\"", "[1, 2]", "{ e = 1 }", "{}", "\n", "\n", "\n",
            "[t]\n", "[u.v]\n", "# c\n", " ", "\t", "[[w]]\n", "true", "\r\n", ".", ",", "[", "]",
        ]
        var accepted = 0
        for _ in 0..<60_000 {
            let text = (0..<(1 + numbers.below(12))).map { _ in numbers.pick(pieces) }.joined()
            let document = DocumentScanner.scan(Array(text.utf8))
            guard document.mistakes.isEmpty, !hasClash(document) else { continue }
            accepted += 1
            #expect((try? TOMLTable(string: text)) != nil, "\(text.debugDescription)")
        }
        #expect(accepted > 1000)
    }

    /// Repeated and clashing names are the checker's, which says both places: here only the grammar counts.
    private func hasClash(_ document: Document) -> Bool {
        let names = document.entries.map(\.name) + document.headers.map(\.name)
        return names.enumerated().contains { index, name in
            names.enumerated().contains {
                $0.offset != index && ($0.element == name || $0.element.hasPrefix(name + "."))
            }
        }
    }

    /// Made by the grammar, so every one of them must be read.
    @Test func wellFormedDocumentsAreAccepted() {
        var maker = DocumentMaker()
        for _ in 0..<2000 {
            let text = maker.document()
            let document = DocumentScanner.scan(Array(text.utf8))
            #expect(document.mistakes.isEmpty, "\(text.debugDescription) \(document.mistakes)")
            #expect((try? TOMLTable(string: text)) != nil, "\(text.debugDescription)")
        }
    }

    private struct DocumentMaker {
        var numbers = Numbers(state: 6)
        var next = 0
        let scalars = [
            "1", "-17", "0x1", "1_000", "1.5", "-2e-3", "true", "\"a b\"", "'c\\d'", "\"\\u00e9\\n\"",
            "\"\"\"\nx\ny\"\"\"",
            "'''z'''", "1979-05-27", "inf",
        ]

        mutating func name() -> String {
            next += 1
            return numbers.pick(["k\(next)", "\"k \(next)\"", "'k\(next)'", "k\(next).x", "k\(next) . 'y'"])
        }

        mutating func list(_ depth: Int) -> String {
            var items: [String] = []
            for _ in 0..<numbers.below(4) {
                let nested = depth < 3 && numbers.below(5) == 0
                let blank = numbers.pick(["", "\n", "# c\n", " "])
                items.append(blank + (nested ? list(depth + 1) : numbers.pick(scalars)))
            }
            return "[" + items.joined(separator: numbers.pick([",", " , ", ",\n"])) + numbers.pick(["", "\n"]) + "]"
        }

        mutating func blank() -> String { numbers.pick(["", " ", "\t", "  "]) }

        mutating func end() -> String { numbers.pick(["\n", "\r\n", " # comment\n", "\n\n", "\n# é\n"]) }

        mutating func document() -> String {
            var text = ""
            for _ in 0..<numbers.below(8) {
                if numbers.below(4) == 0 { text += "[" + blank() + name() + blank() + "]" + end() }
                let value =
                    switch numbers.below(6) {
                    case 0: list(0)
                    case 1: "{ \(name()) = \(numbers.pick(scalars)), \(name()) = {} }"
                    default: numbers.pick(scalars)
                    }
                text += blank() + name() + blank() + "=" + blank() + value + end()
            }
            return text
        }
    }

    @Test(arguments: BuiltinProfiles.names)
    func theBuiltInsAreTOML(name: String) throws {
        let text = try #require(BuiltinProfiles.text(named: name))
        let table = try TOMLTable(string: text)
        let document = DocumentScanner.scan(Array(text.utf8))
        #expect(document.mistakes.isEmpty)
        for entry in document.entries {
            let parts = entry.name.split(separator: ".").map(String.init)
            let node = parts.count == 1 ? table[parts[0]] : table[parts[0]]?.table?[parts[1]]
            #expect(same(entry.value, node.map { convert($0, "") }), "\(entry.name)")
        }
        let count = table.keys.reduce(0) { $0 + (table[$1]?.table?.count ?? 1) }
        #expect(document.entries.count == count)
    }

    @Test func placesAreRight() {
        let text =
            "# c\n\n  a = 1\n[ s . t ]\r\nb = [\n  'é', 2,\n\t\"x\" ]\nc = \"\"\"\nq\n\"\"\"\nd = {e = 5, 'f'.g = 6}\n"
        let document = DocumentScanner.scan(Array(text.utf8))
        #expect(document.mistakes.isEmpty)
        #expect(document.entries.map(\.name) == ["a", "s.t.b", "s.t.c", "s.t.d.e", "s.t.d.f.g"])
        #expect(document.entries.map(\.position.line) == [3, 5, 8, 11, 11])
        #expect(document.entries.map(\.position.column) == [3, 1, 1, 6, 13])
        #expect(document.entries.map(\.valuePosition.column) == [7, 5, 5, 10, 21])
        guard case .array(let elements)? = document.entries.dropFirst().first?.value else {
            Issue.record("b is no list")
            return
        }
        #expect(elements.map(\.position.line) == [6, 6, 7])
        #expect(elements.map(\.position.column) == [3, 8, 2])
    }
}
