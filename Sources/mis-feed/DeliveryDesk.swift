import Feed
import LinuxSystem
import PolicyFiles
import ThreatPolicy

/// Where all sources hand in what they got: checks, the inbox, the counts, the log.
final class DeliveryDesk {
    enum HeadVerdict {
        /// Bytes the whole has.
        case wanted(Int)
        case known
        case refused
        /// Refused for good: what is here is newer. The same file need not come again.
        case older
        /// The folder cannot be asked now.
        case later(String)
    }

    enum Outcome {
        case taken
        case known
        case refused
        /// Good, and kept in memory until it can be written.
        case waiting
    }

    let log: FeedLog
    private let inbox: Inbox
    private let folder: FeedFolder
    private(set) var status: FeedStatus
    private var isChanged = true
    private var saidUnwritable = false
    /// Good bundles for which there is no room, at most one of each kind.
    private var waiting: [BundleKind: (bytes: PolicyBytes, source: Int)] = [:]
    private(set) var hasRefused = false
    var isWaiting: Bool { !waiting.isEmpty }

    init(policy: PolicyFolder, names: [String], confined: [String], log: FeedLog) {
        inbox = Inbox(folder: policy)
        folder = FeedFolder(policy)
        self.log = log
        let old = folder.readStatus()
        status = FeedStatus()
        status.started = Self.now
        status.confined = confined
        status.sources = names.map { name in
            var source = old?.sources.first { $0.name == name } ?? FeedStatus.Source(name: name)
            source.state = .waiting
            source.failuresInARow = 0
            return source
        }
    }

    static var now: Int64 { Int64(Clock.wall() / 1_000_000_000) }

    private func change(_ source: Int, _ body: (inout FeedStatus.Source) -> Void) {
        body(&status.sources[source])
        isChanged = true
    }

    func name(_ source: Int) -> String { status.sources[source].name }

    func state(_ source: Int, _ state: FeedStatus.State) { change(source) { $0.state = state } }

    /// It answered as it should.
    func contact(_ source: Int, state: FeedStatus.State) {
        change(source) {
            $0.lastContact = Self.now
            $0.failuresInARow = 0
            $0.state = state
        }
    }

    /// A contact that failed. In a long outage a line now and then is enough.
    func failed(_ source: Int, _ why: String, next: Int?) {
        change(source) {
            $0.failures += 1
            $0.failuresInARow += 1
            $0.lastFailure = why
            $0.lastFailureTime = Self.now
            $0.state = .failing
        }
        let count = status.sources[source].failuresInARow
        let isTold = count <= 6 || count & (count - 1) == 0
        let then = next.map { "; again in \($0 / 1000).\($0 % 1000 / 100) s" } ?? ""
        log.say(
            "\(name(source)): failed\(count > 1 ? " (\(count) in a row)" : ""): \(why)\(then)",
            isTold ? .alert : .detail)
    }

    // MARK: Bundles

    func judge(head: [UInt8], _ source: Int) -> HeadVerdict {
        do throws(DeliveryError) {
            let (found, isKnown) = try inbox.judge(head: head, now: Self.now)
            if isKnown {
                countKnown(found.kind, found.serial, source)
                return .known
            }
            return .wanted(found.fileBytes)
        } catch {
            guard case .refused(let why) = error else { return .later(error.description) }
            refuse(why.description, source)
            if case .older = why { return .older }
            return .refused
        }
    }

    func refuse(_ why: String, _ source: Int) {
        hasRefused = true
        change(source) {
            $0.refused += 1
            $0.lastFailure = "refused: \(why)"
            $0.lastFailureTime = Self.now
        }
        log.say("ALERT: \(name(source)): a bundle was refused: \(why)", .alert)
    }

    private func countKnown(_ kind: BundleKind, _ serial: UInt64, _ source: Int) {
        change(source) { $0.known += 1 }
        note(kind, serial, source)
        log.say("\(name(source)): \(kind.label) \(serial): here already", .detail)
    }

    private func note(_ kind: BundleKind, _ serial: UInt64, _ source: Int) {
        change(source) {
            switch kind {
            case .base: $0.base = max($0.base ?? 0, serial)
            case .hotfix: $0.hotfix = max($0.hotfix ?? 0, serial)
            }
        }
    }

    /// Takes a whole bundle.
    /// - Parameter keeping: memory that stays, made when the bundle has to wait.
    func deliver(_ bytes: PolicyBytes, keeping: () -> PolicyBytes?, _ source: Int) -> Outcome {
        do throws(DeliveryError) {
            switch try inbox.put(bytes, now: Self.now) {
            case .known(let kind, let serial):
                countKnown(kind, serial, source)
                return .known
            case .stored(let kind, let serial):
                stored(kind, serial, source)
                return .taken
            }
        } catch {
            if case .refused(let why) = error {
                refuse(why.description, source)
                return .refused
            }
            let head = bytes.with(0..<min(bytes.count, 512)) { span in span.indices.map { span[$0] } }
            failed(source, error.description, next: 1000 * Self.retrySeconds)
            // A hotfix that was acknowledged does not come again: it waits here, in a newer one's place if there is one.
            if let kind = BundleHeader.peek(head)?.kind, let kept = keeping() {
                waiting[kind] = (kept, source)
                status.waitingForRoom = waiting.count
            }
            return .waiting
        }
    }

    private func stored(_ kind: BundleKind, _ serial: UInt64, _ source: Int) {
        waiting[kind] = nil
        status.waitingForRoom = waiting.count
        change(source) {
            $0.delivered += 1
            $0.lastNew = Self.now
        }
        note(kind, serial, source)
        log.say("\(name(source)): \(kind.label) \(serial) put into the policy folder")
    }

    static let retrySeconds = 5

    /// Tries once more to write what is waiting.
    func writeWaiting() {
        for (kind, held) in waiting {
            do throws(DeliveryError) {
                switch try inbox.put(held.bytes, now: Self.now) {
                case .stored(let kind, let serial): stored(kind, serial, held.source)
                case .known: waiting[kind] = nil
                }
                let state = status.sources[held.source].state
                contact(held.source, state: state == .failing ? .waiting : state)
            } catch {
                if case .refused = error { waiting[kind] = nil }
                log.say("\(name(held.source)): \(kind.label): \(error)", .detail)
            }
        }
        status.waitingForRoom = waiting.count
        isChanged = true
    }

    // MARK: Versions

    /// What to ask a web server with; empty when what its answer stood for is gone from here.
    func validators(_ source: Int) -> Validators {
        let known = status.sources[source]
        let words = (known.validated ?? "").split(separator: " ")
        guard words.count == 2, let kind = BundleKind(label: String(words[0])), let serial = UInt64(words[1]),
            let newest = inbox.newest(kind), newest >= serial
        else { return Validators() }
        return known.validators
    }

    func remember(_ validators: Validators, head: [UInt8], _ source: Int) {
        guard let (kind, serial) = BundleHeader.peek(head) else { return }
        change(source) {
            $0.validators = validators
            $0.validated = "\(kind.label) \(serial)"
        }
    }

    // MARK: Status file

    func writeStatus() {
        guard isChanged else { return }
        isChanged = false
        status.updated = Self.now
        do throws(SystemError) {
            try folder.write(status)
            saidUnwritable = false
        } catch {
            if !saidUnwritable { log.say("the status cannot be kept: \(error)", .alert) }
            saidUnwritable = true
        }
    }
}
