import LinuxSystem
import PolicyFiles
import Profile
import Seccomp
import ThreatPolicy

/// Where a run's threat policy comes from.
public struct PolicySource: Sendable {
    /// The policy folder; it need not exist.
    public var folder: String

    public init(folder: String) { self.folder = folder }
}

/// Keeps one sandbox's threat policy what the policy folder says, from its start to its end.
///
/// The folder is watched (inotify), not polled: `incoming` for bundles anybody puts there, by rename, by writing, or by
/// the swap of a symlink; the folder itself for what `mis policy` or another supervisor brought into force. Where there is
/// no folder, its parent is watched for it, and that is all a run without a policy pays.
final class PolicyWatch {
    private let folder: PolicyFolder
    private let session: String
    private let kinds: [BundleKind]
    private let loop: EventLoop
    private lazy var again = loop.timer { [unowned self] in look() }
    /// Until the next exception of the whitelist ends.
    private lazy var expiry = loop.timer { [unowned self] in expire() }
    /// `nil`: the machine has no more of them to give; then the folder is looked at every second.
    private var queue: FileDescriptor?
    private var seen = PolicyFolder.Seen()
    private(set) var snapshot: PolicySnapshot?
    /// Called with what is in force from now on.
    var onChange: (PolicySnapshot) -> Void = { _ in }
    /// Called when an exception has ended: what is in force denies more than it did.
    var onExpiry: (PolicySnapshot) -> Void = { _ in }
    /// Called with what was not taken, or could not be loaded: what was in force stays.
    var onRefusal: (_ what: String, _ reason: String) -> Void = { _, _ in }
    private var toldTrouble = ""
    private var toldTroubles: [String] = []

    init?(_ source: PolicySource, bundles: Profile.Policy.Bundles, session: String, loop: EventLoop) {
        switch bundles {
        case .all: kinds = [.base, .hotfix]
        case .base: kinds = [.base]
        case .hotfix: kinds = [.hotfix]
        case .none: return nil
        }
        folder = PolicyFolder(path: source.folder)
        self.session = session
        self.loop = loop
        if let number = try? kernel({ inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK)) }) {
            queue = FileDescriptor(owning: number)
        } else {
            queue = nil
        }
    }

    /// Takes what is there, and watches for more.
    /// - Throws: when a policy is there and cannot be loaded: nothing may run without it.
    func start() throws(SystemError) {
        if watchFolders() {
            takeIncoming()
            do throws(PolicyFolderError) { try load() } catch {
                throw SystemError(
                    "loading the threat policy (\(error.description)) from", folder.path, Errno(EBADMSG),
                    remedy: "'mis policy status' says more; [policy] bundles = \"none\" in a profile goes without")
            }
        }
        if let queue = queue?.number {
            loop.watch(queue) { [unowned self] _ in
                if drain() { look() }
            }
        } else {
            again.start(after: 1000, every: 1000)
        }
    }

    private func expire() {
        guard let snapshot else { return }
        onExpiry(snapshot)
        awaitExpiry()
    }

    private func awaitExpiry() {
        let now = Int64(Clock.wall() / 1_000_000_000)
        guard let snapshot, !snapshot.policy.isEmpty, let next = snapshot.policy.whitelist.nextExpiry(after: now) else {
            return expiry.stop()
        }
        // The clock may be set meanwhile: looked at once an hour at least.
        expiry.start(after: Int(min(next - now, 3600)) * 1000)
    }

    private func look() {
        guard watchFolders() else { return }
        takeIncoming()
        do throws(PolicyFolderError) {
            try load()
            toldTrouble = ""
        } catch {
            // Half of a change may be seen: whoever makes it is told by the next event.
            if toldTrouble != error.description { onRefusal(folder.path, error.description) }
            toldTrouble = error.description
        }
    }

    private func takeIncoming() {
        let look = folder.takeIncoming(&seen, now: Int64(Clock.wall() / 1_000_000_000))
        for case .refused(let file, let reason) in look.taken { onRefusal(file, reason) }
        // Each trouble is told once, and ends without anything that the folder's watchers would be told.
        for trouble in look.troubles where !toldTroubles.contains(trouble) { onRefusal(folder.incoming, trouble) }
        toldTroubles = look.troubles
        guard queue != nil else { return }
        if look.isBusy {
            // Whoever is at it changes active.json, which is told. This is for when he dies meanwhile; sooner, a hundred that
            // look again would take the processor from the one that verifies.
            again.start(after: 500)
        } else if !look.troubles.isEmpty {
            again.start(after: 5000)
        }
    }

    private func load() throws(PolicyFolderError) {
        guard
            let fresh = try folder.load(
                session: session, kinds: kinds, unlessIs: snapshot, calls: SyscallName.number)
        else { return }
        let isFirst = snapshot == nil
        snapshot = fresh
        if !isFirst || !fresh.policy.isEmpty { onChange(fresh) }
        awaitExpiry()
    }

    // MARK: Watching

    /// - Returns: whether there is a policy folder.
    private func watchFolders() -> Bool {
        let change = UInt32(IN_MOVED_TO) | UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_FROM) | UInt32(IN_DELETE)
        guard watch(folder.path, change | UInt32(IN_CREATE)) else {
            // The nearest folder that is there: whatever is made on the way is told.
            var above = folder.path[...]
            while let slash = above.lastIndex(of: "/"), slash != above.startIndex {
                above = above[..<slash]
                if watch(String(above), UInt32(IN_CREATE) | UInt32(IN_MOVED_TO)) { break }
            }
            // Made between the two.
            return watch(folder.path, change | UInt32(IN_CREATE))
        }
        // Symlinks are made, not written: ConfigMaps swap one.
        _ = watch(folder.incoming, change | UInt32(IN_CREATE))
        // A bundle may be there before the key it is signed with.
        _ = watch(folder.keys, change | UInt32(IN_CREATE))
        if let target = try? FileDescriptor.open(folder.whitelistFile, O_PATH),
            let path = try? readLink("/proc/self/fd/\(target.number)"), let slash = path.lastIndex(of: "/"),
            !path.hasPrefix(folder.path + "/")
        {
            _ = watch(String(path[..<slash]), change)
        }
        return true
    }

    private func watch(_ path: String, _ mask: UInt32) -> Bool {
        guard let queue = queue?.number else { return (try? FileStatus(of: path, flags: 0)) != nil }
        return unsafe inotify_add_watch(queue, path, mask | UInt32(IN_ONLYDIR)) >= 0
    }

    /// Takes what is waiting off the queue.
    /// - Returns: whether any of it may matter: not our own locks, history and half-made files.
    private func drain() -> Bool {
        guard let number = queue?.number else { return true }
        var matters = false
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let size = unsafe buffer.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
            guard size > 0 else { return matters }
            unsafe buffer.withUnsafeBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return }
                var offset = 0
                var event = unsafe clinux_watch_event()
                while unsafe clinux_next_watch_event(start, size, &offset, &event) != 0 {
                    let name = unsafe event.name.map {
                        unsafe String(
                            decoding: UnsafeBufferPointer(start: $0, count: Int(event.name_length)), as: UTF8.self)
                    }
                    matters = matters || Self.matters(name)
                }
            }
        }
    }

    private static func matters(_ name: String?) -> Bool {
        guard let name else { return true }
        return name != "lock" && !name.hasPrefix("history.jsonl") && !name.hasPrefix("active.json.")
            && !(name.hasPrefix(".") && !name.hasPrefix(".."))
    }
}
