public import ThreatPolicy

/// A bundle that was made of the database: all that is needed to make the same bytes again.
public struct MadeBundle: Sendable {
    public var about: BundleBuilder.Description
    public var revision: Int64

    public init(about: BundleBuilder.Description, revision: Int64) {
        self.about = about
        self.revision = revision
    }
}

extension PolicyDatabase {
    /// Remembers what a bundle was made of. A serial is used once.
    public func remember(_ bundle: MadeBundle) throws(PolicyDatabaseError) {
        let about = bundle.about
        if let known = try made(about.kind, serial: about.serial) {
            throw PolicyDatabaseError(
                "\(path): \(about.kind.label) \(about.serial) was made before, of revision \(known.revision): choose a "
                    + "higher --serial, or make it again with --again")
        }
        guard let serial = Int64(exactly: about.serial) else {
            throw PolicyDatabaseError("\(path): serial \(about.serial) is too large to be kept")
        }
        try file.run(
            "INSERT INTO bundle (kind, serial, revision, created, expires, title, secret) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                .text(about.kind.label), .integer(serial), .integer(bundle.revision), .integer(about.created),
                .integer(about.expires), .text(about.title), .bytes(about.secret.bytes),
            ])
    }

    public func made(_ kind: BundleKind, serial: UInt64) throws(PolicyDatabaseError) -> MadeBundle? {
        try made().first { $0.about.kind == kind && $0.about.serial == serial }
    }

    /// By kind and serial.
    public func made() throws(PolicyDatabaseError) -> [MadeBundle] {
        let rows = try file.rows(
            "SELECT kind, serial, revision, created, expires, title, secret FROM bundle ORDER BY kind, serial")
        var bundles: [MadeBundle] = []
        for row in rows {
            guard let kind = row[0].text.flatMap(BundleKind.init(label:)), let serial = row[1].integer, serial >= 0,
                let revision = row[2].integer, let created = row[3].integer, let expires = row[4].integer,
                let title = row[5].text, let secret = row[6].bytes.flatMap(KeySecret.init(bytes:))
            else { throw damaged("a bundle makes no sense") }
            bundles.append(
                MadeBundle(
                    about: .init(
                        kind: kind, serial: UInt64(serial), created: created, expires: expires, title: title,
                        secret: secret),
                    revision: revision))
        }
        return bundles
    }
}
