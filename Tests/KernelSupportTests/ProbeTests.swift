import Foundation
import LinuxSystem
import Profile
import Testing

@testable import KernelSupport

/// The probe against what this machine says elsewhere.
@Suite struct ProbeTests {
    private func status(_ key: String) throws -> String {
        let text = try readText("/proc/self/status")
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(key + ":") })
        return line.dropFirst(key.count + 1).trimmingCharacters(in: .whitespaces)
    }

    @Test func answersAgreeWithProc() throws {
        let support = KernelSupport.probe()
        #expect(support.release == (try readText("/proc/sys/kernel/osrelease").dropLast()))
        #expect(support.caller.capabilities == UInt64(try status("CapEff"), radix: 16))
        #expect(support.caller.user == getuid())
        #expect(support.caller.effectiveUser == geteuid())
        #expect(!support.caller.isPrivilegedExecution)
        #expect("\(support.lastCapability)\n" == (try readText("/proc/sys/kernel/cap_last_cap")))
        let modes = try readText("/proc/sys/kernel/seccomp/actions_avail")
        #expect(support.seccompNotification == modes.contains("user_notif"))
        let meminfo = try readText("/proc/meminfo")
        #expect(meminfo.hasPrefix("MemTotal:") && meminfo.prefix { $0 != "\n" }.contains(" \(support.memory >> 10) kB"))
        #expect(support.processors >= 1 && support.processors <= ProcessInfo.processInfo.processorCount)
        #expect(support.detail == nil)
    }

    @Test func asRootTheTiersOfThisMachine() throws {
        try #require(geteuid() == 0, "run these tests as root")
        let support = KernelSupport.fullProbe(stateFolder: "/nowhere/at/all")
        #expect(support.landlockABI > 0)
        #expect(support.securityModules?.contains("landlock") == true)
        #expect(support.fanotify.isYes)
        let detail = try #require(support.detail)
        #expect(detail.permissionEvents == .yes)
        #expect(detail.userNamespace == .works)
        #expect(support.bpf.hasTypeInformation == FileManager.default.fileExists(atPath: "/sys/kernel/btf/vmlinux"))
        // Tried exactly where the list says it could be.
        #expect((support.bpf.program != nil) == (support.securityModules?.contains("bpf") == true))
        #expect(detail.mitigations.contains { $0.name == "meltdown" })
        #expect(detail.ownCgroups.contains { $0.hasPrefix("0::/") })
        #expect(detail.program.hasPrefix("/"))
        #expect(detail.stateFolder?.problem == nil)
        #expect((detail.stateFolder?.free ?? 0) > 0)
        #expect(support.bestTier == .fanotify)
        #expect(DoctorReport(support).checks.count > 20)
    }

    @Test func securityModulesHaveTheirNames() {
        #expect(SecurityModule.name(of: 100) == "capability")
        #expect(SecurityModule.name(of: 109) == "bpf")
        #expect(SecurityModule.name(of: 110) == "landlock")
        #expect(SecurityModule.name(of: 113) == "ipe")
        for unknown: UInt64 in [0, 99, 114, .max] { #expect(SecurityModule.name(of: unknown) == "module \(unknown)") }
    }

    @Test func theProbeIsQuick() {
        // 23 microseconds in a release build; the bound leaves room for a busy machine and a debug build.
        var best = UInt64.max
        for _ in 0..<20 {
            let started = Clock.monotonic()
            _ = KernelSupport.probe()
            best = min(best, Clock.monotonic() - started)
        }
        #expect(best < 500_000)
    }
}
