import LinuxSystem
import ThreatPolicy

/// An open that waits for its object's digest.
struct WaitingOpen {
    var event: Int32
    var thread: Int32
    var operation: StaticString
    var path: [UInt8]
    /// The kernel asks about an execution twice, and the second time as about any open.
    var isExecution: Bool
    /// How it is told when it is allowed; `nil`: it is not.
    var told: StaticString?
}

/// The threat policy's part in answering opens.
extension FanotifyArbiter {
    enum PolicyStep {
        /// It has nothing against it.
        case nothing
        case denied(PolicyJudge.Denial)
        /// The event is kept, and answered when its digest is known.
        case later
        case undecidable(StaticString)
        /// The same as `nothing`, for now only.
        case excused
    }

    private static var now: Int64 { Int64(Clock.wall() / 1_000_000_000) }

    func judgeByPolicy(_ judge: PolicyJudge) -> PolicyStep {
        guard kind == mode_t(S_IFREG) else { return .nothing }
        let now = Self.now
        guard let digests, let look = digests.look(events.event) else {
            return .undecidable("its content cannot be looked at")
        }
        if let denial = events.withPath({ judgePlace(judge, $0, look, now: now) }) { return .denied(denial) }
        // Entries of the whitelist end: what they may have excused is asked about each time.
        let mayEnd = !judge.policy.whitelist.entries.isEmpty
        guard judge.wantsContent, isExecution || look.isELF || look.isExecutable else {
            return mayEnd ? .excused : .nothing
        }
        switch digests.digest(events.event, look) {
        case .digest(nil): return .undecidable("its content cannot be read")
        case .digest(let digest?):
            if let denial = judge.judge(digest: digest, now: now) { return .denied(denial) }
            return mayEnd ? .excused : .nothing
        case .later:
            let waits = WaitingOpen(
                event: events.event, thread: events.thread, operation: operation,
                path: events.withPath { [UInt8](copying: $0) },
                isExecution: isExecution || events.intent() == clinux_intent_execute,
                told: tellsAllowed && !isRead ? wanted : nil)
            waiting[look.content, default: []].append(waits)
            waitingCount += 1
            return .later
        }
    }

    private func judgePlace(
        _ judge: PolicyJudge, _ path: borrowing Span<UInt8>, _ look: ContentDigests.Look, now: Int64
    ) -> PolicyJudge.Denial? {
        var operations: [PolicyOperation] = []
        if isExecution || look.isELF { operations.append(.execute) }
        if isRead {
            operations.append(.read)
        } else if !isExecution {
            // Reading or writing is in the registers of the thread that waits.
            switch events.intent() {
            case clinux_intent_read, clinux_intent_execute: operations.append(.read)
            default: operations += [.read, .write]
            }
        }
        if let denial = judge.judge(path: path, events.identity, operations, now: now) { return denial }
        // See decide(_:_:): the kernel adds this to the path of what was unlinked.
        guard let length = path.lengthBeforeDeletedSuffix else { return nil }
        return judge.judge(path: path.extracting(first: length), events.identity, operations, now: now)
    }

    // MARK: What is open already

    /// A read of something that is open: the profile has allowed that, so only the policy is asked. Each read is
    /// asked about. An ignore mark would spare that, and could not be taken back at once: the kernel goes by it, flushed or
    /// not, as long as any group's question about the same inode waits for its answer, and with a hundred sandboxes one
    /// always does.
    func answerRead() {
        var isAllowed = true
        var denial: PolicyJudge.Denial?
        if !events.isDescribed {
            isAllowed = false
        } else if let judge {
            switch judgeByPolicy(judge) {
            case .nothing, .excused: break
            case .later: return
            case .denied(let found): (isAllowed, denial) = (false, found)
            case .undecidable: isAllowed = false
            }
        }
        if let error = events.answer(allow: isAllowed), error.code != ENOENT {
            gate.enforcementLost("a permission event could not be answered: \(error)")
        }
        if isAllowed {
            counts.allow += 1
        } else {
            counts.deny += 1
            events.withPath { path in
                if let denial, let judge {
                    report(denial, judge, "read", [UInt8](copying: path), thread: events.thread)
                } else {
                    gate.report(
                        Violation(
                            operation: "read", object: [UInt8](copying: path), rule: .undecidable, layer: .fanotify))
                }
            }
        }
        close(events.event)
    }

    /// To be polled for input; `nil` without a policy.
    public var digestsDescriptor: Int32? { digests?.descriptor }

    /// Whether so many opens wait for digests that no more are taken: poll ``descriptor`` again when this is false.
    public var isFull: Bool { waitingCount >= Self.waitingLimit }

    /// Answers what waited for digests that are known by now.
    public func handleDigests() {
        guard let digests else { return }
        for (content, digest, isSteady) in digests.results() {
            guard let waits = waiting.removeValue(forKey: content) else { continue }
            waitingCount -= waits.count
            // What is executed must be what was read. What is opened may be changed afterwards, too, which is a gap.
            for open in waits { finish(open, isSteady || !open.isExecution ? digest : nil, isSteady: isSteady) }
        }
    }

    private func finish(_ open: WaitingOpen, _ digest: [UInt8]?, isSteady: Bool) {
        var denial: PolicyJudge.Denial?
        // Under the policy of now, which may be another than when it was asked.
        if let judge, let digest { denial = judge.judge(digest: digest, now: Self.now) }
        let isAllowed = digest != nil && denial == nil
        if let error = events.answer(open.event, allow: isAllowed), error.code != ENOENT {
            gate.enforcementLost("a permission event could not be answered: \(error)")
        }
        close(open.event)
        if isAllowed {
            counts.allow += 1
            if let told = open.told { tellAllowed(told, open.path.span, thread: open.thread) }
            return
        }
        counts.deny += 1
        let operation = open.operation
        if let denial, let judge {
            report(denial, judge, operation, open.path, thread: open.thread)
        } else {
            gate.report(
                Violation(
                    operation: operation.description, object: open.path,
                    rule: RuleReference(
                        text: isSteady
                            ? "denied because its content cannot be read"
                            : "denied because its content changes while it is read"), layer: .fanotify))
        }
    }

    func report(
        _ denial: PolicyJudge.Denial, _ judge: PolicyJudge, _ operation: StaticString, _ path: [UInt8], thread: Int32
    ) {
        gate.report(judge.layer(denial), operation.description, path.span) {
            let origin = ThreadOrigin(thread)
            return Violation(
                operation: operation.description, object: path, rule: judge.rule(denial), layer: judge.layer(denial),
                pid: origin.process, program: origin.name, remedy: judge.remedy(denial))
        }
    }

    /// Nothing that was allowed before counts any more.
    func policyChanged() {
        if digests == nil {
            do { digests = try ContentDigests() } catch { gate.enforcementLost("\(error)") }
        }
        settlesExecution = judge?.wantsContent != true
        // Ignore marks are the only marks on inodes; those on mounts stay.
        if let error = events.forgetIgnored() {
            gate.enforcementLost("allowed places could not be asked about again: \(error)")
        }
    }
}
