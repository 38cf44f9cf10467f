import Enforce
import LinuxSystem
import PolicyFiles
import Record
import ThreatPolicy

/// The threat policy, tied to the tier's machinery.
extension Enforcement {
    func followPolicy(_ source: PolicySource) throws(SystemError) {
        guard
            let watch = try PolicyWatch(source, bundles: plan.policy.bundles, session: plan.session, loop: loop)
        else { return }
        policy = watch
        watch.onRefusal = { [sink] what, reason in sink.policyRefused(what, reason) }
        var failure: SystemError?
        watch.onChange = { [unowned self] snapshot in
            do throws(SystemError) {
                unenforced += try enforce(snapshot, in: source.folder)
            } catch {
                failure = error
            }
        }
        try watch.start()
        // Nothing runs without the policy that is there.
        if let failure { throw failure }
        // From here on somebody is running: what a new policy leaves unenforced is recorded.
        watch.onChange = { [unowned self] snapshot in
            do throws(SystemError) { _ = try enforce(snapshot, in: source.folder) } catch {
                sink.policyRefused(snapshot.files.compactMap { $0 }.joined(separator: ", "), "\(error)")
            }
        }
    }

    /// Puts a policy into force, as a whole and at once: this thread is the one that answers.
    /// - Returns: what of it this tier cannot enforce.
    private func enforce(_ snapshot: PolicySnapshot, in folder: String) throws(SystemError) -> [String] {
        var missing: [String] = []
        if let kernel {
            try kernel.use(
                snapshot.policy, whitelist: PolicyFolder(path: folder).whitelistFile, revokes: plan.policy.revoke)
            missing = KernelPolicy.unenforced(snapshot.policy)
        } else if let arbiter {
            if let judge = arbiter.judge {
                judge.policy = snapshot.policy
            } else {
                arbiter.judge = PolicyJudge(
                    policy: snapshot.policy, whitelist: PolicyFolder(path: folder).whitelistFile)
                watchDigests(arbiter)
            }
            missing = PolicyJudge.unenforced(snapshot.policy)
        } else if !snapshot.policy.isEmpty {
            missing = ["threat policy: nothing asks it in tier \(plan.tier.rawValue)"]
        }
        sink.policyChanged(policyVersions, unenforced: missing)
        return missing
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
