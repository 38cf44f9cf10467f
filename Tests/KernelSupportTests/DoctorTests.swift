import Cgroup
import Foundation
import JSONText
import LinuxSystem
import Testing

@testable import KernelSupport

@Suite struct DoctorTests {
    private func check(_ id: String, _ support: KernelSupport) throws -> DoctorCheck {
        try #require(DoctorReport(support)[id])
    }

    @Test func aCompleteMachineHasNoGap() {
        let report = DoctorReport(.complete)
        #expect(report.checks.filter { !$0.ok }.map(\.id) == [])
        #expect(report.checks.filter(\.ok).allSatisfy { $0.fix == nil })
        #expect(Set(report.checks.map(\.id)).count == report.checks.count)
    }

    @Test func everyGapHasARemedy() {
        // A machine that has nothing, asked by everybody.
        for change: (inout KernelSupport) -> Void in [
            { _ in }, { $0.caller.effectiveUser = 1000 }, { $0.release = "4.19.0" }, { $0.securityModules = ["yama"] },
            { $0.cgroup = .found(CgroupHierarchy(unified: nil)) },
        ] {
            let support = KernelSupport().with(change).withDetail {
                $0.userNamespace = .failed(.namespace, errno: EPERM)
                $0.memfdNoExec = 2
                $0.ioWeight = .no("no disk")
                $0.mitigations = [.init(name: "x", status: "Vulnerable")]
                $0.stateFolder = .init(path: "/s", free: 0)
            }
            let report = DoctorReport(support)
            #expect(report.tier == nil)
            for check in report.checks where !check.ok {
                #expect(check.fix?.isEmpty == false, "\(check.id)")
                #expect(!check.detail.isEmpty, "\(check.id)")
            }
            #expect(report.checks.count { !$0.ok } > 8)
        }
    }

    // MARK: User namespaces

    @Test func appArmorOnUbuntuIsNamedWithItsProfile() throws {
        let support = KernelSupport.ordinary.withDetail {
            $0.userNamespace = .failed(.mount, errno: EACCES)
            $0.appArmorRestrictsUserNamespaces = 1
            $0.program = "/opt/mis/bin/mis"
        }
        let check = try check("user-namespaces", support)
        #expect(!check.ok)
        #expect(check.detail.contains("kernel.apparmor_restrict_unprivileged_userns = 1"))
        let fix = try #require(check.fix)
        #expect(fix.contains("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"))
        #expect(fix.contains("profile mis /opt/mis/bin/mis flags=(unconfined) {\n  userns,"))
        #expect(fix.contains("apparmor_parser -r /etc/apparmor.d/mis"))
    }

    @Test func settingsThatForbidThemAreNamed() throws {
        let debian = KernelSupport.ordinary.withDetail {
            $0.userNamespace = .failed(.namespace, errno: EPERM)
            $0.unprivilegedUserNamespaceClone = 0
        }
        #expect(try check("user-namespaces", debian).fix?.contains("kernel.unprivileged_userns_clone=1") == true)
        let none = KernelSupport.ordinary.withDetail {
            $0.userNamespace = .failed(.namespace, errno: ENOSPC)
            $0.maxUserNamespaces = 0
        }
        #expect(try check("user-namespaces", none).fix?.contains("user.max_user_namespaces=15000") == true)
        let container = KernelSupport.ordinary.withDetail { $0.userNamespace = .failed(.proc, errno: EPERM) }
        #expect(try check("user-namespaces", container).fix?.contains("systempaths=unconfined") == true)
        let filter = KernelSupport.ordinary.withDetail { $0.userNamespace = .failed(.namespace, errno: EPERM) }
        #expect(try check("user-namespaces", filter).fix?.contains("seccomp=unconfined") == true)
    }

    // MARK: bpf

    @Test func bpfIsAddedToThePresentList() throws {
        let support = KernelSupport.complete.with {
            $0.securityModules = ["lockdown", "capability", "landlock", "yama", "apparmor"]
        }
        let check = try check("bpf-lsm", support)
        #expect(!check.ok)
        #expect(check.detail == "active security modules: lockdown,capability,landlock,yama,apparmor")
        #expect(check.fix?.contains(" lsm=lockdown,landlock,yama,apparmor,bpf ") == true)
        #expect(check.fix?.contains("update-grub") == true)
    }

    @Test func eachThingTheBpfTierNeedsIsChecked() throws {
        #expect(try !check("bpf-kernel", .complete.with { $0.release = "5.15.0" }).ok)
        #expect(try !check("bpf-type-information", .complete.with { $0.bpf.hasTypeInformation = false }).ok)
        let mount = try check("bpf-file-system", .complete.with { $0.bpf.hasFileSystem = false })
        #expect(mount.fix == "mount -t bpf bpf /sys/fs/bpf")
        // CAP_SYS_ADMIN alone is enough, and CAP_BPF and CAP_PERFMON are not.
        let alone = try check("bpf-privileges", .complete.with { $0.caller.capabilities = 1 << 21 })
        #expect(alone.ok && alone.detail == "all there")
        let without = try check("bpf-privileges", .complete.with { $0.caller.capabilities &= ~(1 << 21) })
        #expect(!without.ok && without.detail == "missing: CAP_SYS_ADMIN")
        #expect(try check("bpf-privileges", .ordinary).fix?.contains("sudo") == true)
        let refused = KernelSupport.complete.with { $0.bpf.program = .no("loading an LSM program: EPERM") }
        #expect(try check("bpf-program", refused).detail == "loading an LSM program: EPERM")
        #expect(try !check("bpf-program", .complete.with { $0.bpf.program = nil }).ok)
        let unbuilt = KernelSupport.complete.with { $0.securityModules = ["landlock"] }
            .with { $0.bpf.isBuilt = false }
        #expect(try check("bpf-lsm", unbuilt).fix?.contains("CONFIG_BPF_LSM=y") == true)
    }

    // MARK: Cgroups

    @Test func aUserWithoutDelegationIsTold() throws {
        let support = KernelSupport.ordinary.with { $0.cgroup = .none(reason: "not delegated", fix: "systemd-run ...") }
        let check = try check("cgroup", support)
        #expect(check.detail == "no limits on memory, processor and processes: not delegated")
        #expect(check.fix == "systemd-run ...")
        #expect(DoctorReport(support)["cgroup-controllers"] == nil)
    }

    @Test func missingControllersAreNamed() throws {
        let user = KernelSupport.ordinary.withDetail { $0.unifiedControllers = ["memory", "pids"] }
        let check = try check("cgroup-controllers", user)
        #expect(check.detail == "missing: cpu, io")
        #expect(check.fix?.contains("user@.service.d/delegate.conf") == true)
        let hybrid = KernelSupport.complete.with {
            $0.cgroup = .found(
                CgroupHierarchy(
                    unified: "/sys/fs/cgroup/unified",
                    legacy: [.init(.memory, "/m"), .init(.cpu, "/c"), .init(.processes, "/p"), .init(.io, "/b")]))
        }.withDetail { $0.unifiedControllers = ["hugetlb"] }
        #expect(try self.check("cgroup-controllers", hybrid).ok)
        #expect(try self.check("cgroup", hybrid).detail.contains("cgroup v1 controllers (memory, cpu, pids, blkio)"))
        #expect(try self.check("cgroup-kill", hybrid).ok)
        let old = hybrid.with { $0.release = "5.13.1" }
        #expect(try self.check("cgroup-kill", old).fix == "boot kernel 5.14 or newer")
    }

    @Test func theLaunchersPlaceIsShown() throws {
        let support = KernelSupport.complete.withDetail {
            $0.ownCgroups = ["4:memory:/a/b", "3:cpu,cpuacct:/", "0::/"]
        }
        #expect(try check("launcher-cgroup", support).detail.hasPrefix("memory /a/b; "))
        let root = KernelSupport.complete.withDetail { $0.ownCgroups = ["4:memory:/", "0::/"] }
        #expect(
            try check("launcher-cgroup", root).detail
                == "the root of every hierarchy; sandboxes are made in /sys/fs/cgroup/mis")
    }

    // MARK: The rest

    @Test func otherGaps() throws {
        #expect(try !check("executable-memory-files", .complete.withDetail { $0.memfdNoExec = 2 }).ok)
        #expect(try check("executable-memory-files", .complete.withDetail { $0.memfdNoExec = 1 }).ok)
        let weak = KernelSupport.complete.withDetail {
            $0.mitigations += [.init(name: "mds", status: "Vulnerable: no microcode")]
        }
        #expect(try check("cpu-mitigations", weak).detail == "mds: Vulnerable: no microcode")
        let full = KernelSupport.complete.withDetail { $0.stateFolder = .init(path: "/s", free: 1 << 20) }
        #expect(try check("state-folder", full).detail == "/s: 1 MiB free")
        #expect(try !check("state-folder", full).ok)
        let closed = KernelSupport.complete.withDetail {
            $0.stateFolder = .init(path: "/s", free: 1 << 40, problem: "EACCES")
        }
        #expect(try check("state-folder", closed).fix?.contains("MIS_STATE_DIR") == true)
        let setUID = KernelSupport.ordinary.with { $0.caller.isPrivilegedExecution = true }
        #expect(try check("privileges", setUID).fix?.contains("chmod u-s") == true)
        let container = KernelSupport.complete.with { $0.caller.capabilities = 1 }
        #expect(try !check("privileges", container).ok)
        #expect(try check("landlock-rights", .complete.with { $0.landlockABI = 4 }).detail.contains("ABI 5"))
        #expect(try !check("landlock", .complete.with { $0.landlockABI = 0 }).ok)
    }

    @Test func howManyFitAtOnceIsSaid() throws {
        let fanotify = KernelSupport.complete.with { $0.bpf.hasFileSystem = false }
        let few = try check("sandboxes-at-once", fanotify)
        #expect(!few.ok)
        #expect(few.detail.hasPrefix("42 of one user fit (fs.fanotify.max_user_groups = 128, 3 for each; "))
        #expect(few.fix?.contains("sysctl -w fs.fanotify.max_user_groups=1200;") == true)
        // Tier bpf has no groups.
        #expect(try check("sandboxes-at-once", .complete).ok)
        let queues = KernelSupport.complete.withDetail { $0.inotifyInstances = 128 }
        #expect(try check("sandboxes-at-once", queues).detail.hasPrefix("128 of one user fit"))
        #expect(try check("sandboxes-at-once", queues).fix?.contains("fs.inotify.max_user_instances=400") == true)
        let user = KernelSupport.ordinary.withDetail { $0.inotifyInstances = 128 }
        #expect(try check("sandboxes-at-once", user).detail.hasPrefix("64 of one user fit"))
        let unknown = KernelSupport.complete.withDetail { ($0.fanotifyGroups, $0.inotifyInstances) = (nil, nil) }
        #expect(try check("sandboxes-at-once", unknown).ok)
    }

    // MARK: How it is said

    @Test func theJSONIsTheContract() throws {
        let support = KernelSupport.complete.withDetail { $0.memfdNoExec = 2 }
        let bytes = JSONWriter.text(of: DoctorReport(support))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
        #expect(Set(object.keys) == ["tier", "kernel", "checks"])
        #expect(object["tier"] as? String == "bpf")
        #expect(object["kernel"] as? String == "6.12.9-amd64")
        let checks = try #require(object["checks"] as? [[String: Any]])
        for check in checks {
            #expect(Set(check.keys) == ["id", "ok", "detail", "fix"])
            #expect(check["id"] is String && check["detail"] is String && check["ok"] is Bool)
            #expect((check["ok"] as? Bool == true) == (check["fix"] is NSNull))
        }
        #expect(
            String(decoding: bytes, as: UTF8.self).hasPrefix(
                "{\"tier\":\"bpf\",\"kernel\":\"6.12.9-amd64\",\"checks\":[{\"id\":\"kernel\",\"ok\":true,"))
        let nothing = JSONWriter.text(of: DoctorReport(KernelSupport()))
        #expect(String(decoding: nothing, as: UTF8.self).hasPrefix("{\"tier\":null,"))
    }

    @Test func theTextShowsGapsWithTheirRemedy() {
        let support = KernelSupport.complete.withDetail { $0.memfdNoExec = 2 }
        let text = DoctorReport(support).text()
        #expect(text.hasPrefix("tier: bpf\nkernel: 6.12.9-amd64\n"))
        #expect(text.contains("gap  executable-memory-files  vm.memfd_noexec = 2\n"))
        #expect(text.contains("fix: sysctl -w vm.memfd_noexec=1"))
        #expect(text.hasSuffix("\n1 gap\n"))
        #expect(!text.contains("\u{1B}"))
        #expect(DoctorReport(support).text(colours: true).contains("\u{1B}[33mgap\u{1B}[0m"))
        #expect(DoctorReport(KernelSupport()).text().hasPrefix("tier: none"))
    }
}
