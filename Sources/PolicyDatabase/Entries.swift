public import ThreatPolicy

/// What the database says of a key, and on whose word.
public struct PolicyEntry: Equatable, Sendable {
    public var threat: Threat
    /// The feed, or the person, it is from.
    public var source: String
    /// The revision that said so last.
    public var revision: Int64
}

/// What changed of an entry.
public struct PolicyChange: Equatable, Sendable {
    public enum What: String, Sendable { case add, update, remove }
    public var what: What
    public var entry: PolicyEntry
}

/// One command that changed something.
public struct PolicyRevision: Equatable, Sendable {
    public var number: Int64
    /// Seconds since 1970.
    public var time: Int64
    public var author: String
    /// Why, for people: what was imported, why something was removed.
    public var note: String
    public var changes: Int
    var digest: [UInt8]
}

extension PolicyDatabase {
    /// The last revision; 0: nothing was ever listed.
    public func revision() throws(PolicyDatabaseError) -> Int64 { try number("SELECT max(number) FROM revision") }

    public func revisions() throws(PolicyDatabaseError) -> [PolicyRevision] {
        let rows = try file.rows("SELECT number, time, author, note, changes, digest FROM revision ORDER BY number")
        var revisions: [PolicyRevision] = []
        for row in rows {
            guard let number = row[0].integer, let time = row[1].integer, let author = row[2].text,
                let note = row[3].text, let changes = row[4].integer, let digest = row[5].bytes
            else { throw damaged("a revision makes no sense") }
            revisions.append(
                PolicyRevision(
                    number: number, time: time, author: author, note: note, changes: Int(changes), digest: digest))
        }
        return revisions
    }

    /// Everything listed, in an order that is always the same.
    /// - Parameter revision: as it was then; `nil`: now.
    /// - Throws: also when what is read is not what the revisions' digests say was written.
    public func entries(at revision: Int64? = nil) throws(PolicyDatabaseError) -> [PolicyEntry] {
        try entries(at: revision, whileWriting: nil)
    }

    /// - Parameter unfinished: a revision that is being written, whose digest is not known yet.
    func entries(
        at revision: Int64? = nil, whileWriting unfinished: Int64?
    ) throws(PolicyDatabaseError) -> [PolicyEntry] {
        let revisions = try revisions()
        if let revision, revision != 0, !revisions.contains(where: { $0.number == revision }) {
            throw PolicyDatabaseError(
                "\(path): no revision \(revision); the last is \(revisions.last?.number ?? 0)")
        }
        var sums: [Int64: (count: Int, digest: [UInt8])] = [:]
        var entries: [PolicyEntry] = []
        var last: PolicyChange?
        func settle() {
            if let last, last.what != .remove { entries.append(last.entry) }
        }
        try file.run(
            """
            SELECT what, kind, value, operation, source, revision, reason, cve, score FROM change
            ORDER BY kind, value, operation, source, revision
            """
        ) { row throws(PolicyDatabaseError) in
            let change = try change(row)
            sums[change.entry.revision, default: (0, Self.noDigest)].count += 1
            Self.add(Self.digest(change), to: &sums[change.entry.revision, default: (0, Self.noDigest)].digest)
            if let revision, change.entry.revision > revision { return }
            if last?.entry.threat.key != change.entry.threat.key || last?.entry.source != change.entry.source {
                settle()
            }
            last = change
        }
        settle()
        for revision in revisions where revision.number != unfinished {
            let sum = sums.removeValue(forKey: revision.number) ?? (0, Self.noDigest)
            guard sum.count == revision.changes, sum.digest == revision.digest else {
                throw damaged("the changes of revision \(revision.number) are not those that were written")
            }
        }
        if let unfinished { sums[unfinished] = nil }
        guard sums.isEmpty else { throw damaged("changes belong to no revision") }
        return entries
    }

    /// Every change that speaks of a key, oldest first; of addresses also those of ranges around it.
    public func history(of key: PolicyKey) throws(PolicyDatabaseError) -> [PolicyChange] {
        var changes: [PolicyChange] = []
        if case .address(let asked) = key.value {
            try file.run(
                """
                SELECT what, kind, value, operation, source, revision, reason, cve, score FROM change
                WHERE kind = 'address' AND operation = ? ORDER BY revision, value, source
                """, [.text(key.operation.label)]
            ) { row throws(PolicyDatabaseError) in
                let change = try change(row)
                guard case .address(let range) = change.entry.threat.key.value, range.holds(asked.address) else {
                    return
                }
                changes.append(change)
            }
            return changes
        }
        try file.run(
            """
            SELECT what, kind, value, operation, source, revision, reason, cve, score FROM change
            WHERE kind = ? AND value = ? AND operation = ? ORDER BY revision, source
            """, [.text(key.kind.label), .bytes(key.value.bytes), .text(key.operation.label)]
        ) { row throws(PolicyDatabaseError) in
            changes.append(try change(row))
        }
        return changes
    }

    /// What a revision changed.
    public func changes(of revision: Int64) throws(PolicyDatabaseError) -> [PolicyChange] {
        var changes: [PolicyChange] = []
        try file.run(
            """
            SELECT what, kind, value, operation, source, revision, reason, cve, score FROM change
            WHERE revision = ? ORDER BY kind, value, operation, source
            """, [.integer(revision)]
        ) { row throws(PolicyDatabaseError) in
            changes.append(try change(row))
        }
        return changes
    }

    private func change(_ row: [SQLiteValue]) throws(PolicyDatabaseError) -> PolicyChange {
        guard row.count == 9, let what = row[0].text.flatMap(PolicyChange.What.init(rawValue:)),
            let kind = row[1].text.flatMap(KeyKind.init(label:)), let bytes = row[2].bytes,
            let value = KeyValue(kind, bytes), let operation = row[3].text.flatMap(PolicyOperation.init(label:)),
            let key = PolicyKey(operation, value), let source = row[4].text, let revision = row[5].integer,
            let reason = row[6].text
        else { throw damaged("an entry is no key") }
        let threat = Threat(
            key: key, reason: reason, cve: row[7].text, score: row[8].integer.map { UInt16(truncatingIfNeeded: $0) })
        return PolicyChange(what: what, entry: PolicyEntry(threat: threat, source: source, revision: revision))
    }

    // MARK: Digests: damage that SQLite, which has no checksums, does not see

    static let noDigest = [UInt8](repeating: 0, count: 32)

    /// A revision's digest is the sum of its changes' own, so that their order does not matter.
    static func add(_ digest: [UInt8], to sum: inout [UInt8]) {
        for place in sum.indices { sum[place] ^= digest[place] }
    }

    static func digest(_ change: PolicyChange) -> [UInt8] {
        let threat = change.entry.threat
        var bytes = Array("\(change.what.rawValue) \(threat.key.kind.label) \(threat.key.operation.label)".utf8)
        let parts: [[UInt8]] = [
            threat.key.value.bytes, Array(change.entry.source.utf8), Array("\(change.entry.revision)".utf8),
            Array(threat.reason.utf8), threat.cve.map { Array("CVE \($0)".utf8) } ?? [],
            threat.score.map { Array("\($0)".utf8) } ?? [],
        ]
        for part in parts {
            // With its length: what moves from one part to the next is another change.
            bytes += Array("\0\(part.count)\0".utf8)
            bytes += part
        }
        return PolicySignature.digest(bytes.span)
    }
}
