public import LinuxSystem

/// Serves a sandbox's seccomp listener: records what the filter refuses, and what is attempted on guarded places.
///
/// Three kinds of calls arrive, told apart by number:
/// - Those the threat policy denies: always answered EPERM, in its name.
/// - Refused ones (mount, bpf, setns...): always answered EPERM. So is every number nobody told us about.
/// - Observed ones, which change something by path. The path is read from the caller's memory and put together
///   lexically; when it hits a place that may not be changed, an attempt is recorded. Calls on places that a `deny` or
///   `protect` rule names are answered EACCES when ``refusesGuarded`` is set; all others go on.
///
/// Why letting them go on is no hole: the path is looked at here, and looked up again by the kernel, after another
/// thread may have written another path there. So nothing rests on what is seen here. What must not change lies on
/// read-only or masking mounts (answering EROFS, EBUSY or EACCES whatever the path), is asked about again when opened
/// (``FanotifyArbiter``), or is taken away again (``NameWatcher``). A refusal here can only be one too many, never one
/// too few; it spares the honest program a file that vanishes, and stops who does not race.
public final class SystemCallObserver {
    /// What a number means.
    public enum Notice: Sendable, Equatable {
        /// EPERM. `counts`: it speaks of ill will.
        case refused(counts: Bool)
        case observed
    }

    /// Numbers and names, from whoever made the filter.
    public struct Calls {
        /// `nil`: not one the filter hands over; refused.
        public var notice: (Int32) -> Notice?
        public var name: (Int32) -> String?

        public init(notice: @escaping (Int32) -> Notice?, name: @escaping (Int32) -> String?) {
            self.notice = notice
            self.name = name
        }
    }

    /// To be polled for input. It hangs up when the last process under the filter is gone.
    public var descriptor: Int32 { notifications.listener.number }
    public private(set) var counts = VerdictCounts()
    /// Whether changing a place that a `deny` or `protect` rule names is answered EACCES here already.
    public var refusesGuarded = true
    /// What the filter hands over because of the threat policy.
    public var threats: PolicyCalls?

    private let notifications: Notifications
    private let calls: Calls
    private let decider: () -> any PathDecider
    private let gate: ViolationGate

    private static let batch = 256

    /// - Parameter listener: the filter's notification descriptor; nobody else may receive from it.
    public init(
        listener: consuming FileDescriptor, calls: Calls, decider: @escaping () -> any PathDecider, gate: ViolationGate
    ) throws(Errno) {
        notifications = try Notifications(listener: listener)
        self.calls = calls
        self.decider = decider
        self.gate = gate
    }

    /// Answers what is waiting, and never waits itself.
    public func handle() {
        for _ in 0..<Self.batch {
            switch notifications.next() {
            case .nothing: return
            case .call: answer()
            case .failed(let error):
                gate.enforcementLost("system call notifications cannot be received: \(error)")
                return
            }
        }
    }

    private func answer() {
        let number = notifications.number
        let refusal: Int32?
        switch calls.notice(number) {
        case _ where refuseThreat(number):
            refusal = EPERM
        case .observed:
            refusal = observe(clinux_describe_path_call(Int64(number)))
        case .refused(let counts):
            refuse(number, counts: counts)
            refusal = EPERM
        case nil:
            refuse(number, counts: true)
            refusal = EPERM
        }
        if refusal == nil { counts.allow += 1 } else { counts.deny += 1 }
        // ENOENT: killed, or interrupted by a signal, and then asked about again.
        if let error = notifications.answer(error: refusal), error.code != ENOENT {
            gate.enforcementLost("a system call notification could not be answered: \(error)")
        }
    }

    // MARK: Observed calls

    /// - Returns: the errno to refuse with; `nil`: the call goes on.
    private func observe(_ call: clinux_path_call) -> Int32? {
        guard let operation = operation(call) else { return nil }
        var isRefused = look(operation, directory: call.directory, path: call.path)
        if call.other >= 0, look(operation, directory: call.other_directory, path: call.other) { isRefused = true }
        return isRefused && refusesGuarded ? EACCES : nil
    }

    /// What the call does; `nil`: it only reads, or it is none of those that name a path.
    private func operation(_ call: clinux_path_call) -> String? {
        switch clinux_path_kind(UInt32(call.kind)) {
        case clinux_path_open: openOperation(notifications.argument(Int(call.flags)))
        // The first member of struct open_how. Unreadable: the kernel cannot read it either.
        case clinux_path_open_how: notifications.word(Int(call.flags)).flatMap(openOperation)
        case clinux_path_creat, clinux_path_mkdir, clinux_path_mknod, clinux_path_symlink: "create"
        case clinux_path_truncate: "write"
        case clinux_path_unlink, clinux_path_rmdir: "remove"
        case clinux_path_rename: "rename"
        case clinux_path_link: "link"
        case clinux_path_chmod: "change the mode of"
        case clinux_path_chown: "change the owner of"
        case clinux_path_utime: "change the times of"
        case clinux_path_setxattr, clinux_path_removexattr: "change the attributes of"
        default: nil
        }
    }

    private func openOperation(_ flags: UInt64) -> String? {
        let flags = Int32(truncatingIfNeeded: flags)
        if flags & O_PATH != 0 { return nil }
        if flags & O_CREAT != 0 { return "create" }
        return flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0 ? "write" : nil
    }

    /// - Returns: whether a rule guards the place.
    private func look(_ operation: String, directory: Int8, path: Int8) -> Bool {
        notifications.withPath(directory: directory, at: path) { place in
            let decider = decider()
            let verdict = decider.verdict(place)
            if verdict.access == .full { return false }
            let thread = notifications.thread
            // Creating what exists is only opening it; and a file that is merely read-only is opened to be written by
            // many a program that can live with less. Both are worth a line, not a level.
            gate.report(.mount, operation, place) {
                let origin = ThreadOrigin(thread)
                return Violation(
                    operation: operation, object: [UInt8](copying: place), rule: decider.reference(verdict.rule),
                    layer: .mount, pid: origin.process, program: origin.name,
                    countsTowardsLevel: verdict.isGuarded, objectExists: notifications.exists(place))
            }
            return verdict.isGuarded
        } ?? false
    }

    // MARK: Refused calls

    /// - Returns: whether the threat policy denies it.
    private func refuseThreat(_ number: Int32) -> Bool {
        guard
            let refusal = threats?.refusal(
                number, first: notifications.argument(0), second: notifications.argument(1))
        else { return false }
        let name = calls.name(number) ?? "system call \(number)"
        gate.report(refusal.layer, name, attempt(number).span) {
            let origin = ThreadOrigin(notifications.thread)
            return Violation(
                operation: name, object: describe(name), rule: refusal.rule, layer: refusal.layer, pid: origin.process,
                program: origin.name, remedy: refusal.remedy)
        }
        return true
    }

    /// The same call with the same first arguments is the same attempt.
    private func attempt(_ number: Int32) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(20)
        eachByte(of: number) { key.append($0) }
        eachByte(of: notifications.argument(0)) { key.append($0) }
        eachByte(of: notifications.argument(1)) { key.append($0) }
        return key
    }

    private func refuse(_ number: Int32, counts: Bool) {
        let name = calls.name(number) ?? "system call \(number)"
        gate.report(.seccomp, name, attempt(number).span) {
            let origin = ThreadOrigin(notifications.thread)
            return Violation(
                operation: name, object: describe(name), rule: RuleReference(text: "the system call filter refuses it"),
                layer: .seccomp, pid: origin.process, program: origin.name, countsTowardsLevel: counts)
        }
    }

    private func eachByte<Number: FixedWidthInteger>(of number: Number, _ take: (UInt8) -> Void) {
        for shift in stride(from: 0, to: Number.bitWidth, by: 8) { take(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    /// `mount("proc", "/proc", "proc")`, `socket(0x26, 0x5, 0x0)`.
    private func describe(_ name: String) -> [UInt8] {
        var text = Array("\(name)(".utf8)
        let strings = Self.stringArguments[name] ?? []
        let count = strings.max().map { $0 + 1 } ?? 3
        for index in 0..<count {
            if index > 0 { text += Array(", ".utf8) }
            if strings.contains(index), let string = notifications.string(index) {
                text += [UInt8(ascii: "\"")] + string + [UInt8(ascii: "\"")]
            } else {
                text += Array("0x\(String(notifications.argument(index), radix: 16))".utf8)
            }
        }
        return text + [UInt8(ascii: ")")]
    }

    private static let stringArguments: [String: Set<Int>] = [
        "mount": [0, 1, 2], "umount2": [0], "pivot_root": [0, 1], "chroot": [0], "swapon": [0], "swapoff": [0],
        "acct": [0], "add_key": [0, 1], "request_key": [0, 1], "sethostname": [0], "setdomainname": [0], "uselib": [0],
        "delete_module": [0],
    ]
}
