import ArgumentParser
import Feed
import JSONText
import LinuxSystem
import PolicyFiles
import ThreatPolicy

/// `mis policy subscribe`
struct PolicySubscribe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "subscribe",
        abstract: "Pull bundles over HTTPS, or get them pushed over MQTT, into this machine's policy folder.",
        discussion: """
            Starts mis-feed in its place, which runs until SIGTERM, and pulls at once on SIGHUP. It only puts signed \
            bundles into policy/incoming; running sandboxes take them from there.
            """)

    @OptionGroup var options: SubscribeOptions

    func run() throws {
        let folder = try options.folder ?? PolicyTools.folder().path
        try FeedProgram.start("subscribe", ["--folder", folder])
    }
}

/// `mis policy publish`
struct PolicyPublish: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Give a signed bundle to an MQTT broker, which pushes it to all who subscribe, and keeps it.")

    @OptionGroup var options: PublishOptions

    func run() throws { try FeedProgram.start("publish", []) }
}

/// mis-feed: beside mis, or in libexec.
enum FeedProgram {
    static let name = "mis-feed"

    static func start(_ command: String, _ more: [String]) throws {
        // What stands behind `policy COMMAND` was read once here, so that mistakes are told by mis, and is read again there.
        let words = Array(RawArguments.texts().dropFirst(2))
        guard let own = try? readLink("/proc/self/exe"), let slash = own.lastIndex(of: "/") else {
            throw PolicyTools.failure("/proc/self/exe cannot be read: is /proc mounted?")
        }
        let folder = String(own[..<slash])
        let places = ["\(folder)/\(name)", "\(folder)/../libexec/mis/\(name)"]
        for place in places where (try? FileStatus(of: place, flags: 0).isFile) == true {
            Program.replace([place, command] + more + words)
            throw PolicyTools.failure(Errno(errno).doing("starting", place).description)
        }
        throw PolicyTools.failure(
            "\(name) is neither at \(places.joined(separator: " nor at ")): scripts/install puts it there")
    }
}

/// The feed's part of `mis policy status`.
enum FeedReport {
    static func lines(_ policy: PolicyFolder) -> [String] {
        let folder = FeedFolder(policy)
        guard let status = folder.readStatus() else { return [] }
        let isRunning = folder.isRunning
        var lines = status.sources.map { source in
            var parts = [isRunning ? source.state.rawValue : "not running"]
            parts.append(source.lastContact.map { "last contact \(UTCTime.text($0))" } ?? "never reached")
            let serials = [source.base.map { "base \($0)" }, source.hotfix.map { "hotfix \($0)" }].compactMap { $0 }
            if !serials.isEmpty { parts.append(serials.joined(separator: " and ")) }
            if source.refused > 0 { parts.append("\(source.refused) refused") }
            if source.failures > 0 { parts.append("\(source.failures) failures") }
            if let failure = source.lastFailure, let time = source.lastFailureTime {
                parts.append("the last at \(UTCTime.text(time)): \(failure)")
            }
            return TerminalText.escaped("feed       \(source.name): \(parts.joined(separator: ", "))")
        }
        if status.waitingForRoom > 0 {
            lines.append("feed       \(status.waitingForRoom) good bundles wait until they can be written")
        }
        return lines
    }

    static func write(_ policy: PolicyFolder, to writer: inout JSONWriter) {
        let folder = FeedFolder(policy)
        writer.member("feed_running", folder.isRunning)
        writer.key("feed")
        if let status = folder.readStatus() { status.write(to: &writer) } else { writer.null() }
    }
}
