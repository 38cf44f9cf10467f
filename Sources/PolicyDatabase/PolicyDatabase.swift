/// Why a database of threats cannot be used.
public struct PolicyDatabaseError: Error, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

/// D for the tools: what is known of threats, by whom, since when and why, in one SQLite file. Bundles are made of it,
/// again and again the same ones; a running sandbox never opens it.
///
/// An entry is a key and a source: two feeds may list one key, and what one of them takes back the other still lists.
/// Each command that changes something is a revision, with its time, author and note.
public final class PolicyDatabase {
    public let path: String
    let file: SQLiteFile

    public enum Access: Sendable {
        case read
        /// Makes an empty one where there is none.
        case write
    }

    public init(_ path: String, _ access: Access) throws(PolicyDatabaseError) {
        self.path = path
        file = try SQLiteFile(path, access == .read ? .read : .create)
        // Nothing in the file is to be run or believed: not its views' functions, not the sizes of its cells.
        try file.run("PRAGMA trusted_schema = OFF")
        try file.run("PRAGMA cell_size_check = ON")
        try file.run("PRAGMA foreign_keys = ON")
        // In KB. A million entries are twice that, and come in no order.
        try file.run("PRAGMA cache_size = -131072")
        if access == .write, try file.rows("SELECT 1 FROM sqlite_schema").isEmpty { try make() }
        try checkSchema()
    }

    /// Whether a file begins as SQLite's do: what a bundle never does.
    public static func isDatabase(head: some Sequence<UInt8>) -> Bool {
        Array(head.prefix(16)) == Array("SQLite format 3\0".utf8)
    }

    private func make() throws(PolicyDatabaseError) {
        guard try number("PRAGMA application_id") == 0, try number("PRAGMA user_version") == 0 else {
            throw PolicyDatabaseError(
                "\(path): an empty database of another program; name a file that is not there yet")
        }
        try file.transaction { () throws(PolicyDatabaseError) in
            // Somebody else may have been first.
            guard try file.rows("SELECT 1 FROM sqlite_schema").isEmpty else { return }
            for one in Schema.texts { try file.run(one.text) }
            try file.run("PRAGMA application_id = 1835627265")
            try file.run("PRAGMA user_version = 1")
        }
    }

    private func checkSchema() throws(PolicyDatabaseError) {
        let application = try number("PRAGMA application_id")
        guard application == Schema.application else {
            throw PolicyDatabaseError("\(path): a SQLite file, but of another program; name another file")
        }
        let version = try number("PRAGMA user_version")
        guard version == Schema.version else {
            throw PolicyDatabaseError(
                "\(path): written in version \(version) of the format, and this program knows version \(Schema.version)"
                    + (version > Schema.version ? ": use a newer one" : ""))
        }
        let found = try file.rows("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        let wanted = Schema.texts.map { [SQLiteValue.text($0.name), .text($0.text.description)] }
        guard found == wanted else {
            throw PolicyDatabaseError(
                "\(path): its tables are not those of a database of threats: somebody changed them; take a copy from before"
            )
        }
    }

    func number(_ statement: StaticString) throws(PolicyDatabaseError) -> Int64 {
        try file.rows(statement).first?.first?.integer ?? 0
    }

    func damaged(_ what: String) -> PolicyDatabaseError {
        PolicyDatabaseError("\(path): damaged: \(what); take it from a copy")
    }

    /// Looks at all of it: SQLite's own structure, every entry, and every revision's digest over its changes.
    public func check() throws(PolicyDatabaseError) {
        let said = try file.rows("PRAGMA integrity_check(5)").compactMap { $0.first?.text }
        guard said == ["ok"] else { throw damaged(said.joined(separator: "; ")) }
        _ = try entries()
    }
}
