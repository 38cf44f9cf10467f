import Cgroup
import Profile
import Testing

@testable import KernelSupport

@Suite struct KernelVersionTests {
    @Test func releasesAreRead() {
        #expect(KernelVersion(release: "6.1.0-18-amd64") == KernelVersion(6, 1))
        #expect(KernelVersion(release: "6.18.44-fc-v657") == KernelVersion(6, 18))
        #expect(KernelVersion(release: "7.3-rc1") == KernelVersion(7, 3))
        #expect(KernelVersion(release: "5.13") == KernelVersion(5, 13))
        for wrong in ["", "6", "six.one", ".1", "6."] { #expect(KernelVersion(release: wrong) == nil) }
    }

    @Test func tenIsMoreThanNine() {
        #expect(KernelVersion(5, 9) < KernelVersion(5, 10))
        #expect(KernelVersion(5, 19) < KernelVersion(6, 0))
    }
}

@Suite struct TierTests {
    @Test func theBpfTierSaysWhatIsMissing() {
        #expect(KernelSupport.complete.bestTier == .bpf)
        func reason(_ change: (inout KernelSupport) -> Void) -> String? {
            KernelSupport.complete.with(change).tiers[0].answer.reason
        }
        #expect(reason { $0.release = "5.15.0" } == "it needs kernel 6.1; this is 5.15.0")
        #expect(reason { $0.architecture = "aarch64" } == "it is for x86_64; this is aarch64")
        #expect(reason { $0.caller.capabilities = 0 } == "it needs root")
        #expect(reason { $0.securityModules = nil }?.contains("does not say") == true)
        #expect(reason { $0.securityModules = ["landlock"] }?.contains("not among") == true)
        #expect(reason { $0.bpf.hasTypeInformation = false }?.contains("type information") == true)
        #expect(reason { $0.bpf.hasFileSystem = false }?.contains("/sys/fs/bpf") == true)
        #expect(reason { $0.cgroup = .found(CgroupHierarchy(unified: nil)) }?.contains("v2") == true)
        #expect(reason { $0.bpf.program = .no("refused") } == "refused")
        // What was not tried is not held against it: loading will say.
        #expect(reason { $0.bpf.program = nil } == nil)
    }

    @Test func strongestFirst() {
        #expect(KernelSupport.complete.tiers.map(\.tier) == [.bpf, .fanotify, .landlock])
        #expect(KernelSupport.ordinary.bestTier == .landlock)
        #expect(KernelSupport.ordinary.tiers[1].answer == .no("it needs root"))
    }

    @Test func withoutLandlockThereIsNoTier() {
        let support = KernelSupport.complete.with {
            $0.landlockABI = 0
            $0.securityModules = ["bpf"]
        }
        // Tier bpf has no need of it.
        #expect(support.bestTier == .bpf)
        #expect(support.with { $0.caller.capabilities = 0 }.bestTier == nil)
        #expect(support.tiers[2].answer == .no("Landlock is not among the kernel's active security modules"))
        let old = support.with { $0.release = "5.10.0-30-amd64" }
        #expect(old.tiers[2].answer == .no("Landlock needs kernel 5.13; this is 5.10.0-30-amd64"))
    }

    @Test func aKernelWithoutPermissionEventsHasNoFanotifyTier() {
        let support = KernelSupport.complete.withDetail { $0.permissionEvents = .no("not built") }
        #expect(support.tiers[1].answer == .no("not built"))
        let older = support.with { $0.release = "5.15.0" }
        #expect(older.bestTier == .landlock)
        // Without the full probe the group alone decides.
        #expect(older.with { $0.detail = nil }.bestTier == .fanotify)
    }

    @Test func aMachineNobodyAskedHasNothing() {
        #expect(KernelSupport().bestTier == nil)
    }
}
