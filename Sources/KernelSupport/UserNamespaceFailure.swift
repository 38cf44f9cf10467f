import LinuxSystem

/// Why a user namespace could not be made or used, and what to do: the commonest reason for a sandbox that does not
/// start without root.
struct UserNamespaceFailure {
    var sentence: String
    var fix: String

    init(stage: UserNamespaceTrial.Stage, errno: Int32, detail: MachineDetail) {
        let said = "\(Errno(errno))"
        if detail.maxUserNamespaces == 0 || (stage == .namespace && errno == ENOSPC) {
            sentence = "user.max_user_namespaces is \(detail.maxUserNamespaces.map { "\($0)" } ?? "used up") (\(said))"
            fix = Self.setting("user.max_user_namespaces", "15000")
        } else if detail.unprivilegedUserNamespaceClone == 0 {
            sentence =
                "this distribution forbids them to ordinary users: kernel.unprivileged_userns_clone = 0 (\(said))"
            fix = Self.setting("kernel.unprivileged_userns_clone", "1")
        } else if let restriction = detail.appArmorRestrictsUserNamespaces, restriction != 0 {
            sentence =
                "AppArmor forbids ordinary users to use them: kernel.apparmor_restrict_unprivileged_userns = "
                + "\(restriction) (\(said))"
            fix = Self.appArmorFix(program: detail.program)
        } else if stage == .proc {
            sentence =
                "a fresh /proc cannot be mounted in one: parts of this /proc are covered, as in a container (\(said))"
            fix =
                "in Docker: --security-opt systempaths=unconfined; in Kubernetes: procMount: Unmasked; or run mis on "
                + "the host"
        } else if stage == .process {
            sentence = "no process could be made to try one in (\(said))"
            fix = "look at `ulimit -u` and the cgroup's pids.max"
        } else if errno == ENOSYS || errno == EINVAL {
            sentence = "the kernel has none (\(said))"
            fix = "boot a kernel built with CONFIG_USER_NS=y"
        } else {
            sentence = "refused (\(said))\(stage == .mount ? " when used" : "")"
            fix =
                "a container's seccomp filter or a security module forbids them: in Docker run with --security-opt "
                + "seccomp=unconfined --security-opt apparmor=unconfined, or run mis as root on the host"
        }
    }

    /// Sets a sysctl now and after the next start.
    static func setting(_ name: String, _ value: String) -> String {
        "as root: sysctl -w \(name)=\(value) && echo '\(name) = \(value)' > /etc/sysctl.d/60-mis.conf"
    }

    /// A profile for mis alone, or the restriction lifted for everybody.
    static func appArmorFix(program: String) -> String {
        """
        as root, for mis alone: write this to /etc/apparmor.d/mis and run apparmor_parser -r /etc/apparmor.d/mis
        abi <abi/4.0>,
        include <tunables/global>
        profile mis \(program) flags=(unconfined) {
          userns,
          include if exists <local/mis>
        }
        or for every program: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
        """
    }
}
