import Enforce
import LinuxSystem
import ThreatPolicy

/// Tier bpf at work: reads what the kernel's programs tell, sees whether they still stand, and tells them the level.
///
/// Alerts wake the loop at once. The trace ring wakes it when a quarter is full; what is less waits for the clock, so
/// that a busy sandbox does not wake its supervisor with every file it opens.
final class KernelEnforcement {
    private let sandbox: KernelGuard
    private let loop: EventLoop
    private let events: KernelEvents
    private let sink: Violations
    private lazy var clock = loop.timer { [unowned self] in look() }
    private var isRunning = false
    /// Denials told one by one or as repeats.
    private var told: UInt64 = 0
    /// The latest violations by the time of their record: what repeats them untold is added at the end.
    private var recent: [UInt64: Violation] = [:]

    /// Milliseconds: what vanished is noticed within half a second.
    private static let interval = 500
    private static let remembered = 1024
    /// Records taken in one go: a sandbox that floods its rings does not keep its supervisor from anything else.
    private static let batch = 1024

    init(_ sandbox: KernelGuard, loop: EventLoop, events: KernelEvents, _ sink: Violations) {
        self.sandbox = sandbox
        self.loop = loop
        self.events = events
        self.sink = sink
        loop.watch(sandbox.sandbox.alerts.descriptor) { [unowned self] _ in drainAlerts() }
        loop.watch(sandbox.sandbox.traces.descriptor) { [unowned self] _ in drainTraces() }
        clock.start(after: Self.interval, every: Self.interval)
        sink.onLevel = { [unowned sandbox] in sandbox.set(level: $0) }
    }

    /// Puts a threat policy into force. When it cannot be, what was in force stays.
    /// - Parameters:
    ///   - whitelist: the file where an exception is written, for the advice with a denial.
    ///   - revokes: whether a change in the running sandbox counts for what is open already.
    func use(_ policy: ThreatPolicy, whitelist: String, revokes: Bool) throws(SystemError) {
        let kernel: KernelPolicy
        if let known = events.policy {
            kernel = known
        } else {
            kernel = KernelPolicy(sandbox, whitelist: whitelist, revokes: revokes, loop: loop, sink: sink)
            events.policy = kernel
        }
        // What the policy before the last denied is told by its name, too: no more than these fit into the ring.
        drainAlerts()
        do {
            try kernel.use(policy)
            if isRunning { try kernel.revoke() }
        } catch {
            throw Errno(EIO).doing("putting the threat policy into the kernel", "\(error)")
        }
    }

    func label(inside pid: Int32) throws(SystemError) {
        try sandbox.label(inside: pid)
        isRunning = true
    }

    @discardableResult
    private func drainAlerts() -> Int {
        sandbox.sandbox.alerts.drain(limit: Self.batch) { [self] event in
            guard let violation = events.take(event) else { return }
            told += violation.count
            if recent.count >= Self.remembered { recent.removeAll(keepingCapacity: true) }
            recent[event.time] = violation
        }
    }

    @discardableResult
    private func drainTraces() -> Int {
        sandbox.sandbox.traces.drain(limit: Self.batch) { [events] event in _ = events.take(event) }
    }

    private func look() {
        drainAlerts()
        drainTraces()
        let lost = sandbox.lost()
        if !lost.isEmpty {
            sink.enforcementLost("programs of the kernel are gone: \(lost.joined(separator: ", "))")
        }
    }

    /// After the last task: the rest of the records, the counters, and the sandbox's entries are taken out.
    func finish() {
        while drainTraces() + drainAlerts() > 0 {}
        for untold in sandbox.untoldRepeats() {
            guard var violation = recent[untold.since] else { continue }
            violation.count = untold.count
            told += untold.count
            sink.violation(violation)
        }
        let counters = sandbox.counters()
        sink.allowed(counters.allAllowed)
        sink.untold(counters.denied > told ? counters.denied - told : 0)
        if counters.unhashed > 0 { sink.unhashed(counters.unhashed) }
        sink.lostInKernel(counters.alertsLost + counters.tracesLost)
        sandbox.end()
    }
}
