import ArgumentParser
import JSONText
import LinuxSystem
import PolicyFiles
import Record
import ThreatPolicy

/// `mis policy inspect BUNDLE`
struct PolicyInspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print what a bundle says of itself, and its keys.")

    @Argument(help: "The bundle. Its signature is not looked at: 'mis policy verify' does.")
    var bundle: String

    @Flag(help: "Its keys too, one on a line.")
    var keys = false

    @Flag(help: "As JSON: one object, and with --keys one more for each key.")
    var json = false

    func run() throws {
        let bundle = try PolicyTools.bundle(bundle)
        let header = bundle.header
        if json {
            var writer = JSONWriter()
            writer.object { writer in
                writer.member("kind", header.kind.label)
                writer.member("serial", header.serial)
                writer.member("title", header.title)
                writer.member("created", UTCTime.text(header.created))
                writer.member("expires", UTCTime.text(header.expires))
                writer.member("keys", header.entries)
                writer.member("capacity", header.kind.capacity)
                writer.member("kinds", KeyKind.allCases.filter(header.kinds.contains).map(\.label))
                writer.member("signer", header.signer.isNone ? nil : Hexadecimal.text(header.signer.bytes))
            }
            Messages.print(writer.bytes + [10])
        } else {
            PolicyTools.print("\(header.kind.label) \(header.serial) \"\(header.title)\"")
            PolicyTools.print("made     \(UTCTime.text(header.created))")
            PolicyTools.print("expires  \(UTCTime.text(header.expires))")
            PolicyTools.print("keys     \(header.entries) of \(header.kind.capacity)")
            let kinds = KeyKind.allCases.filter(header.kinds.contains).map(\.label)
            PolicyTools.print("kinds    \(kinds.joined(separator: ", "))")
            PolicyTools.print("filter   \(header.filterBytes >> 10) KB, \(header.hashes) hashes")
            PolicyTools.print("signer   \(header.signer.isNone ? "nobody yet" : Hexadecimal.text(header.signer.bytes))")
        }
        guard keys else { return }
        for place in 0..<header.entries {
            guard let threat = bundle.threat(at: place) else { continue }
            Messages.print(json ? threat.json + [10] : Array((threat.line + "\n").utf8))
        }
    }
}

extension Threat {
    /// For a terminal.
    var line: String {
        var text = "\(key)  \(reason)"
        if let cve { text += ", \(cve)" }
        if let score { text += ", CVSS \(Threat.scoreText(score))" }
        return TerminalText.escaped(text)
    }

    /// As `mis policy build` reads it back.
    var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("key", KeyText.text(key.value))
            writer.member("operation", key.operation.label)
            writer.member("reason", reason)
            if let cve { writer.member("cve", cve) }
            if let score { writer.member("cvss", Threat.scoreText(score)) }
        }
        return writer.bytes
    }
}

/// `mis policy diff OLD NEW`
struct PolicyDiff: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Print what a bundle adds to another, and what it leaves out.")

    @Argument var old: String
    @Argument var new: String

    func run() throws {
        func threats(_ path: String) throws -> [PolicyKey: Threat] {
            let bundle = try PolicyTools.bundle(path)
            var found: [PolicyKey: Threat] = [:]
            for place in 0..<bundle.header.entries {
                if let threat = bundle.threat(at: place) { found[threat.key] = threat }
            }
            return found
        }
        let before = try threats(old)
        let after = try threats(new)
        var lines: [(String, String)] = []
        for (key, threat) in before where after[key] == nil { lines.append(("\(key)", "- \(threat.line)")) }
        for (key, threat) in after {
            guard let known = before[key] else {
                lines.append(("\(key)", "+ \(threat.line)"))
                continue
            }
            if known != threat { lines.append(("\(key)", "~ \(threat.line)")) }
        }
        for line in lines.sorted(by: { $0 < $1 }) { PolicyTools.print(line.1) }
    }
}

/// `mis policy test KEY...`
struct PolicyTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Say which layer of the policy answers for a key or a file, and why.",
        discussion: "Exits with 1 when anything would be denied.")

    @Argument(help: "Keys ('path:/x', 'execute name:nc', ...), or files: all keys of a file's execution.")
    var subjects: [String]

    @Option(help: "A bundle to ask instead of those in force. Repeatable.")
    var policy: [String] = []

    @Option(help: "A whitelist to ask instead of the one in force.")
    var whitelist: String?

    @Option(help: "A session: whether it has the canary.")
    var session = ""

    func run() throws {
        let threats = try policyInForce()
        var isDenied = false
        for subject in subjects {
            for key in try keys(subject) {
                let answer = threats.verdict(key, now: PolicyTools.now)
                isDenied = isDenied || answer.isDenied
                let verdict = answer.isDenied ? "deny" : answer.layer == .whitelist ? "allow" : "trace"
                var line = "\(key): \(verdict), \(answer.layer.rawValue)"
                if let reason = threats.reason(answer) { line += ": \(reason)" }
                PolicyTools.print(TerminalText.escaped(line))
            }
        }
        if isDenied { throw ExitCode(1) }
    }

    private func policyInForce() throws -> ThreatPolicy {
        let folder = try PolicyTools.folder()
        var whitelist = Whitelist([])
        if let file = self.whitelist {
            let text = try PolicyTools.read(file, limit: 4 << 20)
            do throws(WhitelistFile.Mistakes) {
                whitelist = Whitelist(try WhitelistFile.read(text, name: file, calls: PolicyTools.callNumber))
            } catch {
                throw PolicyTools.failure(error.description)
            }
        } else if policy.isEmpty {
            whitelist = try PolicyTools.telling { try folder.readWhitelist(calls: PolicyTools.callNumber) }
        }
        if policy.isEmpty {
            let loaded = try PolicyTools.telling {
                try folder.load(session: session, kinds: Set(BundleKind.allCases), calls: PolicyTools.callNumber)
            }
            return ThreatPolicy(whitelist: whitelist, hotfix: loaded?.policy.hotfix, base: loaded?.policy.base)
        }
        let bundles = try policy.map { try PolicyTools.bundle($0) }
        return ThreatPolicy(
            whitelist: whitelist, hotfix: bundles.last { $0.header.kind == .hotfix },
            base: bundles.last { $0.header.kind == .base })
    }

    private func keys(_ subject: String) throws -> [PolicyKey] {
        let isKey = KeyKind.allCases.contains { subject.hasPrefix($0.label + ":") || subject.contains(" \($0.label):") }
        if isKey {
            do throws(KeyTextError) { return try KeyText.parse(subject, calls: PolicyTools.callNumber) } catch {
                throw PolicyTools.failure(error.description)
            }
        }
        do throws(Errno) {
            let file = try FileDescriptor.open(subject, O_RDONLY)
            let status = try file.status()
            guard status.isFile else { throw Errno(EINVAL) }
            var hash = SHA256()
            var chunk = [UInt8](repeating: 0, count: 1 << 18)
            while true {
                let number = file.number
                let count = try kernel {
                    unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(number, $0.baseAddress, $0.count) }
                }
                if count == 0 { break }
                hash.update(chunk.span.extracting(first: count))
            }
            let path = Array(try readLink("/proc/self/fd/\(file.number)").utf8)
            let name = path.split(separator: 47).last.map(Array.init) ?? []
            let digest = Hexadecimal.bytes(Array(hash.finish().text.utf8).span) ?? []
            return [
                PolicyKey(.execute, .digest(digest)), PolicyKey(.execute, .path(path)),
                PolicyKey(.execute, .name(name)),
                PolicyKey(
                    .execute,
                    .inode(major: status.deviceMajor, minor: status.deviceMinor, inode: status.inode)),
            ].compactMap { $0 }
        } catch {
            throw PolicyTools.failure(
                error.doing("reading", subject, remedy: "a key begins with its kind, as path:/usr/bin/nc").description)
        }
    }
}
