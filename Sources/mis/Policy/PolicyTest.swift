import ArgumentParser
import JSONText
import LinuxSystem
import PolicyDatabase
import PolicyFiles
import Record
import ThreatPolicy

/// `mis policy test KEY...`
struct PolicyTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Say which layer of the policy answers for a key or a file, and why.",
        discussion: "Exits with 1 when anything would be denied.")

    @Argument(help: "Keys ('path:/x', 'execute name:nc', ...), or files: all keys of a file's execution.")
    var subjects: [String]

    @Option(help: "A bundle to ask instead of those in force. Repeatable.")
    var policy: [String] = []

    @Option(help: "A database of threats to ask instead: who lists the key, since when, and why; or who took it back.")
    var database: String?

    @Option(help: "A whitelist to ask instead of the one in force.")
    var whitelist: String?

    @Option(help: "A session: whether it has the canary.")
    var session = ""

    func validate() throws {
        if database != nil, !policy.isEmpty || whitelist != nil || !session.isEmpty {
            throw ValidationError("--database is asked alone: it has no layers")
        }
    }

    func run() throws {
        var isDenied = false
        if let path = database {
            try DatabaseTools.telling {
                let database = try PolicyDatabase(path, .read)
                for subject in subjects {
                    for key in try keys(subject) where try DatabaseTools.tell(key, in: database) { isDenied = true }
                }
            }
            if isDenied { throw ExitCode(1) }
            return
        }
        let threats = try policyInForce()
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
            whitelist = try PolicyTools.whitelist(file)
        } else if policy.isEmpty {
            whitelist = try PolicyTools.telling { try folder.readWhitelist(calls: PolicyTools.callNumber) }
        }
        if policy.isEmpty {
            let loaded = try PolicyTools.telling {
                try folder.load(session: session, kinds: BundleKind.allCases, calls: PolicyTools.callNumber)
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
            // A pipe is refused, not waited for.
            let file = try FileDescriptor.open(subject, O_RDONLY | O_NONBLOCK | O_NOCTTY)
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
