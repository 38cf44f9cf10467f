public import Cgroup
import Enforce
public import Launch
public import LinuxSystem
public import Plan
public import Record

/// Serves one sandbox from its cloning to its end: the kernel's questions, signals, timers and the terminal, in one
/// event loop on one thread. It never waits for the disk, and nothing it does waits for the agent.
public final class Supervisor {
    private let plan: SandboxPlan
    private var process: SandboxedProcess?
    private let cgroup: SandboxCgroup?
    private let guardian: Guardian
    private let recorder: SessionRecorder
    private let alarm: RecordAlarm
    private let signals: SignalSource
    private let loop: EventLoop
    private lazy var deadline = loop.timer { [unowned self] in timeout() }
    private lazy var grace = loop.timer { [unowned self] in killNow() }
    private lazy var tick = loop.timer { [unowned self] in lookAround() }
    private lazy var memoryLook = loop.timer { [unowned self] in lookForMemory() }
    private var memoryLooks = 0
    /// Ten seconds of looks.
    private static let memoryLooks = 500
    private lazy var settled = loop.timer { [unowned self] in settle() }
    private let started = Clock.monotonic()

    private var ending = Ending()
    private var watchdog: Watchdog
    private var terminal: Terminal?
    private var relay: TerminalRelay?
    private var reasoning: FileDescriptor?
    private var reasoningLines = ReasoningLines()
    private var memoryWatch: OutOfMemoryWatch?
    private let violations: Violations
    private let enforcement: Enforcement
    private var opensAtOnce = false
    private let countsUse: Bool

    /// Lays everything that must be there before the agent starts: watches, and who answers the kernel.
    /// - Parameters:
    ///   - reasoning: the reading end of the agent's reasoning pipe.
    ///   - policy: where the machine's threat policy is; `nil`: there can be none.
    ///   - countsUse: whether somebody reads what the run has used; its end waits for that.
    public init(
        plan: SandboxPlan, cgroup: SandboxCgroup?, guardian: Guardian,
        recorder: SessionRecorder, alarm: RecordAlarm, signals: consuming SignalSource,
        tier: TierHandles, reasoning: consuming FileDescriptor?, policy: PolicySource?, countsUse: Bool
    ) throws(SystemError) {
        self.plan = plan
        self.cgroup = cgroup
        self.guardian = guardian
        self.recorder = recorder
        self.alarm = alarm
        self.signals = signals
        self.reasoning = reasoning
        self.countsUse = countsUse
        loop = try EventLoop()
        watchdog = Watchdog(plan.watchdog, memoryLimit: plan.watchdogMemory)
        violations = Violations(plan: plan, recorder: recorder)
        enforcement = Enforcement(plan: plan, loop: loop, sink: violations, session: recorder.path)
        try enforcement.start(tier, policy: policy)
    }

    /// What could not be enforced, found out while preparing.
    public var unenforced: [String] { enforcement.unenforced }

    /// Watches over `process`. Call it once, then ``open(_:)`` and ``warmUp()``; then ``run(_:)`` may begin.
    public func begin(_ process: SandboxedProcess) {
        self.process = process
        violations.onEmergency = { [unowned self] in kill(because: .policy, detail: "threat level 1") }
        violations.onLoss = { [unowned self] what in kill(because: .enforcementLost, detail: what) }
        watchSources(process)
        opensAtOnce = !plan.handsOverBeforeStart && isComplete(process)
    }

    /// Lets the agent start. Where the child hands something over first, that is done when it has.
    ///
    /// The thread of ``run(_:)`` should be there by then, for a failure to make it is none that happens while the agent runs.
    public func open(_ process: SandboxedProcess) {
        if opensAtOnce { process.open() }
    }

    /// What comes before anybody asks, and for which the child need not wait.
    public func warmUp() { enforcement.warmUp() }

    /// Serves `process`, on a thread of its own, until the sandbox is gone. The recorder is still at work then.
    public func run(_ process: SandboxedProcess) -> SandboxOutcome {
        loop.run()
        return finish(process)
    }

    /// When the outcome of ``run(_:)`` is where others find it: has the recorder stop, and while its thread ends the record,
    /// what the sandbox leaves in the kernel goes.
    /// - Throws: EBUSY when something is alive in the cgroup and stays so.
    public func clearUp(_ process: SandboxedProcess) throws(SystemError) {
        recorder.requestStop()
        process.reap()
        enforcement.clearUp()
        try cgroup?.remove()
    }

    private func watchSources(_ process: SandboxedProcess) {
        loop.watch(process.messageDescriptor) { [unowned self] _ in serveMessages(process) }
        loop.watch(process.process.number) { [unowned self] _ in loop.stop() }
        loop.watch(signals.descriptor) { [unowned self] _ in serveSignals() }
        loop.watch(guardian.descriptor) { [unowned self] _ in
            kill(because: .enforcementLost, detail: "the guardian, which would undo everything, is gone")
        }
        loop.watch(alarm.descriptor) { [unowned self] _ in
            loop.forget(alarm.descriptor)
            kill(because: .policy, detail: "the record cannot be kept, and [streams] on_failure = \"stop\"")
        }
        if let reasoning = reasoning?.number {
            _ = clinux_set_nonblocking(reasoning)
            loop.watch(reasoning) { [unowned self] _ in readReasoning() }
        }
        if let limit = plan.timeoutMilliseconds { deadline.start(after: limit) }
        if watchdog.isOn {
            tick.start(after: plan.watchdog.intervalMilliseconds, every: plan.watchdog.intervalMilliseconds)
        }
        watchMemory()
        settled.start(after: 500)
    }

    /// What it took to get here is not needed again for as long as the agent runs. A short run does not pay for giving it back,
    /// and needs some of it at its end.
    private func settle() {
        // A child that is still at its set-up reads it.
        guard ending.isReady else { return settled.start(after: 500) }
        process?.releaseSetup()
        clinux_release_code()
    }

    // MARK: What pid 1 says

    private func serveMessages(_ process: SandboxedProcess) {
        while let message = process.nextMessage() {
            switch message {
            case .prepared: if plan.handsOverBeforeStart, isComplete(process) { process.open() }
            case .ready: ending.isReady = true
            case .executionFailed(let error):
                if ending.isReady {
                    ending.executionError = error
                } else {
                    ending.failure = LaunchFailure(error.doing("starting the sandbox's init"))
                }
            case .stopped(let signal): agentStopped(signal)
            case .continued: break
            case .ended(let status):
                ending.status = status
                loop.stayAwake()
            case .home(let descriptor): enforcement.keepHome(FileDescriptor(owning: descriptor))
            case .terminal(let descriptor): startRelay(FileDescriptor(owning: descriptor))
            case .listener(let descriptor): enforcement.listen(FileDescriptor(owning: descriptor))
            case .closed:
                loop.forget(process.messageDescriptor)
                return
            }
        }
    }

    /// Everything the child had to hand over has been taken.
    /// - Returns: whether the agent may run; if not, it never will.
    private func isComplete(_ process: SandboxedProcess) -> Bool {
        do {
            try enforcement.complete(inside: process.pid)
            if let filter = enforcement.filter { try process.use(filter) }
            return true
        } catch {
            ending.failure = error as? LaunchFailure ?? (error as? SystemError).map { LaunchFailure($0) }
            process.send(signal: SIGKILL)
            return false
        }
    }

    private func startRelay(_ controller: consuming FileDescriptor) {
        guard let terminal = Terminal(plan.terminals) else { return }
        self.terminal = terminal
        relay = TerminalRelay(loop: loop, terminal: terminal, controller: controller, terminals: plan.terminals)
    }

    /// The agent was stopped (Ctrl-Z): so is mis, and the shell that started it takes over.
    private func agentStopped(_ signal: Int32) {
        guard let relay, signal == SIGTSTP || signal == SIGSTOP || signal == SIGTTIN || signal == SIGTTOU else {
            return
        }
        relay.suspend()
        // The rest of a pipeline would have been stopped by the same key.
        Glibc.kill(0, SIGTSTP)
        // Directed at this very thread: it does not run on before the whole process is stopped.
        raise(SIGSTOP)
        // Here again once somebody continued us.
        relay.resume()
        process?.send(signal: SIGCONT)
    }

    // MARK: Signals and time

    private func serveSignals() {
        while let signal = signals.next() {
            switch signal {
            case SIGWINCH: relay?.resize()
            case SIGCONT:
                relay?.resume()
                process?.send(signal: SIGCONT)
            case SIGPIPE, SIGTTIN, SIGTTOU: break
            case SIGTSTP where relay == nil:
                process?.send(signal: SIGTSTP)
                raise(SIGSTOP)
            case SIGTSTP: break
            default: process?.send(signal: signal)
            }
        }
    }

    /// TERM first; KILL five seconds later.
    private func timeout() {
        ending.kill(because: .timeout, detail: "ran longer than allowed")
        process?.send(signal: SIGTERM)
        grace.start(after: 5000)
    }

    private func lookAround() {
        let reason = watchdog.look(
            now: Clock.monotonic(), cpu: cgroup?.processorTime(), memory: cgroup?.memoryInUse())
        if let reason { kill(because: .watchdog, detail: reason) }
    }

    /// v1 kills one process of the cgroup; v2 is told to kill all: here both do.
    private func watchMemory() {
        do {
            memoryWatch = try cgroup?.outOfMemoryWatch()
        } catch {
            return
        }
        guard let descriptor = memoryWatch?.descriptor.number, let events = memoryWatch?.events.rawValue,
            let tellsEarly = memoryWatch?.tellsEarly
        else { return }
        loop.watch(descriptor, for: events) { [unowned self] _ in
            var count: UInt64 = 0
            unsafe _ = pread(descriptor, &count, 8, 0)
            unsafe _ = read(descriptor, &count, 8)
            endIfOutOfMemory()
            if tellsEarly, ending.cause == nil {
                memoryLooks = Self.memoryLooks
                memoryLook.start(after: 20, every: 20)
            }
        }
    }

    private func lookForMemory() {
        memoryLooks -= 1
        endIfOutOfMemory()
        // Memory that was found after all kills nobody; the next time it runs out is told anew.
        if memoryLooks <= 0 || ending.cause != nil { memoryLook.stop() }
    }

    private func endIfOutOfMemory() {
        guard cgroup?.outOfMemoryKills() ?? 0 > 0 else { return }
        kill(because: .oom, detail: "the memory limit was reached")
    }

    private func kill(because cause: RunExit.KillCause, detail: String?) {
        ending.kill(because: cause, detail: detail)
        killNow()
    }

    private func killNow() {
        try? cgroup?.kill()
        process?.send(signal: SIGKILL)
    }

    // MARK: Reasoning

    private func readReasoning() {
        guard let number = reasoning?.number else { return }
        var buffer = [UInt8](repeating: 0, count: 16384)
        // A few reads at a time: the agent may write without pause, and others wait.
        for _ in 0..<4 {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
            if count > 0 {
                reasoningLines.feed(buffer.span.extracting(first: count), to: recorder)
                continue
            }
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            loop.forget(number)
            return
        }
    }

    // MARK: The end

    private func finish(_ process: SandboxedProcess) -> SandboxOutcome {
        // What pid 1 said last may still be in the socket.
        serveMessages(process)
        let outOfMemoryKills = ending.looksOutOfMemory ? cgroup?.outOfMemoryKills() ?? 0 : 0
        relay?.drain()
        relay?.end()
        terminal?.restore()
        readReasoning()
        reasoningLines.finish(to: recorder)
        enforcement.finish()
        let exit = ending.exit(outOfMemory: outOfMemoryKills)
        let failure = ending.isReady ? nil : ending.failure ?? process.setupFailure()
        return SandboxOutcome(
            exit: exit, setupFailure: failure, detail: ending.detail,
            durationMilliseconds: (Clock.monotonic() - started) / 1_000_000, verdicts: violations.verdicts,
            denials: violations.log, lostEvents: violations.lostEvents, level: violations.worstLevel,
            policy: enforcement.policyVersions, unenforced: violations.unenforced,
            usage: countsUse ? cgroup?.totals() ?? CgroupUsage() : CgroupUsage())
    }
}

extension SandboxPlan {
    /// Whether the child has something for us that must be at work before the agent is: a terminal, the private home's
    /// files, in tier bpf the mounts it made.
    fileprivate var handsOverBeforeStart: Bool {
        terminals.contains(true) || !homeFiles.isEmpty || !homePatterns.isEmpty || tier == .bpf
    }
}
