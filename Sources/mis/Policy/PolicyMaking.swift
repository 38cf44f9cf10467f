import ArgumentParser
import LinuxSystem
import PolicyFiles
import Profile
import ThreatPolicy

/// `mis policy keygen NAME`
struct PolicyKeygen: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen", abstract: "Make a pair of keys: NAME.key signs, NAME.pub verifies.",
        discussion: "A machine trusts the public keys in its state folder's policy/keys; --trust puts this one there.")

    @Argument(help: "The files' name, without .key and .pub.")
    var name: String

    @Flag(help: "Trust it on this machine.")
    var trust = false

    func run() throws {
        let key = PolicySignature.SecretKey.random()
        for file in [name + ".key", name + ".pub"] where (try? FileStatus(of: file)) != nil {
            throw PolicyTools.failure("\(file) is there already; choose another name")
        }
        try PolicyTools.write(Array(key.text.utf8), to: name + ".key", mode: 0o600)
        try PolicyTools.write(Array(key.publicKey.text.utf8), to: name + ".pub")
        guard trust else { return }
        let folder = try PolicyTools.folder()
        try PolicyTools.telling { try folder.make() }
        let file = name.split(separator: "/").last.map(String.init) ?? "key"
        try PolicyTools.write(Array(key.publicKey.text.utf8), to: "\(folder.keys)/\(file).pub", mode: 0o600)
    }
}

/// `mis policy build -o FILE INPUT...`
struct PolicyBuild: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Make a bundle of lists of threats.",
        discussion: """
            Lists are TOML ([[threat]] with key, operation, reason, cve, cvss), CSV (these as columns), JSON lines, OSV \
            advisories, or plain SHA-256 lists; the file's name tells which, or --format. Keys are written KIND:VALUE: \
            digest:SHA256, path:/x, name:x, inode:MAJOR:MINOR:INODE, address:[tcp/]192.0.2.0/24[:443], call:NAME, \
            family:AF_X, ioctl:T.
            """)

    @Argument(help: "Lists of threats.")
    var inputs: [String]

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

    @Option(help: "For entries that give no reason of their own.")
    var reason = "known threat"

    @Option(help: "toml, csv, jsonl, osv or digests, for all inputs.")
    var format: String?

    @Option(help: "The secret key to sign with; without one, sign later.")
    var key: String?

    @Option(help: "Seconds since 1970 to be written as the time of making: for builds that can be repeated.")
    var created: Int64?

    @Option(help: "32 hexadecimal digits instead of a random secret: for builds that can be repeated.")
    var secret: String?

    func run() throws {
        guard let kind = BundleKind(label: kind) else { throw ValidationError("--kind \(kind): not base or hotfix") }
        let created = created ?? PolicyTools.now
        guard let lifetime = try? DurationText.parse(lifetime) else {
            throw ValidationError("--lifetime \(lifetime): not a time such as 720h")
        }
        var about = BundleBuilder.Description(
            kind: kind, serial: serial ?? UInt64(max(created, 1)), created: created,
            expires: created + Int64(lifetime / 1000), title: title)
        if let secret {
            guard let bytes = Hexadecimal.bytes(Array(secret.utf8).span), bytes.count == 16 else {
                throw ValidationError("--secret: 32 hexadecimal digits are due")
            }
            func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
            about.secret = KeySecret(low: word(bytes[..<8]), high: word(bytes[8...]))
        }
        let threats = try threats()
        var bytes: [UInt8]
        do throws(BundleBuilder.Failure) {
            bytes = try BundleBuilder.build(threats, about)
        } catch {
            throw PolicyTools.failure("building \(output): \(error)")
        }
        if let key {
            let secret = try PolicyTools.secretKey(key)
            do throws(BundleError) { bytes = try BundleBuilder.sign(bytes, by: secret) } catch {
                throw PolicyTools.failure("signing \(output): \(error)")
            }
        }
        try PolicyTools.write(bytes, to: output)
    }

    private func threats() throws -> [Threat] {
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
        if isBroken { throw PolicyTools.failure("nothing was built: put the lists right first") }
        return threats
    }
}

/// `mis policy sign --key KEY BUNDLE`
struct PolicySign: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "sign", abstract: "Sign a bundle, or sign it anew.")

    @Argument(help: "The bundle.")
    var bundle: String

    @Option(help: "The secret key.")
    var key: String

    @Option(name: .shortAndLong, help: "Where the signed bundle goes; default: the bundle itself.")
    var output: String?

    func run() throws {
        let bytes = try PolicyTools.read(bundle, limit: BundleKind.base.largestFile)
        let key = try PolicyTools.secretKey(key)
        let signed: [UInt8]
        do throws(BundleError) { signed = try BundleBuilder.sign(bytes, by: key) } catch {
            throw PolicyTools.failure("\(bundle): \(error)")
        }
        try PolicyTools.write(signed, to: output ?? bundle)
    }
}

/// `mis policy verify BUNDLE...`
struct PolicyVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check bundles: signature, time, and every key against filter and record.")

    @Argument(help: "Bundles.")
    var bundles: [String]

    @Option(help: "A public key that may have signed; default: those this machine trusts. Repeatable.")
    var key: [String] = []

    func run() throws {
        let folder = try PolicyTools.folder()
        let trusted =
            key.isEmpty
            ? try PolicyTools.telling { try folder.trustedKeys() } : Set(try key.map(PolicyTools.publicKey))
        var isGood = true
        for path in bundles {
            let bytes = try PolicyTools.read(path, limit: BundleKind.base.largestFile)
            do throws(BundleError) {
                let bundle = try Bundle(PolicyBytes(bytes), trust: .keys(trusted))
                try bundle.checkConsistency()
                try bundle.check(now: PolicyTools.now, after: 0)
                let header = bundle.header
                PolicyTools.print(
                    "\(path): good: \(header.kind.label) \(header.serial), \(header.entries) keys, signed by \(header.signer.short)"
                )
            } catch {
                isGood = false
                Messages.say("\(path): \(error)")
            }
        }
        if !isGood { throw ExitCode(1) }
    }
}
