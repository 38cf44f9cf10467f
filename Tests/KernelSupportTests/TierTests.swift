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
    @Test func theBpfTierSaysThatItIsNotBuiltIn() {
        // Even on a machine that has everything for it.
        let bpf = KernelSupport.complete.tiers[0]
        #expect(bpf == TierAvailability(.bpf, .no("the bpf tier is not built into this version of mis")))
        #expect(KernelSupport.complete.bestTier == .fanotify)
    }

    @Test func strongestFirst() {
        #expect(KernelSupport.complete.tiers.map(\.tier) == [.bpf, .fanotify, .landlock])
        #expect(KernelSupport.ordinary.bestTier == .landlock)
        #expect(KernelSupport.ordinary.tiers[1].answer == .no("it needs root"))
    }

    @Test func withoutLandlockThereIsNoTier() {
        let support = KernelSupport.complete.with { $0.landlockABI = 0 }
        #expect(support.bestTier == nil)
        #expect(support.tiers[2].answer == .no("Landlock is not among the kernel's active security modules"))
        let old = support.with { $0.release = "5.10.0-30-amd64" }
        #expect(old.tiers[2].answer == .no("Landlock needs kernel 5.13; this is 5.10.0-30-amd64"))
    }

    @Test func aKernelWithoutPermissionEventsHasNoFanotifyTier() {
        let support = KernelSupport.complete.withDetail { $0.permissionEvents = .no("not built") }
        #expect(support.tiers[1].answer == .no("not built"))
        #expect(support.bestTier == .landlock)
        // Without the full probe the group alone decides.
        #expect(support.with { $0.detail = nil }.bestTier == .fanotify)
    }

    @Test func aMachineNobodyAskedHasNothing() {
        #expect(KernelSupport().bestTier == nil)
    }
}
