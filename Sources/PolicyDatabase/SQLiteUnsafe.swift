import CSQLite
import LinuxSystem

/// A value of a row.
enum SQLiteValue: Equatable {
    case null
    case integer(Int64)
    case text(String)
    case bytes([UInt8])

    init(_ text: String?) { self = text.map { .text($0) } ?? .null }
    init(_ number: (some BinaryInteger)?) { self = number.map { .integer(Int64($0)) } ?? .null }

    var integer: Int64? { if case .integer(let number) = self { number } else { nil } }
    var text: String? { if case .text(let text) = self { text } else { nil } }
    var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }
}

/// One open file of SQLite. Values get into statements as parameters only, never as text of the statement.
///
/// Unsafe: SQLite's handles, and pointers into its rows that are copied before the next step.
@safe final class SQLiteFile {
    let path: String
    private let handle: OpaquePointer
    private var prepared: [String: OpaquePointer] = unsafe [:]

    enum Access {
        case read
        case write
        /// Makes the file when it is missing.
        case create
    }

    init(_ path: String, _ access: Access) throws(PolicyDatabaseError) {
        self.path = path
        let flags =
            switch access {
            case .read: SQLITE_OPEN_READONLY
            case .write: SQLITE_OPEN_READWRITE
            case .create: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            }
        var opened: OpaquePointer?
        // SQLite gives names such as ":memory:" a meaning of their own; a path with a slash is a path.
        let plain = path.hasPrefix("/") ? path : "./" + path
        let code = unsafe sqlite3_open_v2(plain, &opened, flags | SQLITE_OPEN_EXRESCODE, nil)
        guard let opened = unsafe opened else {
            throw PolicyDatabaseError("opening the database \(path): not enough memory")
        }
        unsafe handle = opened
        guard code == SQLITE_OK else { throw failure("opening") }
        unsafe sqlite3_busy_timeout(handle, 5000)
    }

    deinit {
        while let (_, statement) = unsafe prepared.popFirst() { unsafe sqlite3_finalize(statement) }
        unsafe sqlite3_close_v2(handle)
    }

    /// Runs a statement, and hands over its rows one by one.
    func run(
        _ statement: StaticString, _ parameters: [SQLiteValue] = [],
        _ row: ([SQLiteValue]) throws(PolicyDatabaseError) -> Void = { _ in }
    ) throws(PolicyDatabaseError) {
        let text = statement.description
        let statement = try unsafe prepare(text)
        defer {
            unsafe sqlite3_reset(statement)
            unsafe sqlite3_clear_bindings(statement)
        }
        for (place, value) in parameters.enumerated() {
            guard unsafe bind(value, to: Int32(place + 1), of: statement) == SQLITE_OK else { throw failure("writing") }
        }
        let columns = unsafe sqlite3_column_count(statement)
        while true {
            switch unsafe sqlite3_step(statement) {
            case SQLITE_ROW: try row((0..<columns).map { unsafe value($0, statement) })
            case SQLITE_DONE: return
            default: throw failure("using")
            }
        }
    }

    /// All of a statement's rows, for those that give few.
    func rows(_ statement: StaticString, _ parameters: [SQLiteValue] = []) throws(PolicyDatabaseError)
        -> [[SQLiteValue]]
    {
        var rows: [[SQLiteValue]] = []
        try run(statement, parameters) { rows.append($0) }
        return rows
    }

    /// Runs `body` as a whole or not at all, alone among all who write.
    func transaction<Result>(_ body: () throws(PolicyDatabaseError) -> Result) throws(PolicyDatabaseError) -> Result {
        try run("BEGIN IMMEDIATE")
        do throws(PolicyDatabaseError) {
            let result = try body()
            try run("COMMIT")
            return result
        } catch {
            try? run("ROLLBACK")
            throw error
        }
    }

    private func prepare(_ text: String) throws(PolicyDatabaseError) -> OpaquePointer {
        if let known = unsafe prepared[text] { return unsafe known }
        var statement: OpaquePointer?
        guard unsafe sqlite3_prepare_v2(handle, text, -1, &statement, nil) == SQLITE_OK,
            let statement = unsafe statement
        else { throw failure("using") }
        unsafe prepared[text] = statement
        return unsafe statement
    }

    private func bind(_ value: SQLiteValue, to place: Int32, of statement: OpaquePointer) -> Int32 {
        switch value {
        case .null: return unsafe sqlite3_bind_null(statement, place)
        case .integer(let number): return unsafe sqlite3_bind_int64(statement, place, number)
        case .text(var text):
            return text.withUTF8 {
                unsafe $0.withMemoryRebound(to: CChar.self) {
                    unsafe sqlite_bind_characters(statement, place, $0.baseAddress, UInt64($0.count))
                }
            }
        case .bytes(let bytes):
            return unsafe bytes.withUnsafeBufferPointer {
                unsafe sqlite_bind_bytes(statement, place, $0.baseAddress, UInt64($0.count))
            }
        }
    }

    private func value(_ column: Int32, _ statement: OpaquePointer) -> SQLiteValue {
        switch unsafe sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(statement, column))
        case SQLITE_TEXT:
            guard let text = unsafe sqlite3_column_text(statement, column) else { return .null }
            let count = Int(unsafe sqlite3_column_bytes(statement, column))
            return .text(unsafe String(decoding: UnsafeBufferPointer(start: text, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            let count = Int(unsafe sqlite3_column_bytes(statement, column))
            guard let bytes = unsafe sqlite3_column_blob(statement, column) else { return .bytes([]) }
            return .bytes(unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count)))
        // Nothing of ours is a fraction.
        default: return .null
        }
    }

    /// What SQLite says of the last call, with what to try.
    private func failure(_ deed: String) -> PolicyDatabaseError {
        let code = unsafe sqlite3_extended_errcode(handle)
        let said = unsafe String(cString: sqlite3_errmsg(handle))
        let number = unsafe sqlite3_system_errno(handle)
        let cause = number == 0 ? said : "\(said): \(Errno(number))"
        let remedy =
            switch code & 0xFF {
            case SQLITE_NOTADB: "it is not a SQLite file: name another, or one that is not there yet"
            case SQLITE_CORRUPT: "the file is damaged: take it from a copy; 'mis policy database check' says more"
            case SQLITE_BUSY, SQLITE_LOCKED: "somebody else is writing it: try again when that is done"
            case SQLITE_READONLY, SQLITE_PERM, SQLITE_AUTH: "it, or its folder, may not be written"
            case SQLITE_CANTOPEN: "it is not there, or may not be opened: 'mis policy database import' makes one"
            case SQLITE_FULL: "the disk is full: nothing was changed"
            default: "nothing was changed"
            }
        return PolicyDatabaseError("\(deed) the database \(path): \(cause) (\(remedy))")
    }
}
