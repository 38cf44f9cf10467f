public import LinuxSystem

/// Holds name patterns against those who rename, in the fanotify tier.
///
/// The kernel asks about opens only, by the name an object has then. So this watches names being made and changed on the
/// file systems of the writable roots (fanotify(7) events with names, Linux 5.17), and
/// - remembers objects that are renamed away from a denied name: they stay denied, under every later name
///   (``taken(_:path:event:)``, asked by ``FanotifyArbiter`` before it allows anything);
/// - moves aside what appears under a protected name, and moves back what is renamed away from one.
///
/// ## Why a rename cannot be outrun
/// The kernel queues the event after the new name is visible, so the open of the new name may be asked about before it
/// is told who had another name. But the renaming thread holds its folder's lock until its event is queued. Whatever was
/// renamed lately bears its time (ctime) on itself, so for every object, and every folder on the way to it, that changed
/// within ``window`` the folder around it is listed, which takes the same lock; then the queue is read; then the answer
/// is given.
///
/// ## What is left open
/// - A second hard link to a pattern's file: its making does not tell the other name. ``SystemCallObserver`` refuses
///   link(2) on denied names, which holds for who does not race it.
/// - What is renamed over or unlinked is gone: a protected file may be lost, though nothing takes its place for long.
/// - Of a pattern with several names, when the folder is renamed in the same moment as what lies in it.
/// Mounts know no such gaps: a rule with a path is stronger than one with a pattern.
public final class NamePatternWatcher: TakenNames {
    /// A writable part of the host's file system.
    public struct Root: Sendable, Equatable {
        public var hostPath: String
        public var insidePath: String

        public init(hostPath: String, insidePath: String) {
            self.hostPath = hostPath
            self.insidePath = insidePath
        }
    }

    private final class OpenRoot {
        let descriptor: FileDescriptor
        let hostPath: [UInt8]
        let insidePath: [UInt8]

        init(_ root: Root) throws(Errno) {
            // Not O_PATH: the kernel wants a real descriptor to open by handle.
            descriptor = try FileDescriptor.open(root.hostPath, O_RDONLY | O_DIRECTORY)
            // Without symlinks, as the kernel will spell what lies below.
            hostPath = pathBytes(of: descriptor.number) ?? Array(root.hostPath.utf8)
            insidePath = Array(root.insidePath.utf8)
        }
    }

    private final class Taken {
        let rule: Int32
        /// Keeps the inode's number from being given to another object.
        let descriptor: FileDescriptor?

        init(rule: Int32, descriptor: consuming FileDescriptor?) {
            self.rule = rule
            self.descriptor = descriptor
        }
    }

    /// Nanoseconds within which a change of name may still be under way: far more than a thread without a processor
    /// is kept waiting.
    static let window: Int64 = 10_000_000_000

    /// To be polled for input.
    public var descriptor: Int32 { events.group.number }
    /// Objects moved aside or back.
    public private(set) var undone = 0
    /// Objects that lost a denied name and stay denied.
    public var followed: Int { taken.count }
    /// Roots whose file system tells no names, or must not be waited for (``FileSystemKind``): there, patterns hold for
    /// opens only. To be reported as unenforced.
    public private(set) var unwatched: [Root] = []

    private let patterns: [NamePattern]
    private lazy var decider = makeDecider()
    private let makeDecider: () -> any PathDecider
    private let quarantine: Quarantine
    private let gate: ViolationGate
    private let events: NameEvents
    private let renames = RenameWait()
    private var roots: [OpenRoot] = []
    private var taken: [ObjectIdentity: Taken] = [:]
    private var takenFolders: Set<ObjectIdentity> = []

    /// Denied objects that were renamed, held open at most; the others are remembered by number alone.
    private static let held = 512
    /// Objects below a renamed denied folder that are followed at most.
    private static let mostFollowed = 100_000
    private static let depth = 100

    /// - Parameter decider: asked for when the first name changes.
    /// - Throws: EINVAL before Linux 5.17, EPERM without CAP_SYS_ADMIN in the initial user namespace.
    public init(
        roots: [Root], patterns: [NamePattern], decider: @autoclosure @escaping () -> any PathDecider,
        quarantine: Quarantine, gate: ViolationGate
    ) throws(SystemError) {
        self.patterns = patterns.filter { !$0.names.isEmpty }
        makeDecider = decider
        self.quarantine = quarantine
        self.gate = gate
        do throws(Errno) {
            events = try NameEvents()
        } catch {
            throw error.doing("asking the kernel for changes of names", "fanotify_init", remedy: "Linux 5.17, as root")
        }
        var mask = UInt64(clinux_FAN_RENAME) | UInt64(FAN_ONDIR)
        if patterns.contains(where: { $0.access == .protect }) { mask |= UInt64(FAN_CREATE) }
        for root in roots {
            do throws(Errno) {
                let open = try OpenRoot(root)
                guard FileSystemKind.isLocal(open.descriptor.number) else { throw Errno(EOPNOTSUPP) }
                try events.watch(open.descriptor.number, mask)
                self.roots.append(open)
            } catch {
                unwatched.append(root)
            }
        }
    }

    /// Takes in what is waiting, and never waits itself.
    public func handle() { drain() }

    // MARK: Asked by the arbiter

    public func taken(_ identity: ObjectIdentity, path: borrowing Span<UInt8>, event: Int32) -> TakenName {
        let threshold = Int64(Clock.wall()) - Self.window
        guard var hasWaited = wait(path, threshold) else { return .undecidable }
        // If it lies elsewhere after we waited, we waited on the wrong way.
        var waitedOn = hasWaited ? [UInt8](copying: path) : []
        var rounds = 4
        while hasWaited {
            guard let now = pathBytes(of: event), rounds > 0 else { return .undecidable }
            if now == waitedOn { break }
            guard let again = wait(now.span, threshold) else { return .undecidable }
            (hasWaited, waitedOn, rounds) = (again, now, rounds - 1)
        }
        drain()
        if let taken = taken[identity] { return .denied(taken.rule) }
        return .none
    }

    /// Waits for renames on the way to a place.
    /// - Returns: false when there was nothing to wait for: whatever was renamed there is in the queue already.
    private func wait(_ path: borrowing Span<UInt8>, _ threshold: Int64) -> Bool? {
        for root in roots {
            guard let start = Self.restOf(path, below: root.insidePath) else { continue }
            let rest = path.extracting(start..<path.count)
            return renames.wait(root: root.descriptor.number, path: rest, threshold: threshold)
        }
        return false
    }

    /// Where the part of `path` below `prefix` begins; `nil`: it does not lie there.
    private static func restOf(_ path: borrowing Span<UInt8>, below prefix: [UInt8]) -> Int? {
        let count = prefix.count
        guard path.count >= count, path.count == count || path[count] == UInt8(ascii: "/") else { return nil }
        for index in 0..<count where path[index] != prefix[index] { return nil }
        return min(count + 1, path.count)
    }

    // MARK: Taking events in

    private func drain() {
        while true {
            switch events.next() {
            case .nothing: return
            case .event: takeIn()
            case .failed(let error):
                gate.enforcementLost("changes of names cannot be read: \(error)")
                return
            }
        }
    }

    private func takeIn() {
        guard events.mask & UInt64(FAN_Q_OVERFLOW) == 0 else {
            gate.enforcementLost("the kernel lost changes of names")
            return
        }
        let (name, oldName) = (events.name, events.oldName)
        if !oldName.isEmpty { renamed(from: oldName, to: name) }
        for pattern in patterns where pattern.access == .protect && pattern.matchesLast(name) {
            appeared(name)
            return
        }
    }

    private func renamed(from oldName: [UInt8], to name: [UInt8]) {
        lazy var wasInside = oldFolderIsInside()
        for pattern in patterns {
            if pattern.matchesLast(oldName) {
                guard wasInside, pattern.names.count == 1 || oldFolderMatches(pattern) else { continue }
                switch pattern.access {
                case .deny: takeTarget(pattern.rule)
                case .protect: if !pattern.matchesLast(name) { moveBack(oldName, from: name) }
                }
            }
            // A folder in the middle of a pattern: what lies at its end loses the name as well.
            if pattern.access == .deny {
                for index in pattern.names.indices.dropLast() where pattern.matches(oldName, at: index) {
                    if wasInside, let target = target() { takeBelow(target, pattern, index + 1) }
                }
            }
        }
        if !takenFolders.isEmpty, let folder = inSomeRoot({ events.openOldFolder($0) }),
            let identity = try? folder.status().identity, takenFolders.contains(identity),
            let rule = taken[identity]?.rule
        {
            takeTarget(rule)
        }
    }

    private func inSomeRoot(_ open: (Int32) -> FileDescriptor?) -> FileDescriptor? {
        // A handle says nothing of its file system; with another's it does not open, or opens something that is
        // denied for nothing.
        for root in roots {
            if let found = open(root.descriptor.number) { return found }
        }
        return nil
    }

    /// The kernel tells of the whole file system. What others rename outside the roots is no business of this sandbox's,
    /// and must not use up its descriptors. Where it cannot be told, it was inside.
    private func oldFolderIsInside() -> Bool {
        var isOutside = false
        for root in roots {
            // Of each root's own mount: the same folder has another path, or none, seen from another.
            guard let folder = events.openOldFolder(root.descriptor.number), let path = pathBytes(of: folder.number)
            else { continue }
            if Self.restOf(path.span, below: root.hostPath) != nil { return true }
            isOutside = true
        }
        return !isOutside
    }

    private func target() -> FileDescriptor? { inSomeRoot { events.openTarget($0) } }

    private func oldFolderMatches(_ pattern: NamePattern) -> Bool {
        guard let folder = inSomeRoot({ events.openOldFolder($0) }), let path = pathBytes(of: folder.number) else {
            return true
        }
        return pattern.matchesFolder(path)
    }

    // MARK: Denied names

    private func takeTarget(_ rule: Int32) {
        // Gone already: then nobody can open it any more.
        guard let target = target() else { return }
        var left = Self.mostFollowed
        take(target, rule, Self.depth, &left)
    }

    private func takeBelow(_ folder: borrowing FileDescriptor, _ pattern: NamePattern, _ index: Int) {
        for name in (try? entries(of: folder, limit: Self.mostFollowed)) ?? []
        where pattern.matches(name.bytes, at: index) {
            guard let object = try? name.open(in: folder.number, O_PATH) else { continue }
            if index == pattern.names.count - 1 {
                var left = Self.mostFollowed
                take(object, pattern.rule, Self.depth, &left)
            } else {
                takeBelow(object, pattern, index + 1)
            }
        }
    }

    private func take(_ object: consuming FileDescriptor, _ rule: Int32, _ depth: Int, _ left: inout Int) {
        left -= 1
        guard let status = try? object.status() else { return }
        if left <= 0 || depth == 0 {
            gate.enforcementLost("a denied folder was renamed that holds too much to be followed")
        } else if status.isFolder {
            // First the folder itself: what is renamed out of it from now on is told.
            takenFolders.insert(status.identity)
            for name in (try? entries(of: object, limit: left)) ?? [] {
                guard let inner = try? name.open(in: object.number, O_PATH) else { continue }
                take(inner, rule, depth - 1, &left)
            }
        }
        if taken.count < Self.held {
            taken[status.identity] = Taken(rule: rule, descriptor: consume object)
        } else {
            taken[status.identity] = Taken(rule: rule, descriptor: nil)
        }
    }

    // MARK: Protected names

    private func appeared(_ bytes: [UInt8]) {
        guard let name = EntryName(bytes), let folder = inSomeRoot({ events.openFolder($0) }),
            let path = insidePath(folder, name)
        else { return }
        let verdict = decider.verdict(path.span)
        guard verdict.isGuarded, verdict.access != .denied, isInside(events.process) else { return }
        switch quarantine.take(name, from: folder.number) {
        case .moved: report("create", path, verdict.rule)
        case .absent: break
        case .failed(let error) where error.code == ENOTDIR || error.code == ENOTEMPTY || error.code == EISDIR: break
        case .failed(let error):
            gate.enforcementLost(
                "a protected name cannot be taken away: \(String(decoding: path, as: UTF8.self)): \(error)")
        }
    }

    private func moveBack(_ oldBytes: [UInt8], from bytes: [UInt8]) {
        guard let name = EntryName(bytes), let oldName = EntryName(oldBytes),
            let folder = inSomeRoot({ events.openFolder($0) }),
            let oldFolder = inSomeRoot({ events.openOldFolder($0) }),
            let path = insidePath(oldFolder, oldName), isInside(events.process), let target = target()
        else { return }
        let verdict = decider.verdict(path.span)
        guard verdict.isGuarded, verdict.access != .denied else { return }
        report("rename", path, verdict.rule)
        // Only the very object; and never over another, which is then an intruder to be moved aside by its own event.
        guard let identity = try? target.status().identity,
            let there = try? name.status(in: folder.number), there.identity == identity
        else { return }
        try? name.renameWithoutReplacing(in: folder.number, to: oldName, in: oldFolder.number)
    }

    private func report(_ operation: String, _ path: [UInt8], _ rule: Int32) {
        undone += 1
        let origin = ThreadOrigin(events.process)
        gate.report(
            Violation(
                operation: operation, object: path, rule: decider.reference(rule), layer: .watch, pid: origin.process,
                program: origin.name))
    }

    /// Where an object lies as the sandbox sees it; `nil`: outside all roots.
    private func insidePath(_ folder: borrowing FileDescriptor, _ name: EntryName) -> [UInt8]? {
        guard let path = pathBytes(of: folder.number) else { return nil }
        for root in roots {
            guard let start = Self.restOf(path.span, below: root.hostPath) else { continue }
            let middle = start == path.count ? [] : [UInt8(ascii: "/")] + path[start...]
            return root.insidePath + middle + [UInt8(ascii: "/")] + name.bytes
        }
        return nil
    }

    /// The user may do as he likes outside; who is gone by now, or lives in a pid namespace of its own, may not.
    private func isInside(_ process: Int32) -> Bool { clinux_shares_pid_namespace(process) != 1 }
}
