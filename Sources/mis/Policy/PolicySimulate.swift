import ArgumentParser
import JSONText
import LinuxSystem
import PolicyFiles
import Profile
import ThreatPolicy

/// `mis policy simulate SESSION...`
struct PolicySimulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Try a policy and a profile on recorded sessions, and list what would change.",
        discussion: """
            Looks at every access to a file that the sessions' execution stream holds: those denied, and those allowed \
            where the profile said [streams] trace = true. Content is not recorded, so keys of digests and inodes are not \
            asked. An entry of the whitelist counts as it did at the time of the access. Same input, same output.
            """)

    @Argument(help: "Folders of sessions.")
    var sessions: [String]

    @Option(help: "A profile's name or file.")
    var profile = "default"

    @Option(help: "A bundle. Repeatable.")
    var policy: [String] = []

    @Option(help: "A whitelist; default: none.")
    var whitelist: String?

    func run() throws {
        let bundles = try policy.map { try PolicyTools.bundle($0) }
        let threats = ThreatPolicy(
            whitelist: try whitelist.map(PolicyTools.whitelist) ?? Whitelist([]),
            hotfix: bundles.last { $0.header.kind == .hotfix }, base: bundles.last { $0.header.kind == .base })
        let rules = RuleSet(try ProfileCommand.load(profile).profile.filesystem.rules)
        var looked = 0
        var changed = 0
        for session in sessions {
            let stream = try PolicyTools.read(session + "/execution.jsonl", limit: 1 << 30)
            var number = 0
            for line in stream.split(separator: 10, omittingEmptySubsequences: false) {
                number += 1
                guard let access = RecordedAccess(Array(line)) else { continue }
                looked += 1
                let now = verdict(access, rules, threats)
                guard now.isDenied != access.wasDenied else { continue }
                changed += 1
                let before = access.wasDenied ? "denied (\(access.layer))" : "allowed"
                let after = now.isDenied ? "denied (\(now.why))" : "allowed"
                PolicyTools.print(
                    TerminalText.escaped(
                        "\(session):\(number): \(access.operation.label) "
                            + "\(String(decoding: access.path, as: UTF8.self)): was \(before), would be \(after)"))
            }
        }
        PolicyTools.print("\(looked) accesses looked at, \(changed) would change")
    }

    private func verdict(
        _ access: RecordedAccess, _ rules: RuleSet, _ threats: ThreatPolicy
    ) -> (isDenied: Bool, why: String) {
        let name = access.path.split(separator: 47).last.map(Array.init) ?? []
        for answer in [
            threats.verdict(path: access.path.span, access.operation, now: access.time),
            threats.verdict(name: name.span, access.operation, now: access.time),
        ] where answer.isDenied {
            return (true, "\(answer.layer.rawValue): \(threats.reason(answer) ?? "")")
        }
        let decision = rules.decide(path: access.path.span)
        let isAllowed =
            switch access.operation {
            case .execute: decision.mayExecute
            case .write: decision.mayWrite
            default: decision.mayRead
            }
        let rule = decision.rule.map { "\(rules.rules[$0].access.rawValue) \(rules.rules[$0].text)" }
        return (!isAllowed, rule ?? "nothing shows it")
    }
}

/// A line of the execution stream that tells of a file.
private struct RecordedAccess {
    var operation: PolicyOperation
    var path: [UInt8]
    var wasDenied: Bool
    var layer: String
    /// Seconds since 1970; when the line has none, the end of time, so that no exception counts.
    var time: Int64

    init?(_ line: [UInt8]) {
        guard let value = try? JSONReader.read(line), let event = value["event"]?.string,
            ["denied", "allow", "trace"].contains(event), let object = value["object"]?.string, object.hasPrefix("/")
        else { return nil }
        wasDenied = event == "denied"
        path = Array(object.utf8)
        layer = value["layer"]?.string ?? "trace"
        time = value["time"]?.string.flatMap { UTCTime.parse($0.prefix(19) + "Z") } ?? .max
        operation =
            switch value["operation"]?.string {
            case "execute", "map", "mprotect": .execute
            case "open", "read", "use", "receive", "watch", "ioctl": .read
            default: .write
            }
    }
}
