/// How the file is laid out: an account book. What is listed is what its last change says, so the list and its history
/// cannot disagree, and every state there ever was can be had again.
enum Schema {
    /// `mis` and a 1: tells our files from others' (PRAGMA application_id).
    static let application: Int64 = 0x6D69_7301
    /// Counted up when the tables change (PRAGMA user_version).
    static let version: Int64 = 1

    /// Names and texts, exactly as SQLite keeps them: a file with others, with a trigger for instance, is not ours.
    static let texts: [(name: String, text: StaticString)] = [
        (
            "bundle",
            """
            CREATE TABLE bundle (
              kind TEXT NOT NULL CHECK (kind IN ('base', 'hotfix')),
              serial INTEGER NOT NULL,
              revision INTEGER NOT NULL REFERENCES revision,
              created INTEGER NOT NULL,
              expires INTEGER NOT NULL,
              title TEXT NOT NULL,
              secret BLOB NOT NULL CHECK (length(secret) = 16),
              PRIMARY KEY (kind, serial)
            ) STRICT, WITHOUT ROWID
            """
        ),
        (
            "change",
            """
            CREATE TABLE change (
              kind TEXT NOT NULL,
              value BLOB NOT NULL,
              operation TEXT NOT NULL,
              source TEXT NOT NULL,
              revision INTEGER NOT NULL REFERENCES revision,
              what TEXT NOT NULL CHECK (what IN ('add', 'update', 'remove')),
              reason TEXT NOT NULL,
              cve TEXT,
              score INTEGER CHECK (score BETWEEN 0 AND 100),
              PRIMARY KEY (kind, value, operation, source, revision)
            ) STRICT, WITHOUT ROWID
            """
        ),
        (
            "revision",
            """
            CREATE TABLE revision (
              number INTEGER PRIMARY KEY,
              time INTEGER NOT NULL,
              author TEXT NOT NULL,
              note TEXT NOT NULL,
              changes INTEGER NOT NULL,
              digest BLOB NOT NULL CHECK (length(digest) = 32)
            ) STRICT
            """
        ),
        (
            "threat",
            """
            CREATE VIEW threat AS
              SELECT kind, value, operation, source, reason, cve, score, revision FROM change AS one
              WHERE what <> 'remove' AND revision = (
                SELECT max(revision) FROM change AS other
                WHERE other.kind = one.kind AND other.value = one.value AND other.operation = one.operation
                  AND other.source = one.source)
            """
        ),
    ]
}
