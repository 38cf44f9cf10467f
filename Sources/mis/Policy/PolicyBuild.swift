import ArgumentParser
import LinuxSystem
import PolicyDatabase
import PolicyFiles
import Profile
import ThreatPolicy

/// `mis policy build -o FILE INPUT...`
struct PolicyBuild: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Make a bundle of lists of threats.",
        discussion: """
            With --database the bundle is made of all that is listed there, the given lists taken in first. The database \
            remembers what the bundle was made of, so that --again makes the same bytes at any later time. \
            Lists are TOML ([[threat]] with key, operation, reason, cve, cvss), CSV (these as columns), JSON lines, OSV \
            advisories, or plain SHA-256 lists; the file's name tells which, or --format. Keys are written KIND:VALUE: \
            digest:SHA256, path:/x, name:x, inode:MAJOR:MINOR:INODE, address:[tcp/]192.0.2.0/24[:443], call:NAME, \
            family:AF_X, ioctl:T.
            """)

    @Argument(help: "Lists of threats.")
    var inputs: [String] = []

    @Option(help: "A database of threats ('mis policy database') to make the bundle of.")
    var database: String?

    @Option(help: "Make the bundle with this serial again, of the database as it was then.")
    var again: UInt64?

    @Option(name: .shortAndLong, help: "Where the bundle goes.")
    var output: String

    @Option(help: "base or hotfix.")
    var kind: String

    @Option(help: "Above that of every earlier bundle of the kind; default: the time in seconds since 1970.")
    var serial: UInt64?

    @Option(help: "How long it may be taken into force: 30d is written 720h.")
    var lifetime = "720h"

    @Option(help: "At most 64 bytes, for people.")
    var title = ""

    @OptionGroup var reading: ListReading

    @Option(help: "The secret key to sign with; without one, sign later.")
    var key: String?

    @Option(help: "Seconds since 1970 to be written as the time of making: for builds that can be repeated.")
    var created: Int64?

    @Option(help: "32 hexadecimal digits instead of a random secret: for builds that can be repeated.")
    var secret: String?

    func validate() throws {
        if inputs.isEmpty, database == nil { throw ValidationError("no lists, and no --database: nothing to build of") }
        if again != nil, database == nil || !inputs.isEmpty || serial != nil || created != nil || secret != nil {
            throw ValidationError("--again takes all but --key from the --database: leave the rest out")
        }
    }

    func run() throws {
        guard let kind = BundleKind(label: kind) else { throw ValidationError("--kind \(kind): not base or hotfix") }
        var bytes: [UInt8]
        if let database {
            bytes = try DatabaseTools.telling { try build(kind, of: database) }
        } else {
            bytes = try build(try reading.threats(inputs), try description(kind))
        }
        if let key {
            let secret = try PolicyTools.secretKey(key)
            do throws(BundleError) { bytes = try BundleBuilder.sign(bytes, by: secret) } catch {
                throw PolicyTools.failure("signing \(output): \(error)")
            }
        }
        try PolicyTools.write(bytes, to: output)
    }

    private func description(_ kind: BundleKind) throws -> BundleBuilder.Description {
        let created = created ?? PolicyTools.now
        guard let lifetime = try? DurationText.parse(lifetime) else {
            throw ValidationError("--lifetime \(lifetime): not a time such as 720h")
        }
        let (expires, isTooLate) = created.addingReportingOverflow(Int64(lifetime / 1000))
        var about = BundleBuilder.Description(
            kind: kind, serial: serial ?? UInt64(max(created, 1)), created: created,
            expires: isTooLate ? .max : expires, title: title)
        if let secret {
            guard let bytes = Hexadecimal.bytes(Array(secret.utf8).span), let known = KeySecret(bytes: bytes) else {
                throw ValidationError("--secret: 32 hexadecimal digits are due")
            }
            about.secret = known
        }
        return about
    }

    private func build(_ threats: [Threat], _ about: BundleBuilder.Description) throws -> [UInt8] {
        do throws(BundleBuilder.Failure) { return try BundleBuilder.build(threats, about) } catch {
            throw PolicyTools.failure("building \(output): \(error)")
        }
    }

    /// Of what a database lists, after it has taken the lists in; or of what it listed when the bundle was made.
    private func build(_ kind: BundleKind, of path: String) throws -> [UInt8] {
        let lists = try inputs.map { ($0, try reading.threats([$0])) }
        let database = try PolicyDatabase(path, .write)
        if let again {
            guard let made = try database.made(kind, serial: again) else {
                throw PolicyTools.failure("\(path): no \(kind.label) bundle \(again) was made of it")
            }
            return try build(database.entries(at: made.revision).map(\.threat), made.about)
        }
        for (input, threats) in lists {
            _ = try database.list(
                threats, source: DatabaseTools.source(input), isWhole: false,
                by: DatabaseTools.signature("build of \(input)"))
        }
        let made = MadeBundle(about: try description(kind), revision: try database.revision())
        let bytes = try build(database.entries(at: made.revision).map(\.threat), made.about)
        // Not before: what cannot be built uses no serial up.
        try database.remember(made)
        return bytes
    }
}

/// How lists are read.
struct ListReading: ParsableArguments {
    @Option(help: "For entries that give no reason of their own.")
    var reason = "known threat"

    @Option(help: "toml, csv, jsonl, osv or digests, for all inputs.")
    var format: String?

    /// - Throws: after all mistakes were said.
    func threats(_ inputs: [String]) throws -> [Threat] {
        var threats: [Threat] = []
        var isBroken = false
        for input in inputs {
            let named = format.flatMap(ThreatListFormat.init(rawValue:))
            if let format, named == nil {
                throw ValidationError("--format \(format): not toml, csv, jsonl, osv or digests")
            }
            guard let format = named ?? ThreatListFormat(fileName: input) else {
                throw ValidationError("\(input): its name does not tell its format; say --format")
            }
            let list = ThreatList.read(
                try PolicyTools.read(input, limit: 1 << 30), format: format, name: input, reason: reason,
                calls: PolicyTools.callNumber)
            for mistake in list.mistakes { Messages.say(mistake) }
            isBroken = isBroken || !list.mistakes.isEmpty
            if !list.withoutKeys.isEmpty {
                Messages.say(
                    "\(input): \(list.withoutKeys.count) advisories name no digest and no address, so nothing of them is in "
                        + "the bundle: \(list.withoutKeys.prefix(5).joined(separator: ", "))")
            }
            threats += list.threats
        }
        if isBroken { throw PolicyTools.failure("nothing was done: put the lists right first") }
        return threats
    }
}
