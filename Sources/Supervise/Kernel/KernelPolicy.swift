import Arbiter
import Enforce
import LinuxSystem
import ThreatPolicy

/// The threat policy in tier bpf: the kernel's programs ask it, sandboxes with the same policy share one copy.
final class KernelPolicy {
    private let sandbox: KernelGuard
    /// Where an exception is written, for the advice with a denial.
    private let whitelist: String
    private(set) var policy = ThreatPolicy()
    /// What was in force before: what it denied may be told after it is replaced.
    private var replaced = ThreatPolicy()
    private let loop: EventLoop
    private lazy var expiry = loop.timer { [unowned self] in takeBack() }
    private let sink: Violations

    /// Whether a change counts for what is open already.
    private let revokes: Bool

    init(_ sandbox: KernelGuard, whitelist: String, revokes: Bool, loop: EventLoop, sink: Violations) {
        self.sandbox = sandbox
        self.revokes = revokes
        self.whitelist = whitelist
        self.loop = loop
        self.sink = sink
    }

    private func takeBack() {
        do { try use(policy) } catch {
            sink.enforcementLost(
                "an exception from the threat policy has ended and could not be taken back: \(error)")
        }
    }

    /// Puts a policy into force, whole and at once; everything remembered is void.
    func use(_ new: ThreatPolicy) throws(ArbiterError) {
        let now = Int64(Clock.wall() / 1_000_000_000)
        let excused = new.whitelist.kernelForm(now: now)
        if new.isEmpty {
            try sandbox.arbiter.programs.dropPolicy(of: sandbox.sandbox)
        } else {
            try sandbox.arbiter.programs.use(policy: identity(new, now: now), for: sandbox.sandbox) {
                (filling) throws(ArbiterError) in
                try unsafe filling.whitelist(filter: excused.filter.span.bytes, keys: excused.keys.span.bytes)
                if let hotfix = new.hotfix {
                    let form = hotfix.kernelForm
                    let bits = hotfix.filterBits
                    try unsafe filling.hotfix(filter: form.filter.span.bytes, bits: bits.span.bytes)
                }
                if let base = new.base {
                    let form = base.kernelForm
                    let bits = base.filterBits
                    try unsafe filling.base(
                        filter: form.filter.span.bytes, bits: bits.span.bytes, keys: form.keys.span.bytes)
                }
            }
        }
        replaced = policy
        policy = new
        // The kernel knows no dates: what is excused until then is taken back then.
        if let next = new.whitelist.nextExpiry(after: now) {
            expiry.start(after: Int(clamping: min(next - now, 1 << 30) * 1000))
        }
    }

    /// After a change in a running sandbox, where the profile asks for it: open files are judged anew at each use, and
    /// whoever has code mapped that may not be executed any more is killed, for the kernel takes mappings from nobody.
    func revoke() throws(ArbiterError) {
        guard revokes else { return }
        try sandbox.arbiter.programs.revoke(in: sandbox.sandbox)
        var held: [(pid: pid_t, descriptor: Int32)] = []
        defer { for process in held { close(process.descriptor) } }
        for pid in try mapped() {
            let descriptor = clinux_pidfd_open(pid)
            if descriptor >= 0 { held.append((pid, descriptor)) }
        }
        if held.isEmpty { return }
        // Asked again: a number that went to another process meanwhile is not among them, or rightly is.
        let still = try mapped()
        for process in held where still.contains(process.pid) {
            _ = clinux_pidfd_send_signal(process.descriptor, SIGKILL)
            sink.revoked(process.pid)
        }
    }

    private func mapped() throws(ArbiterError) -> Set<pid_t> {
        try sandbox.arbiter.programs.mappingRevoked(in: sandbox.sandbox)
    }

    /// Names this very content: bundles by their digests, exceptions by the keys that hold now, not by their hashes, which
    /// are another supervisor's own: then each sandbox would have a copy, and the kernel's table is full at eight.
    private func identity(_ policy: ThreatPolicy, now: Int64) -> UInt64 {
        var text = policy.whitelist.identity(now: now)
        for bundle in [policy.base, policy.hotfix] { text += bundle?.identity ?? [0] }
        let digest = PolicySignature.digest(text.span)
        return max(digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }, 1)
    }

    /// What a denial of the policy is called in the record; nil: the rules denied.
    func explain(_ event: borrowing ArbiterEvent) -> (layer: Violation.Layer, rule: RuleReference, remedy: String)? {
        let layer: PolicyLayer
        switch event.layer {
        case 2: layer = .hotfix
        case 3: layer = .base
        default: return nil
        }
        let hash = KeyHash(low: event.key.low, high: event.key.high)
        func bundle(_ policy: ThreatPolicy) -> Bundle? { layer == .hotfix ? policy.hotfix : policy.base }
        // A hash under the one's secret is none of the other's keys.
        let holder = [policy, replaced].first { bundle($0)?.place(of: hash) != nil } ?? policy
        let place = bundle(holder)?.place(of: hash)
        let judge = PolicyJudge(policy: holder, whitelist: whitelist)
        let denial = PolicyJudge.Denial(
            answer: PolicyAnswer(layer: layer, hash: hash, place: place),
            key: place.flatMap { bundle(holder)?.threat(at: $0)?.key })
        return (judge.layer(denial), judge.rule(denial), judge.remedy(denial))
    }
}
