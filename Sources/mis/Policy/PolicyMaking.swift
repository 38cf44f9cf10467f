import ArgumentParser
import LinuxSystem
import PolicyFiles
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
        var made = [name + ".key", name + ".pub"]
        var trusted: String?
        if trust {
            let folder = try PolicyTools.folder()
            try PolicyTools.telling { try folder.make() }
            let file = "\(folder.keys)/\(DatabaseTools.source(name)).pub"
            trusted = file
            // Another's key of this name would be trusted no longer.
            made.append(file)
        }
        for file in made where (try? FileStatus(of: file)) != nil {
            throw PolicyTools.failure("\(file) is there already; choose another name")
        }
        try PolicyTools.write(Array(key.text.utf8), to: name + ".key", mode: 0o600)
        try PolicyTools.write(Array(key.publicKey.text.utf8), to: name + ".pub")
        if let trusted { try PolicyTools.write(Array(key.publicKey.text.utf8), to: trusted, mode: 0o600) }
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
