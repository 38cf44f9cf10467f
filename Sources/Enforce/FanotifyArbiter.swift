public import LinuxSystem

/// Answers a sandbox's permission events from the profile's rules: tier fanotify at work.
///
/// Each event is an object somebody inside is about to open, with a descriptor of that very object; the opening thread
/// waits in its system call until the answer. The verdict is about that object: first by what it is (objects denied
/// under every name they have), then by where it lies, as its own dentry tells, so that symlinks, `..`, `/proc/self/fd`
/// and strings that change in memory make no difference. What cannot be told for certain is denied.
///
/// Paths are those seen inside: `/proc/self/fd/N` of an object on a mount of a foreign namespace is spelled from that
/// namespace's root.
///
/// ## The fast path
/// After an allow on a settled place, an evictable ignore mark on the inode makes the kernel stop asking. What makes
/// that sound:
/// - The mark is on the inode, whichever mount it is reached by. A settled place lies on a mount that is read-only from
///   inside and whose objects no other mount of the sandbox shows; so the inode has this one place. A file with more
///   than one link may have another, and is never ignored.
/// - From inside nothing there can be renamed, linked or replaced (the mount is read-only; link(2) does not cross
///   mounts), so the place keeps meaning what it meant. From outside, the user may rename a file into a denied name
///   while the run lasts: that is seen when the inode leaves the cache, or not at all. The user is not the attacker.
/// - The verdict was an allow for good: never a trace, never an object with a deny of its own.
/// - An open does not settle an execution. An execution settles opens: the kernel asks about it a second time, as about any
///   open, and the rules that let a program run let it be read. (A threat policy may say otherwise; then each is asked about.)
///   Whoever judges contents (digests of programs) must set ``settlesExecution`` to false, or rely on the next property:
/// - FAN_MARK_IGNORED_SURV_MODIFY is not given for files, so writing to the file clears the mark. (A write through a
///   shared mapping outside does not.)
/// - The mark is evictable: it pins no inode in memory, and goes with it.
/// - A new threat policy flushes the marks. The kernel still goes by a flushed mark while some group's question about the
///   same inode waits for its answer: so an allow can outlive the policy it was given under by that long, on settled places.
///
/// ## What must not be possible inside
/// Marks belong to a mount. A new mount namespace (`unshare(CLONE_NEWNS)`, which `nested = true` lifts) holds copies of
/// all mounts, without marks: whoever makes one is not asked about any more. What is masked or read-only stays so. So
/// with `nested`, name patterns and denied objects' other names are not enforced by this tier, which must be told.
///
/// ## What the supervisor must not do
/// The supervisor's thread is the one that answers. If it opens anything through a marked mount (below
/// `/proc/PID/root` or `/proc/PID/cwd` of a process inside, or by a descriptor of one of these mounts) it waits for
/// itself for ever. The host's own mounts are not marked, nor is an O_PATH open, a stat, a readlink or an inotify watch
/// ever asked about; descriptors of clones of a mount made before it was marked are safe too.
public final class FanotifyArbiter {
    /// To be polled for input.
    public var descriptor: Int32 { group.number }
    public internal(set) var counts = VerdictCounts()
    /// Ignore marks that were set.
    public private(set) var settled: UInt64 = 0
    /// Whether an allowed execution may be settled. Off where something judges what a program contains.
    public var settlesExecution = true
    /// Whether each access that is allowed is told. Then no place is settled, for the kernel tells of settled ones no more.
    public var tellsAllowed = false

    /// The threat policy; `nil`: there is none.
    public var judge: PolicyJudge? {
        didSet {
            judge?.onChange = { [unowned self] in policyChanged() }
            policyChanged()
        }
    }
    /// Events that wait for a digest. Above ``waitingLimit`` no more are taken from the kernel, which makes their threads
    /// wait there instead: the owner of the loop must not poll then.
    var waiting: [ContentDigests.Content: [WaitingOpen]] = [:]
    var waitingCount = 0
    static let waitingLimit = 256
    var digests: ContentDigests?

    let group: FileDescriptor
    private lazy var decider = makeDecider()
    private let makeDecider: () -> any PathDecider
    let gate: ViolationGate
    private let denied: DeniedObjects
    private let names: (any TakenNames)?
    let events: OpenedEvents
    private var canSettle = true

    /// Events answered per call of ``handle()`` at most, so that a flood of opens starves nothing else.
    private static let batch = 512

    /// - Parameters:
    ///   - group: a duplicate is kept; the caller keeps its own.
    ///   - decider: asked for when the first question comes: laying it out takes a while.
    ///   - deniedObjects: objects denied under every name, with the rule that says so.
    ///   - names: tells of objects renamed away from a denied name pattern; `nil` when no such pattern is in force.
    public init(
        group: borrowing FanotifyGroup, decider: @autoclosure @escaping () -> any PathDecider,
        deniedObjects: DeniedObjects,
        gate: ViolationGate, names: (any TakenNames)? = nil
    ) throws(Errno) {
        self.group = try group.descriptor.duplicate()
        makeDecider = decider
        self.gate = gate
        self.names = names
        denied = deniedObjects
        events = OpenedEvents(group: self.group.number)
    }

    /// Answers what is waiting, and never waits itself.
    public func handle() {
        var left = Self.batch
        while left > 0, waitingCount < Self.waitingLimit {
            switch events.next() {
            case .event:
                left -= 1
                answer()
            case .nothing:
                return
            case .failed(let error):
                left -= 1
                guard readFailed(error) else { return }
            }
        }
    }

    /// - Returns: whether reading can go on.
    private func readFailed(_ error: Errno) -> Bool {
        switch error.code {
        case ENXIO, ENODEV, EACCES, EPERM, ENOENT, ESTALE, ELOOP, ETXTBSY, EOVERFLOW, EIO, ENOMEM:
            // The object could not be opened for us (a socket, a device that is gone, a sick disk): the kernel has
            // denied that one event by itself, and the next may be read.
            counts.deny += 1
            gate.report(
                Violation(
                    operation: "open", object: Array("an object that cannot be opened (\(error.name))".utf8),
                    rule: .undecidable, layer: .fanotify))
            return true
        case EMFILE, ENFILE:
            counts.deny += 1
            gate.enforcementLost("no descriptor is left to look at what the sandbox opens (\(error.name))")
            return false
        default:
            gate.enforcementLost("permission events cannot be read: \(error)")
            return false
        }
    }

    private enum Refusal {
        case rule(Int32)
        case undecidable(StaticString)
    }

    private enum Answer {
        case allow(isSettled: Bool, isTraced: Bool)
        case deny(operation: StaticString, Refusal)
    }

    private func answer() {
        let event = events.event
        guard event >= 0 else {
            // FAN_Q_OVERFLOW cannot be with an unlimited queue, unless the kernel had no memory for an event.
            gate.enforcementLost("the kernel lost permission events")
            return
        }
        if isRead {
            answerRead()
            return
        }
        var answer = decide()
        var policyDenial: PolicyJudge.Denial?
        if let judge, case .allow(_, let isTraced) = answer {
            switch judgeByPolicy(judge) {
            case .nothing: break
            case .later: return
            case .denied(let denial):
                policyDenial = denial
                answer = .deny(operation: isExecution ? "execute" : "open", .undecidable("the threat policy says so"))
            case .undecidable(let why): answer = .deny(operation: isExecution ? "execute" : "open", .undecidable(why))
            case .excused: answer = .allow(isSettled: false, isTraced: isTraced)
            }
        }
        let isAllowed = if case .allow = answer { true } else { false }
        // The thread's registers say what it wants until it is answered.
        let told = tellsAllowed && isAllowed ? wanted : nil
        let isSettled = if case .allow(isSettled: true, isTraced: false) = answer { told == nil } else { false }
        // An execution is asked about again as soon as this is answered.
        if isSettled, isExecution { settle() }
        // First of all: somebody waits. ENOENT means the asking thread was killed meanwhile.
        if let error = events.answer(allow: isAllowed), error.code != ENOENT {
            gate.enforcementLost("a permission event could not be answered: \(error)")
        }
        switch answer {
        case .allow(_, let isTraced):
            if isTraced { trace() } else { counts.allow += 1 }
            if let told, !isTraced {
                events.withPath { tellAllowed(told, $0, thread: events.thread) }
            } else if isSettled, !isExecution {
                settle()
            }
        case .deny(let operation, let refusal):
            counts.deny += 1
            if let policyDenial, let judge {
                events.withPath {
                    report(policyDenial, judge, operation, [UInt8](copying: $0), thread: events.thread)
                }
            } else {
                report(operation, refusal)
            }
        }
        close(event)
    }

    var isExecution: Bool { events.mask & UInt64(FAN_OPEN_EXEC_PERM) != 0 }
    /// Only where the marks ask for reads: where a new policy is to count for what is open.
    var isRead: Bool { events.mask & UInt64(FAN_ACCESS_PERM) != 0 }
    var operation: StaticString { isExecution ? "execute" : isRead ? "read" : "open" }
    var kind: mode_t { events.kind }
    /// The operation, and for an open which it is: as it is told of what is allowed.
    var wanted: StaticString {
        !isExecution && kind == mode_t(S_IFREG) && events.intent() == clinux_intent_write ? "write" : operation
    }

    func tellAllowed(_ operation: StaticString, _ path: borrowing Span<UInt8>, thread: Int32) {
        guard path.count > 0, path[0] == UInt8(ascii: "/") else { return }
        gate.observed(operation: operation.description, object: path, pid: thread)
    }

    private func decide() -> Answer {
        let operation: StaticString = isExecution ? "execute" : "open"
        if !events.isDescribed {
            return .deny(operation: operation, .undecidable("its path cannot be told"))
        }
        if let rule = denied[events.identity] { return .deny(operation: operation, .rule(rule)) }

        return events.withPath { decide($0, operation) }
    }

    private func decide(_ path: borrowing Span<UInt8>, _ operation: StaticString) -> Answer {
        guard path.count > 0, path[0] == UInt8(ascii: "/") else {
            // "pipe:[7]" and the like: objects without a place, which are the opener's own.
            if kind == mode_t(S_IFIFO) || kind == mode_t(S_IFSOCK) {
                return .allow(isSettled: false, isTraced: false)
            }
            return .deny(operation: operation, .undecidable("it has no place"))
        }
        let first = judge(path, operation)
        guard case .allow(let isSettled, let isTraced) = first else { return first }
        if isSettled { return first }

        // The kernel adds this to the path of an object that was unlinked, and a file may be called so. Both readings
        // must be allowed.
        if let length = path.lengthBeforeDeletedSuffix {
            let second = judge(path.extracting(first: length), operation)
            guard case .allow = second else { return second }
        }
        switch names?.taken(events.identity, path: path, event: events.event) ?? .none {
        case .none: break
        case .denied(let rule): return .deny(operation: operation, .rule(rule))
        case .undecidable: return .deny(operation: operation, .undecidable("folders on the way keep being renamed"))
        }
        return .allow(isSettled: false, isTraced: isTraced)
    }

    private func judge(_ path: borrowing Span<UInt8>, _ operation: StaticString) -> Answer {
        let verdict = decider.verdict(path)
        if isExecution {
            guard verdict.access != .denied, verdict.mayExecute else {
                return .deny(operation: operation, .rule(verdict.rule))
            }
            return .allow(isSettled: verdict.isSettled && settlesExecution, isTraced: verdict.isTraced)
        }
        switch verdict.access {
        case .denied:
            return .deny(operation: operation, .rule(verdict.rule))
        case .full:
            return .allow(isSettled: verdict.isSettled, isTraced: verdict.isTraced)
        case .readOnly:
            // A read-only mount refuses writing before anybody is asked. The mount this very open came by is looked at:
            // one that was laid over a name goes when somebody outside renames another file over it.
            if verdict.isSettled || kind == mode_t(S_IFDIR) || clinux_is_on_read_only_mount(events.event) != 0 {
                return .allow(isSettled: verdict.isSettled, isTraced: false)
            }
            // Protected, on a mount that is not read-only. The event does not tell reading from writing, but the
            // thread's registers do: it stays in its system call until we answer, so they cannot change.
            switch events.intent() {
            case clinux_intent_read, clinux_intent_execute: return .allow(isSettled: false, isTraced: false)
            case clinux_intent_write: return .deny(operation: "write", .rule(verdict.rule))
            default: return .deny(operation: "open (reading or writing cannot be told)", .rule(verdict.rule))
            }
        }
    }

    /// Settles objects before anybody asks about them, as far as their places are settled and what is asked would be allowed.
    /// - Parameter paths: on the host; what is not there is passed over.
    public func settle(beforehand paths: [String]) {
        guard judge == nil, !tellsAllowed else { return }
        for path in paths {
            // Nothing but a file in a settled place is opened: other things may act when they are.
            guard let place = try? FileDescriptor.open(path, O_PATH) else { continue }
            for mask in [FAN_OPEN_EXEC_PERM, FAN_OPEN_PERM] {
                events.describe(place, for: Int32(mask))
                guard case .allow(isSettled: true, isTraced: false) = decide(), kind == mode_t(S_IFREG),
                    // Whoever has a lease on it is not waited for.
                    let file = try? FileDescriptor.open("/proc/self/fd/\(place.number)", O_RDONLY | O_NONBLOCK)
                else { continue }
                events.describe(file, for: Int32(mask))
                settle()
                break
            }
        }
    }

    private func settle() {
        let isFolder = kind == mode_t(S_IFDIR)
        guard canSettle, isFolder || (kind == mode_t(S_IFREG) && events.links == 1) else { return }
        var mask = events.mask & (UInt64(FAN_OPEN_PERM) | UInt64(FAN_OPEN_EXEC_PERM))
        if isExecution, judge == nil { mask |= UInt64(FAN_OPEN_PERM) }
        var flags = UInt32(FAN_MARK_ADD) | UInt32(clinux_FAN_MARK_EVICTABLE) | UInt32(clinux_FAN_MARK_IGNORE)
        if isFolder {
            // The kernel insists on SURV_MODIFY for folders (EISDIR). Without FAN_EVENT_ON_CHILD the folder alone is
            // ignored, not what lies in it.
            mask |= UInt64(FAN_ONDIR)
            flags |= UInt32(FAN_MARK_IGNORED_SURV_MODIFY)
        }
        if let error = events.ignore(mask, flags: flags) {
            // Linux before 6.0: every open is asked about. Slower, as safe.
            if error.code == EINVAL { canSettle = false }
        } else {
            settled += 1
        }
    }

    private func trace() {
        counts.trace += 1
        events.withPath {
            gate.traced(operation: isExecution ? "execute" : "open", object: $0, pid: events.thread)
        }
    }

    private func report(_ operation: StaticString, _ refusal: Refusal) {
        let thread = events.thread
        events.withPath { path in
            let object = path.isEmpty ? Array("?".utf8) : [UInt8](copying: path)
            gate.report(.fanotify, operation.description, path) {
                let origin = ThreadOrigin(thread)
                let rule =
                    switch refusal {
                    case .rule(let rule): decider.reference(rule)
                    case .undecidable(let why): RuleReference(text: "denied because \(why)")
                    }
                return Violation(
                    operation: operation.description, object: object, rule: rule, layer: .fanotify,
                    pid: origin.process, program: origin.name)
            }
        }
    }
}

extension RuleReference {
    static let undecidable = RuleReference(text: "denied because it cannot be looked at")
}

extension Span<UInt8> {
    /// The length without a trailing " (deleted)"; `nil` when there is none.
    var lengthBeforeDeletedSuffix: Int? {
        let suffix: StaticString = " (deleted)"
        let length = count - suffix.utf8CodeUnitCount
        guard length > 0, self[count - 1] == UInt8(ascii: ")") else { return nil }
        for (offset, byte) in suffix.description.utf8.enumerated() where self[length + offset] != byte { return nil }
        return length
    }
}
