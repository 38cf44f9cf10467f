import JSONText
import LinuxSystem

/// What mis-feed says: on stderr, a line for each event, what strangers wrote made harmless.
final class FeedLog {
    enum Level: Int {
        /// What was refused, and what failed.
        case alert
        case event
        case detail
    }

    private let level: Level

    init(quiet: Bool, verbose: Bool) { level = quiet ? .alert : verbose ? .detail : .event }

    func say(_ text: String, _ level: Level = .event) {
        guard level.rawValue <= self.level.rawValue else { return }
        let out = FileDescriptor(owning: 2)
        try? out.writeAll(Array("mis-feed: \(TerminalText.escaped(text))\n".utf8))
        _ = out.release()
    }
}
