import Enforce
import LinuxSystem
import PolicyFiles
import Record
import Seccomp
import ThreatPolicy

/// The threat policy, tied to the tier's machinery.
extension Enforcement {
    func followPolicy(_ source: PolicySource) throws(SystemError) {
        guard
            let watch = PolicyWatch(source, bundles: plan.policy.bundles, session: plan.session, loop: loop)
        else { return }
        policy = watch
        watch.onRefusal = { [sink] what, reason in sink.policyRefused(what, reason) }
        var failure: SystemError?
        watch.onChange = { [unowned self] snapshot in
            do throws(SystemError) {
                try limitCalls(snapshot, in: source.folder)
                unenforced += try enforce(snapshot, in: source.folder)
            } catch {
                failure = error
            }
        }
        try watch.start()
        // Nothing runs without the policy that is there.
        if let failure { throw failure }
        watch.onExpiry = { [unowned self] snapshot in exceptionEnded(snapshot, in: source.folder) }
        // From here on somebody is running: what a new policy leaves unenforced is recorded.
        watch.onChange = { [unowned self] snapshot in
            do throws(SystemError) {
                sink.notEnforced(try enforce(snapshot, in: source.folder).filter { !unenforced.contains($0) })
            } catch {
                sink.policyRefused(snapshot.files.compactMap { $0 }.joined(separator: ", "), "\(error)")
            }
        }
    }

    /// Puts a policy into force, as a whole and at once: this thread is the one that answers.
    /// - Returns: what of it this tier cannot enforce.
    private func enforce(_ snapshot: PolicySnapshot, in folder: String) throws(SystemError) -> [String] {
        var missing: [String] = []
        let whitelist = PolicyFolder(path: folder).whitelistFile
        if let kernel {
            try kernel.use(snapshot.policy, whitelist: whitelist, revokes: plan.policy.revoke)
        } else if let arbiter {
            if let judge = arbiter.judge {
                judge.policy = snapshot.policy
            } else {
                arbiter.judge = PolicyJudge(policy: snapshot.policy, whitelist: whitelist)
                watchDigests(arbiter)
            }
            missing = PolicyJudge.unenforced(snapshot.policy)
        } else {
            let unseen = KeyKind.allCases.filter { snapshot.policy.has($0) && !Self.callKinds.contains($0) }
            if !unseen.isEmpty {
                missing = [
                    "threat policy, \(unseen.map(\.label).joined(separator: ", ")): nothing asks it in tier "
                        + plan.tier.rawValue
                ]
            }
        }
        missing += lateCalls(snapshot.policy, whitelist: whitelist)
        sink.policyChanged(policyVersions, unenforced: missing)
        return missing
    }

    /// Of what is judged at each access an exception that has ended excuses nothing any more. The filter of system calls
    /// stays as it was made.
    private func exceptionEnded(_ snapshot: PolicySnapshot, in folder: String) {
        let late = lateCalls(snapshot.policy, whitelist: PolicyFolder(path: folder).whitelistFile)
            .filter { !sink.unenforced.contains($0) }
        guard !late.isEmpty else { return }
        sink.policyChanged(policyVersions, unenforced: late)
        sink.notEnforced(late)
    }

    // MARK: System calls

    private static let callKinds: Set<KeyKind> = [.call, .family, .ioctl]

    /// What the policy denies now and the running sandbox's filter does not.
    private func lateCalls(_ policy: ThreatPolicy, whitelist: String) -> [String] {
        guard Self.callKinds.contains(where: policy.has) else { return [] }
        let late = callsDenied(policy, whitelist: whitelist).missing(in: threats)
        guard !late.isEmpty else { return [] }
        return [
            "threat policy, \(late.joined(separator: ", ")): denied from the next run on, for a running sandbox's "
                + "system-call filter cannot be changed"
        ]
    }

    private func callsDenied(_ policy: ThreatPolicy, whitelist: String) -> PolicyCalls {
        let numbers = PolicyCalls.Numbers(
            family: Set(["socket", "socketpair"].compactMap(SyscallName.number)), ioctl: SyscallName.number("ioctl"))
        // In tier bpf the kernel's programs see families and ioctls, as they are at any time.
        return PolicyCalls(
            PolicyJudge(policy: policy, whitelist: whitelist), kinds: kernel == nil ? Self.callKinds : [.call],
            numbers: numbers, now: Int64(Clock.wall() / 1_000_000_000))
    }

    /// What starting, waiting for and ending an agent takes after the filter is on; the listener itself is handed over so.
    private static let indispensable = [
        "clone", "close", "close_range", "dup3", "execve", "execveat", "exit", "exit_group", "fcntl", "ppoll", "prctl",
        "read", "rt_sigprocmask", "rt_sigreturn", "sendmsg", "sendto", "setpgid", "setsid", "signalfd4", "umask",
        "wait4",
    ]

    /// Before the sandbox starts: its filter refuses what the policy denies.
    private func limitCalls(_ snapshot: PolicySnapshot, in folder: String) throws(SystemError) {
        guard Self.callKinds.contains(where: snapshot.policy.has) else { return }
        let denied = callsDenied(snapshot.policy, whitelist: PolicyFolder(path: folder).whitelistFile)
        guard !denied.isEmpty else { return }
        let lost = denied.callNumbers.compactMap { SyscallName.name(Int32($0)) }.filter(Self.indispensable.contains)
        guard lost.isEmpty else {
            throw SystemError(
                "making a system-call filter of the threat policy, which denies what every sandbox needs to come up and end:",
                lost.joined(separator: ", "), Errno(EINVAL),
                remedy: "take it out of the policy, or whitelist it: key = \"call:NAME\"")
        }
        do throws(SeccompError) {
            filter = try SeccompFilters.filter(for: plan.seccomp).refusing(
                ThreatCalls(calls: denied.callNumbers, families: denied.familyNumbers, ioctls: denied.ioctlTypes))
        } catch {
            throw SystemError("making a system-call filter of the threat policy", "\(error)", Errno(EINVAL))
        }
        threats = denied
    }

    private func watchDigests(_ arbiter: FanotifyArbiter) {
        guard let digests = arbiter.digestsDescriptor else { return }
        loop.watch(digests) { [unowned self] _ in
            arbiter.handleDigests()
            if !arbiter.isFull { answer(arbiter) }
        }
    }

    /// Answers opens as long as not too many wait for digests.
    func answer(_ arbiter: FanotifyArbiter) {
        loop.watch(arbiter.descriptor) { [loop] _ in
            arbiter.handle()
            loop.stayAwake()
            if arbiter.isFull { loop.forget(arbiter.descriptor) }
        }
    }

    /// For the report.
    var policyVersions: RunReport.PolicyVersions {
        var versions = RunReport.PolicyVersions()
        guard let snapshot = policy?.snapshot else { return versions }
        (versions.base, versions.hotfix, versions.whitelist) = snapshot.versions
        return versions
    }
}
