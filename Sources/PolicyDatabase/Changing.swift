public import ThreatPolicy

/// What a command did.
public struct PolicyChanges: Equatable, Sendable {
    /// `nil`: nothing was to be changed.
    public var revision: Int64?
    public var added = 0
    public var updated = 0
    public var removed = 0

    public init() {}

    var count: Int { added + updated + removed }
}

extension PolicyDatabase {
    /// Who changes something, when, and why.
    public struct Signature: Sendable {
        public var author: String
        /// Seconds since 1970.
        public var time: Int64
        public var note: String

        public init(author: String, time: Int64, note: String) {
            self.author = author
            self.time = time
            self.note = note
        }
    }

    /// Lists threats on a source's word. What is listed in the same words stays as it is; of two with one key the one with
    /// the higher score counts, as in a bundle.
    /// - Parameter isWhole: they are all the source lists: what it listed before and does no more is removed.
    public func list(
        _ threats: [Threat], source: String, isWhole: Bool, by signature: Signature
    ) throws(PolicyDatabaseError) -> PolicyChanges {
        var wanted: [PolicyKey: Threat] = [:]
        // In the list's own order, which is often that of the file, too.
        var order: [PolicyKey] = []
        for threat in threats {
            if let known = wanted[threat.key] {
                if known.score ?? 0 >= threat.score ?? 0 { continue }
            } else {
                order.append(threat.key)
            }
            wanted[threat.key] = threat
        }
        return try change(by: signature) { number, change throws(PolicyDatabaseError) in
            for key in order {
                guard let threat = wanted[key] else { continue }
                switch try current(key, source) {
                case threat?: break
                case nil: try change(.add, threat, source)
                default: try change(.update, threat, source)
                }
            }
            guard isWhole else { return }
            for entry in try entries(whileWriting: number)
            where entry.source == source && wanted[entry.threat.key] == nil {
                try change(.remove, entry.threat, source)
            }
        }
    }

    /// Takes entries back; why is the signature's note.
    /// - Parameter source: on whose word; `nil`: everybody's.
    /// - Throws: also when one of the keys is not listed: then nothing is removed.
    public func remove(
        _ keys: [PolicyKey], source: String?, by signature: Signature
    ) throws(PolicyDatabaseError) -> PolicyChanges {
        try change(by: signature) { _, change throws(PolicyDatabaseError) in
            for key in keys {
                var isListed = false
                for known in Set(try sources(of: key)) where source == nil || source == known {
                    guard let threat = try current(key, known) else { continue }
                    try change(.remove, threat, known)
                    isListed = true
                }
                guard isListed else {
                    throw PolicyDatabaseError(
                        "\(path): \(key) is not listed\(source.map { " by \($0)" } ?? ""), so nothing was removed")
                }
            }
        }
    }

    // MARK: One revision

    private func change(
        by signature: Signature,
        _ body: (_ revision: Int64, _ change: (PolicyChange.What, Threat, String) throws(PolicyDatabaseError) -> Void)
            throws(PolicyDatabaseError) -> Void
    ) throws(PolicyDatabaseError) -> PolicyChanges {
        try file.transaction { () throws(PolicyDatabaseError) -> PolicyChanges in
            let number = try revision() + 1
            var made = PolicyChanges()
            var sum = Self.noDigest
            // Its number is what the changes refer to; its sum is known afterwards.
            try file.run(
                "INSERT INTO revision (number, time, author, note, changes, digest) VALUES (?, ?, ?, ?, 0, ?)",
                [
                    .integer(number), .integer(signature.time), .text(signature.author), .text(signature.note),
                    .bytes(sum),
                ])
            try body(number) { what, threat, source throws(PolicyDatabaseError) in
                try insert(what, threat, source, number)
                let entry = PolicyEntry(threat: threat, source: source, revision: number)
                Self.add(Self.digest(PolicyChange(what: what, entry: entry)), to: &sum)
                switch what {
                case .add: made.added += 1
                case .update: made.updated += 1
                case .remove: made.removed += 1
                }
            }
            guard made.count > 0 else {
                try file.run("DELETE FROM revision WHERE number = ?", [.integer(number)])
                return made
            }
            try file.run(
                "UPDATE revision SET changes = ?, digest = ? WHERE number = ?",
                [.integer(Int64(made.count)), .bytes(sum), .integer(number)])
            made.revision = number
            return made
        }
    }

    private func insert(
        _ what: PolicyChange.What, _ threat: Threat, _ source: String, _ revision: Int64
    ) throws(PolicyDatabaseError) {
        try file.run(
            """
            INSERT INTO change (kind, value, operation, source, revision, what, reason, cve, score)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(threat.key.kind.label), .bytes(threat.key.value.bytes), .text(threat.key.operation.label),
                .text(source), .integer(revision), .text(what.rawValue), .text(threat.reason), .init(threat.cve),
                .init(threat.score),
            ])
    }

    private func sources(of key: PolicyKey) throws(PolicyDatabaseError) -> [String] {
        try file.rows(
            "SELECT DISTINCT source FROM change WHERE kind = ? AND value = ? AND operation = ?",
            [.text(key.kind.label), .bytes(key.value.bytes), .text(key.operation.label)]
        ).compactMap { $0.first?.text }
    }

    /// What a source lists under a key now.
    private func current(_ key: PolicyKey, _ source: String) throws(PolicyDatabaseError) -> Threat? {
        let rows = try file.rows(
            """
            SELECT what, reason, cve, score FROM change
            WHERE kind = ? AND value = ? AND operation = ? AND source = ? ORDER BY revision DESC LIMIT 1
            """,
            [.text(key.kind.label), .bytes(key.value.bytes), .text(key.operation.label), .text(source)])
        guard let row = rows.first, row[0].text != PolicyChange.What.remove.rawValue, let reason = row[1].text else {
            return nil
        }
        return Threat(
            key: key, reason: reason, cve: row[2].text, score: row[3].integer.map { UInt16(truncatingIfNeeded: $0) })
    }
}
