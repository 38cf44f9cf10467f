import Profile
public import ThreatPolicy

/// W as people write it: TOML, one `[[allow]]` for each entry, kept under version control.
///
///     [[allow]]
///     key = "path:/usr/bin/nc"
///     operation = "execute"          # left out: any
///     reason = "the health check of team A"
///     author = "Ada Example"
///     expires = "2027-01-01"
public enum WhitelistFile {
    public struct Mistakes: Error, CustomStringConvertible {
        public var sentences: [String]
        public var description: String { sentences.joined(separator: "\n") }
    }

    public static func read(
        _ text: [UInt8], name: String, calls: KeyText.CallNumbers = { _ in nil }
    ) throws(Mistakes) -> [WhitelistEntry] {
        let tables = TableList.read(text, name: name, header: "allow")
        var mistakes = tables.mistakes
        var entries: [WhitelistEntry] = []
        for table in tables.tables {
            do throws(TableList.Mistake) {
                try table.allow(["key", "operation", "reason", "author", "expires"])
                let keys = try table.keys(calls: calls)
                let expires = try table.string("expires")
                guard let time = UTCTime.parse(expires) else {
                    throw table.mistake("expires", "\"\(expires)\" is no date: write \"2027-01-01\"")
                }
                entries.append(
                    WhitelistEntry(
                        keys: keys, reason: try table.string("reason"), author: try table.string("author"),
                        expires: time, origin: "\(name):\(table.line)"))
            } catch {
                mistakes.append(error.description)
            }
        }
        guard mistakes.isEmpty else { throw Mistakes(sentences: mistakes) }
        return entries
    }
}

/// A TOML file that is a list of tables of one name, each of strings.
struct TableList {
    struct Mistake: Error, CustomStringConvertible {
        var description: String
    }

    struct Table {
        var name: String
        var line: Int
        var entries: [Document.Entry]

        func mistake(_ key: String, _ what: String) -> Mistake {
            let line = entries.first { $0.name.hasSuffix("." + key) }?.position.line ?? self.line
            return Mistake(description: "\(name):\(line): \(what)")
        }

        func optionalString(_ key: String) throws(Mistake) -> String? {
            guard let entry = entries.first(where: { $0.name.hasSuffix("." + key) }) else { return nil }
            switch entry.value {
            case .string(let text) where !text.isEmpty && !text.utf8.contains(0): return text
            case .moment(let text): return text
            default: throw mistake(key, "\(key) is \(entry.value.kind), and a text is due")
            }
        }

        func string(_ key: String) throws(Mistake) -> String {
            guard let text = try optionalString(key) else { throw mistake(key, "\(key) is missing") }
            return text
        }

        func allow(_ names: [String]) throws(Mistake) {
            var seen: Set<String> = []
            for entry in entries {
                let key = String(entry.name.drop { $0 != "." }.dropFirst())
                guard names.contains(key) else {
                    throw mistake(key, "unknown key \"\(key)\"; there are: \(names.joined(separator: ", "))")
                }
                guard seen.insert(key).inserted else { throw mistake(key, "\(key) appears twice") }
            }
        }

        /// What `key` and `operation` say together.
        func keys(calls: KeyText.CallNumbers) throws(Mistake) -> [PolicyKey] {
            let text = try string("key")
            let operation = try optionalString("operation")
            do throws(KeyTextError) {
                return try KeyText.parse(operation.map { "\($0) \(text)" } ?? text, calls: calls)
            } catch {
                throw mistake("key", error.description)
            }
        }
    }

    var tables: [Table] = []
    var mistakes: [String] = []

    static func read(_ text: [UInt8], name: String, header wanted: String) -> TableList {
        var list = TableList()
        guard String(validating: text, as: UTF8.self) != nil else {
            list.mistakes.append("\(name): it is not UTF-8")
            return list
        }
        let document = DocumentScanner.scan(text)
        list.mistakes = document.mistakes.map {
            "\(name):\($0.position.line):\($0.position.column): \($0.found)\($0.remedy.isEmpty ? "" : ": \($0.remedy)")"
        }
        for header in document.headers where header.name != wanted || !header.isArrayElement {
            list.mistakes.append("\(name):\(header.position.line): unknown section; write [[\(wanted)]]")
        }
        var rest = document.entries[...]
        let first = document.headers.first?.position.line ?? Int.max
        for entry in rest where entry.position.line < first {
            list.mistakes.append("\(name):\(entry.position.line): \(entry.name) stands outside [[\(wanted)]]")
        }
        for (index, header) in document.headers.enumerated() {
            let end = index + 1 < document.headers.count ? document.headers[index + 1].position.line : Int.max
            rest = rest.drop { $0.position.line <= header.position.line }
            list.tables.append(
                Table(
                    name: name, line: header.position.line,
                    entries: Array(rest.prefix { $0.position.line < end })))
        }
        return list
    }
}
