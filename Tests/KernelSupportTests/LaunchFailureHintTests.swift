import LinuxSystem
import Testing

@testable import KernelSupport

@Suite struct LaunchFailureHintTests {
    private func hint(
        _ deed: LaunchFailureHint.Deed, _ errno: Int32, _ support: KernelSupport = .ordinary
    ) -> LaunchFailureHint? {
        LaunchFailureHint.cause(of: deed, errno: errno, support: support)
    }

    @Test func rootIsToldOfFileSystemsThatTakeNoMap() throws {
        #expect(try #require(hint(.mount, EINVAL, .complete)).cause.contains("tmpfs before 6.3"))
        #expect(try #require(hint(.mount, EINVAL, .ordinary)).cause.contains("locked below it"))
    }

    @Test func knownCausesAreNamedWithTheirRemedy() throws {
        let ubuntu = KernelSupport.ordinary.withDetail { $0.appArmorRestrictsUserNamespaces = 1 }
        for deed: LaunchFailureHint.Deed in [.clone, .userNamespace, .idMap, .mount] {
            let found = try #require(hint(deed, EPERM, ubuntu))
            #expect(found.cause.contains("AppArmor"))
            #expect(found.remedy.contains("kernel.apparmor_restrict_unprivileged_userns=0"))
        }
        let known: [(LaunchFailureHint.Deed, Int32, String)] = [
            (.clone, ENOSYS, "seccomp=unconfined"),
            (.clone, EAGAIN, "ulimit -u"),
            (.clone, EACCES, "--"),
            (.userNamespace, ENOSPC, "user.max_user_namespaces=15000"),
            (.namespace, ENOSPC, "user.max_net_namespaces"),
            (.idmappedMount, EINVAL, "sudo"),
            (.procMount, EPERM, "systempaths=unconfined"),
            (.open, ELOOP, "symlink"),
            (.mount, EPERM, "--cap-add SYS_ADMIN"),
            (.pivotRoot, EINVAL, "switch_root"),
            (.landlock, EOPNOTSUPP, "lsm="),
            (.seccomp, EINVAL, "CONFIG_SECCOMP_FILTER"),
            (.executeInit, EACCES, "vm.memfd_noexec=1"),
            (.fanotify, EPERM, "root"),
            (.fanotify, EINVAL, "CONFIG_FANOTIFY_ACCESS_PERMISSIONS"),
            (.cgroup, EROFS, "--cgroupns=private"),
            (.cgroup, EAGAIN, "the folder above"),
            (.identity, EINVAL, "user"),
            (.mount, ENOMEM, "memory"),
            (.open, EMFILE, "ulimit -n"),
        ]
        for (deed, errno, remedy) in known {
            let found = try #require(hint(deed, errno), "\(deed) \(Errno(errno))")
            #expect(found.remedy.contains(remedy), "\(deed) \(Errno(errno)): \(found)")
            #expect(!found.cause.isEmpty)
        }
    }

    @Test func theRemedyDependsOnTheMachine() throws {
        let old = KernelSupport.ordinary.with { $0.release = "5.4.0" }
        #expect(hint(.mount, ENOSYS, old)?.remedy == "boot kernel 5.13 or newer")
        #expect(hint(.mount, ENOSYS)?.remedy.contains("seccomp=unconfined") == true)
        #expect(hint(.idMap, EPERM, .complete)?.remedy.contains("CAP_SETUID") == true)
        #expect(hint(.idMap, EPERM, .ordinary)?.remedy.contains("own id only") == true)
        let refused = KernelSupport.ordinary.with { $0.cgroup = .none(reason: "x", fix: "do this") }
        #expect(hint(.cgroup, EACCES, refused)?.remedy == "do this")
        for deed in [LaunchFailureHint.Deed.open, .mount] {
            #expect(hint(deed, ENOENT)?.remedy == "start again")
            #expect(hint(deed, ESTALE)?.remedy == "start again")
        }
    }

    @Test func nothingIsGuessed() {
        #expect(hint(.mount, EIO) == nil)
        #expect(hint(.seccomp, EACCES) == nil)
        #expect(hint(.open, EIO) == nil)
        #expect(hint(.cgroup, EIO) == nil)
        #expect(hint(.limit, EINVAL) == nil)
    }

    @Test func systemCallsAreKnown() {
        #expect(LaunchFailureHint.Deed(systemCall: Int32(SYS_clone3)) == .clone)
        #expect(LaunchFailureHint.Deed(systemCall: Int32(SYS_move_mount)) == .mount)
        #expect(LaunchFailureHint.Deed(systemCall: Int32(SYS_statx)) == .open)
        #expect(LaunchFailureHint.Deed(systemCall: Int32(SYS_execveat)) == .executeInit)
        #expect(LaunchFailureHint.Deed(systemCall: Int32(SYS_landlock_restrict_self)) == .landlock)
        #expect(LaunchFailureHint.Deed(systemCall: -1) == nil)
        #expect(LaunchFailureHint.Deed(systemCall: Int32(SYS_getpid)) == nil)
    }
}
