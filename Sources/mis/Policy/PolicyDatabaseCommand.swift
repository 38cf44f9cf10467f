import ArgumentParser
import LinuxSystem
import PolicyDatabase
import ThreatPolicy

/// `mis policy database ...`
struct PolicyDatabaseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "database", abstract: "Keep known threats in a database, with source and history.",
        discussion: """
            One SQLite file holds every entry with its source, reason, CVE and CVSS, and every change of it. Bundles are \
            made of it with 'mis policy build --database'; 'inspect', 'diff' and 'test --database' read it.
            """,
        subcommands: [
            DatabaseImport.self, DatabaseAdd.self, DatabaseRemove.self, DatabaseLog.self, DatabaseCheck.self,
        ])
}

/// `mis policy database import DATABASE LIST...`
struct DatabaseImport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take lists of threats in; makes the database when it is not there.",
        discussion: "What is listed already is brought up to date. The lists' formats are those of 'mis policy build'.")

    @Argument(help: "The database.")
    var database: String

    @Argument(help: "Lists of threats.")
    var inputs: [String]

    @Option(help: "Whose lists they are; default: each file's name.")
    var source: String?

    @Flag(help: "They are all that this source lists: what it listed before and does no more is removed.")
    var whole = false

    @OptionGroup var reading: ListReading
    @OptionGroup var signing: SigningChanges

    func run() throws {
        // All of them are read before anything is changed.
        var lists: [(source: String, input: String, threats: [Threat])] = []
        for input in inputs {
            let name = source ?? DatabaseTools.source(input)
            let threats = try reading.threats([input])
            if let place = lists.firstIndex(where: { $0.source == name }) {
                lists[place].threats += threats
                lists[place].input += ", \(input)"
            } else {
                lists.append((name, input, threats))
            }
        }
        try DatabaseTools.telling {
            let database = try PolicyDatabase(database, .write)
            for list in lists {
                let changes = try database.list(
                    list.threats, source: list.source, isWhole: whole, by: signing.signature("import of \(list.input)"))
                DatabaseTools.tell(changes, of: list.source)
            }
        }
    }
}

/// `mis policy database add DATABASE KEY...`
struct DatabaseAdd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "List keys, or say something else of them; makes the database when it is not there.")

    @OptionGroup var what: DatabaseKeys

    @Option(help: "CVE-2026-1234")
    var cve: String?

    @Option(help: "0.0 to 10.0")
    var cvss: String?

    @Option(help: "On whose word.")
    var source = "manual"

    @OptionGroup var signing: SigningChanges

    func run() throws {
        let score = cvss.flatMap { Threat.score($0) }
        if let cvss, score == nil { throw ValidationError("--cvss \(cvss): no score: write 0.0 to 10.0") }
        let threats = try DatabaseTools.keys(what.keys).map {
            Threat(key: $0, reason: what.reason, cve: cve, score: score)
        }
        try DatabaseTools.telling {
            let changes = try PolicyDatabase(what.database, .write).list(
                threats, source: source, isWhole: false, by: signing.signature("added by hand"))
            DatabaseTools.tell(changes, of: source)
        }
    }
}

/// `mis policy database remove DATABASE KEY...`
struct DatabaseRemove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take keys off the list; the history keeps them, and why.")

    @OptionGroup var what: DatabaseKeys

    @Option(help: "Only on this source's word; default: everybody's.")
    var source: String?

    @Option(help: "Who does it; default: the account's name.")
    var author: String?

    func run() throws {
        let keys = try DatabaseTools.keys(what.keys)
        try DatabaseTools.telling {
            guard try DatabaseTools.isDatabase(what.database) else {
                throw PolicyTools.failure("\(what.database): no database of threats")
            }
            let changes = try PolicyDatabase(what.database, .write).remove(
                keys, source: source, by: DatabaseTools.signature(what.reason, author: author))
            DatabaseTools.tell(changes, of: source ?? "all sources")
        }
    }
}

/// `mis policy database log DATABASE`
struct DatabaseLog: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Print the history: who changed what, when and why, and which bundles were made.")

    @Argument(help: "The database.")
    var database: String

    @Flag(help: "Each change too, not only their number.")
    var changes = false

    func run() throws {
        try DatabaseTools.telling {
            let database = try PolicyDatabase(database, .read)
            let made = try database.made()
            for revision in try database.revisions() {
                DatabaseTools.print(
                    "\(revision.number)  \(UTCTime.text(revision.time))  \(revision.author)  \(revision.note): "
                        + "\(revision.changes) changes")
                if changes {
                    for change in try database.changes(of: revision.number) {
                        DatabaseTools.print(
                            "   \(change.what.sign) \(change.entry.threat.line)  [\(change.entry.source)]")
                    }
                }
                for bundle in made where bundle.revision == revision.number {
                    DatabaseTools.print(
                        "   made \(bundle.about.kind.label) \(bundle.about.serial) \"\(bundle.about.title)\", "
                            + UTCTime.text(bundle.about.created))
                }
            }
        }
    }
}

/// `mis policy database check DATABASE`
struct DatabaseCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check a database: its structure, every entry, and each revision's digest.")

    @Argument(help: "The database.")
    var database: String

    func run() throws {
        try DatabaseTools.telling {
            let database = try PolicyDatabase(database, .read)
            try database.check()
            DatabaseTools.print(
                "\(self.database): good: revision \(try database.revision()), \(try database.entries().count) entries")
        }
    }
}

/// What is changed by hand.
struct DatabaseKeys: ParsableArguments {
    @Argument(help: "The database.")
    var database: String

    @Argument(help: "Keys: 'path:/x', 'execute name:nc', ...")
    var keys: [String]

    @Option(help: "Why, in a sentence for people.")
    var reason: String
}

/// Who changes something, and why.
struct SigningChanges: ParsableArguments {
    @Option(help: "Who does it; default: the account's name.")
    var author: String?

    @Option(help: "Why, for the history.")
    var note: String?

    func signature(_ otherwise: String) -> PolicyDatabase.Signature {
        DatabaseTools.signature(note ?? otherwise, author: author)
    }
}
