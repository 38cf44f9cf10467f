import JSONText
import LinuxSystem
import PolicyDatabase
import ThreatPolicy

/// What the subcommands share that use a database of threats.
enum DatabaseTools {
    /// Runs what throws an error of a database, and says it.
    static func telling<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch let error as PolicyDatabaseError { throw PolicyTools.failure(error.description) }
    }

    static func print(_ line: String) { PolicyTools.print(TerminalText.escaped(line)) }

    /// By the file's first bytes; a file that cannot be opened is for others to explain.
    static func isDatabase(_ path: String) throws -> Bool {
        guard let file = try? FileDescriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY) else { return false }
        var head = [UInt8](repeating: 0, count: 16)
        let number = file.number
        let count = try? kernel { unsafe head.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) } }
        return count == 16 && PolicyDatabase.isDatabase(head: head)
    }

    /// `DATABASE@REVISION`, taken apart; a file of that very name goes first.
    static func revision(_ subject: String) throws -> (path: String, revision: Int64?) {
        guard (try? FileStatus(of: subject)) == nil, let sign = subject.lastIndex(of: "@"),
            let revision = Int64(subject[subject.index(after: sign)...]), revision >= 0
        else { return (subject, nil) }
        return (String(subject[..<sign]), revision)
    }

    /// A list's source when none is named: the file's name.
    static func source(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    static func signature(_ note: String, author: String? = nil) -> PolicyDatabase.Signature {
        let user = getuid()
        return .init(author: author ?? Account.withUser(user)?.name ?? "uid \(user)", time: PolicyTools.now, note: note)
    }

    static func keys(_ texts: [String]) throws -> [PolicyKey] {
        var keys: [PolicyKey] = []
        for text in texts {
            do throws(KeyTextError) { keys += try KeyText.parse(text, calls: PolicyTools.callNumber) } catch {
                throw PolicyTools.failure(error.description)
            }
        }
        return keys
    }

    static func tell(_ changes: PolicyChanges, of source: String) {
        guard let revision = changes.revision else { return print("\(source): nothing to change") }
        print(
            "\(source): revision \(revision): \(changes.added) added, \(changes.updated) updated, \(changes.removed) removed"
        )
    }

    /// Says who lists a key, or who took it back.
    /// - Returns: whether it is listed.
    static func tell(_ key: PolicyKey, in database: PolicyDatabase) throws -> Bool {
        // The last word of each source, on each of the keys that speak of it: an address is in many ranges.
        var last: [(change: PolicyChange, since: Int64)] = []
        for change in try database.history(of: key) {
            if let place = last.firstIndex(where: {
                $0.change.entry.source == change.entry.source && $0.change.entry.threat.key == change.entry.threat.key
            }) {
                let since = last[place].change.what == .remove ? change.entry.revision : last[place].since
                last[place] = (change, since)
            } else {
                last.append((change, change.entry.revision))
            }
        }
        guard !last.isEmpty else {
            print("\(key): not listed")
            return false
        }
        let revisions = try database.revisions()
        func about(_ number: Int64) -> String {
            guard let found = revisions.first(where: { $0.number == number }) else { return "revision \(number)" }
            return "revision \(number), \(UTCTime.text(found.time)), \(found.author): \(found.note)"
        }
        for (change, since) in last {
            let range = change.entry.threat.key == key ? "" : "in \(KeyText.text(change.entry.threat.key.value)): "
            if change.what == .remove {
                print("\(key): \(range)taken back by \(change.entry.source) (\(about(change.entry.revision)))")
            } else {
                print("\(key): \(range)listed by \(change.entry.source): \(change.entry.threat.why) (\(about(since)))")
            }
        }
        return last.contains { $0.change.what != .remove }
    }

    static func inspect(_ path: String, keys: Bool, json: Bool) throws {
        let database = try PolicyDatabase(path, .read)
        let entries = try database.entries()
        let revision = try database.revision()
        let made = try database.made()
        var sources: [String: Int] = [:]
        for entry in entries { sources[entry.source, default: 0] += 1 }
        let kinds = Set(entries.map(\.threat.key.kind))
        if json {
            var writer = JSONWriter()
            writer.object { writer in
                writer.member("revision", revision)
                writer.member("entries", entries.count)
                writer.member("kinds", KeyKind.allCases.filter(kinds.contains).map(\.label))
                writer.object("sources") { writer in
                    for (source, count) in sources.sorted(by: { $0.key < $1.key }) { writer.member(source, count) }
                }
                writer.array("bundles") { writer in
                    for bundle in made {
                        writer.object { writer in
                            writer.member("kind", bundle.about.kind.label)
                            writer.member("serial", bundle.about.serial)
                            writer.member("revision", bundle.revision)
                            writer.member("created", UTCTime.text(bundle.about.created))
                        }
                    }
                }
            }
            Messages.print(writer.bytes + [10])
        } else {
            print("database of threats, revision \(revision)")
            print("entries  \(entries.count)")
            print("kinds    \(KeyKind.allCases.filter(kinds.contains).map(\.label).joined(separator: ", "))")
            for (source, count) in sources.sorted(by: { $0.key < $1.key }) { print("source   \(source): \(count)") }
            for bundle in made {
                print("made     \(bundle.about.kind.label) \(bundle.about.serial), of revision \(bundle.revision)")
            }
        }
        guard keys else { return }
        for entry in entries {
            guard json else {
                print("\(entry.threat.line)  [\(entry.source)]")
                continue
            }
            var writer = JSONWriter()
            writer.object { writer in
                entry.threat.write(to: &writer)
                writer.member("source", entry.source)
                writer.member("revision", entry.revision)
            }
            Messages.print(writer.bytes + [10])
        }
    }
}

extension PolicyChange.What {
    var sign: String {
        switch self {
        case .add: "+"
        case .update: "~"
        case .remove: "-"
        }
    }
}
