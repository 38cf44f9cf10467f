import ArgumentParser
import JSONText
import PolicyDatabase
import ThreatPolicy

/// `mis policy inspect BUNDLE`
struct PolicyInspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Print what a bundle, or a database of threats, says of itself, and its keys."
    )

    @Argument(help: "The bundle. Its signature is not looked at: 'mis policy verify' does.")
    var bundle: String

    @Flag(help: "Its keys too, one on a line.")
    var keys = false

    @Flag(help: "As JSON: one object, and with --keys one more for each key.")
    var json = false

    func run() throws {
        if try DatabaseTools.isDatabase(self.bundle) {
            return try DatabaseTools.telling { try DatabaseTools.inspect(self.bundle, keys: keys, json: json) }
        }
        let bundle = try PolicyTools.bundle(self.bundle)
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
            PolicyTools.print("\(header.kind.label) \(header.serial) \"\(TerminalText.escaped(header.title))\"")
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
    var line: String { TerminalText.escaped("\(key)  \(why)") }

    /// Reason, CVE and score.
    var why: String {
        var text = reason
        if let cve { text += ", \(cve)" }
        if let score { text += ", CVSS \(Threat.scoreText(score))" }
        return text
    }

    /// As `mis policy build` reads it back.
    var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { write(to: &$0) }
        return writer.bytes
    }

    func write(to writer: inout JSONWriter) {
        writer.member("key", KeyText.text(key.value))
        writer.member("operation", key.operation.label)
        writer.member("reason", reason)
        if let cve { writer.member("cve", cve) }
        if let score { writer.member("cvss", Threat.scoreText(score)) }
    }
}

/// `mis policy diff OLD NEW`
struct PolicyDiff: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Print what one list of threats adds to another, changes, and leaves out.",
        discussion: "Each is a bundle, or a database of threats: DATABASE@REVISION is how it was then.")

    @Argument var old: String
    @Argument var new: String

    func run() throws {
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

    private func threats(_ subject: String) throws -> [PolicyKey: Threat] {
        var found: [PolicyKey: Threat] = [:]
        let (path, revision) = try DatabaseTools.revision(subject)
        if try revision != nil || DatabaseTools.isDatabase(path) {
            let entries = try DatabaseTools.telling { try PolicyDatabase(path, .read).entries(at: revision) }
            // Of two with one key the one that would be in a bundle.
            for entry in entries
            where entry.threat.score ?? 0 > found[entry.threat.key]?.score ?? 0
                || found[entry.threat.key] == nil
            {
                found[entry.threat.key] = entry.threat
            }
            return found
        }
        let bundle = try PolicyTools.bundle(path)
        for place in 0..<bundle.header.entries {
            if let threat = bundle.threat(at: place) { found[threat.key] = threat }
        }
        return found
    }
}
