import CSQLite
import Foundation
import PolicyDatabase
import Testing

@testable import ThreatPolicy

@Suite struct DatabaseTests {
    /// A path that nothing is at, and nothing is left at.
    final class Place {
        let path = NSTemporaryDirectory() + "threats-\(UUID().uuidString).db"
        deinit {
            for end in ["", "-journal"] { try? FileManager.default.removeItem(atPath: path + end) }
        }
    }

    static func signature(_ note: String) -> PolicyDatabase.Signature {
        .init(author: "Ada", time: Sample.now, note: note)
    }

    /// Who lists what, as a person thinks of it.
    typealias Model = [String: [PolicyKey: Threat]]

    static func keys(_ model: Model) -> Set<PolicyKey> { Set(model.values.flatMap(\.keys)) }

    /// Random changes, and the model's state after each revision.
    static func fill(_ database: PolicyDatabase, _ random: inout Generator, turns: Int) throws -> [Int64: Model] {
        var model: Model = [:]
        var states: [Int64: Model] = [0: [:]]
        for turn in 0..<turns {
            let source = ["feed-a", "feed-b", "manual"].randomElement(using: &random)!
            let threats = (0..<Int.random(in: 0..<25, using: &random)).map { _ in
                Threat(
                    key: Sample.key(&random), reason: "reason \(Int.random(in: 0..<3, using: &random))",
                    cve: Bool.random(using: &random) ? "CVE-2026-\(turn)" : nil,
                    score: Bool.random(using: &random) ? UInt16.random(in: 0...100, using: &random) : nil)
            }
            var listed: [PolicyKey: Threat] = [:]
            for threat in threats where listed[threat.key] == nil || threat.score ?? 0 > listed[threat.key]!.score ?? 0
            {
                listed[threat.key] = threat
            }
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                _ = try database.list(threats, source: source, isWhole: true, by: signature("whole"))
                model[source] = listed
            case 1:
                guard let key = keys(model).sorted(by: { "\($0)" < "\($1)" }).first else { continue }
                _ = try database.remove([key], source: nil, by: signature("harmless"))
                for name in model.keys { model[name]?[key] = nil }
            default:
                _ = try database.list(threats, source: source, isWhole: false, by: signature("part"))
                model[source, default: [:]].merge(listed) { $1 }
            }
            states[try database.revision()] = model
        }
        return states
    }

    static func listed(_ entries: [PolicyEntry]) -> Model {
        var model: Model = [:]
        for entry in entries { model[entry.source, default: [:]][entry.threat.key] = entry.threat }
        return model
    }

    static func bundle(_ database: PolicyDatabase, at revision: Int64? = nil) throws -> [UInt8] {
        try BundleBuilder.sign(
            try BundleBuilder.build(
                try database.entries(at: revision).map(\.threat),
                .init(
                    kind: .base, serial: 1, created: Sample.now - 1, expires: Sample.now + 1, title: "t",
                    secret: KeySecret(low: 1, high: 2))), by: Sample.signer)
    }

    /// From the database through a bundle to the verdict, against plain sets; and every earlier state once more.
    @Test(arguments: 1...30)
    func databaseBundleAndVerdictAgreeWithTheModel(_ seed: UInt64) throws {
        var random = Generator(seed)
        let place = Place()
        let states = try Self.fill(try PolicyDatabase(place.path, .write), &random, turns: 12)
        // Another process's view of it.
        let database = try PolicyDatabase(place.path, .read)
        try database.check()
        for (revision, model) in states {
            #expect(Self.listed(try database.entries(at: revision)) == model.filter { !$0.value.isEmpty })
        }
        let last = states[try database.revision()]!
        let policy = ThreatPolicy(base: try Bundle(PolicyBytes(try Self.bundle(database)), trust: Sample.trust))
        for _ in 0..<400 {
            let key = Sample.key(&random)
            let isListed = Self.keys(last).contains { known in
                guard case .address(let range) = known.value, case .address(let asked) = key.value else {
                    return known == key
                }
                return known.operation == key.operation && range.holds(asked.address)
            }
            #expect(policy.verdict(key, now: 0).isDenied == isListed, "\(key)")
            // What the database itself answers, by its history.
            var words: [String: PolicyChange.What] = [:]
            for change in try database.history(of: key) {
                words["\(change.entry.threat.key) \(change.entry.source)"] = change.what
            }
            #expect(words.values.contains { $0 != .remove } == isListed, "\(key)")
        }
    }

    @Test func theSameRevisionGivesTheSameBytes() throws {
        var random = Generator(4)
        let place = Place()
        let database = try PolicyDatabase(place.path, .write)
        _ = try Self.fill(database, &random, turns: 8)
        let revision = try database.revision()
        let before = try Self.bundle(database)
        _ = try Self.fill(database, &random, turns: 8)
        #expect(try Self.bundle(database) != before)
        #expect(try Self.bundle(database, at: revision) == before)
    }

    @Test func whatChangesNothingIsNoRevision() throws {
        let place = Place()
        let database = try PolicyDatabase(place.path, .write)
        let threats = [Threat(key: PolicyKey(.execute, .name(Array("nc".utf8)))!, reason: "r", score: 10)]
        #expect(try database.list(threats, source: "a", isWhole: true, by: Self.signature("1")).added == 1)
        #expect(try database.list(threats, source: "a", isWhole: true, by: Self.signature("2")).revision == nil)
        #expect(try database.revision() == 1)
        #expect(try database.revisions().map(\.note) == ["1"])
        // A failure in the middle leaves nothing.
        #expect(throws: PolicyDatabaseError.self) {
            try database.remove(
                [threats[0].key, PolicyKey(.read, .name(Array("other".utf8)))!], source: nil, by: Self.signature("3"))
        }
        #expect(try database.entries().count == 1)
    }

    /// Changes the file behind the database's back.
    private static func run(_ statement: String, on path: String) {
        var handle: OpaquePointer?
        #expect(sqlite3_open(path, &handle) == SQLITE_OK)
        #expect(sqlite3_exec(handle, statement, nil, nil, nil) == SQLITE_OK, "\(statement)")
        sqlite3_close(handle)
    }

    private static func refusal(_ path: String) -> String? {
        do {
            try PolicyDatabase(path, .read).check()
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("UPDATE change SET reason = 'other'", "revision 1"),
        ("DELETE FROM change WHERE value = (SELECT max(value) FROM change)", "revision 1"),
        ("UPDATE change SET value = CAST(value || x'2f' AS BLOB)", "no key"),
        ("UPDATE change SET score = NULL", "revision 1"),
        ("UPDATE revision SET digest = zeroblob(32)", "revision 1"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM revision", "no revision"),
        ("CREATE TRIGGER t AFTER INSERT ON change BEGIN DELETE FROM change; END", "its tables"),
        ("ALTER TABLE change ADD COLUMN more TEXT", "its tables"),
        ("PRAGMA application_id = 7", "another program"),
        ("PRAGMA user_version = 2", "version 2"),
    ])
    func whatSomebodyChangedIsFound(_ statement: String, _ said: String) throws {
        let place = Place()
        let database = try PolicyDatabase(place.path, .write)
        _ = try database.list(
            ["a", "b"].map { Threat(key: PolicyKey(.read, .name(Array($0.utf8)))!, reason: "r", score: 5) },
            source: "s", isWhole: true, by: Self.signature("n"))
        #expect(Self.refusal(place.path) == nil)
        Self.run(statement, on: place.path)
        #expect(Self.refusal(place.path)?.contains(said) == true, "\(Self.refusal(place.path) ?? "nothing")")
    }

    @Test func foreignFilesAreRefused() throws {
        let place = Place()
        try Data("no database, but long enough to be looked at as one".utf8).write(to: URL(fileURLWithPath: place.path))
        #expect(Self.refusal(place.path)?.contains("not a SQLite file") == true)
        #expect(throws: PolicyDatabaseError.self) { try PolicyDatabase(place.path, .write) }
        try FileManager.default.removeItem(atPath: place.path)
        #expect(Self.refusal(place.path)?.contains("not there") == true)
        Self.run("CREATE TABLE t (a)", on: place.path)
        #expect(Self.refusal(place.path)?.contains("another program") == true)
        #expect(throws: PolicyDatabaseError.self) { try PolicyDatabase(place.path, .write) }
    }

    /// Any bit of the file: it is refused, or what is listed is what was written.
    @Test func damageIsRefusedOrHarmless() throws {
        let place = Place()
        do {
            var random = Generator(8)
            _ = try Self.fill(try PolicyDatabase(place.path, .write), &random, turns: 6)
        }
        let good = try Data(contentsOf: URL(fileURLWithPath: place.path))
        let listed = Self.listed(try PolicyDatabase(place.path, .read).entries())
        var random = Generator(9)
        var refused = 0
        for turn in 0..<600 {
            var bad = good
            bad[Int.random(in: 0..<bad.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            if turn % 10 == 0 { bad = bad.prefix(Int.random(in: 0..<bad.count, using: &random)) }
            try bad.write(to: URL(fileURLWithPath: place.path))
            do {
                let database = try PolicyDatabase(place.path, .read)
                let found = Self.listed(try database.entries())
                #expect(found == listed, "turn \(turn)")
            } catch {
                refused += 1
            }
        }
        #expect(refused > 100)
    }
}
