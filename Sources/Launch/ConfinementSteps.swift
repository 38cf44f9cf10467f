import CLaunch
import LinuxSystem
import Plan
import Seccomp

/// The steps behind the private root: Landlock, limits, ids, the agent's user namespace, capabilities, seccomp.
///
/// The order is the point. Namespaces of a privileged launch are made while still privileged and the user namespace
/// last, so that the agent's user namespace owns none of them: capabilities an exploit might gain there mean nothing
/// for its mounts or its network. An ordinary user must begin with a user namespace; a second one, made last, gives
/// the same property.
struct ConfinementSteps {
    let plan: SandboxPlan

    private var ground: Groundwork { plan.groundwork }
    private var privileged: Bool { ground.isPrivileged }

    /// - Parameter mayChange: the filter may be changed while the child waits, so it comes after that: see
    ///   ``SandboxedProcess/use(_:)``. Else it comes before, for then nobody waits for it.
    func write(
        umask: UInt32, execution: mis_execution, filter: SeccompFilter, mayChange: Bool, to steps: inout StepList
    ) {
        landlock(&steps)
        limits(&steps)
        if privileged {
            // Ids change before the user namespace is made, and capabilities are needed for that: kept by this.
            steps.add(
                mis_step_secure_bits, deed: "keeping capabilities over a change of ids",
                number: UInt64(mis_keep_capabilities_over_setuid))
            steps.add(mis_step_clear_groups, deed: "dropping supplementary groups")
            steps.add(
                mis_step_group, deed: "changing to group", object: String(plan.identity.hostGroup),
                number: UInt64(plan.identity.hostGroup))
            steps.add(
                mis_step_user, deed: "changing to user", object: String(plan.identity.hostUser),
                number: UInt64(plan.identity.hostUser))
            // /proc/1 belongs to the new ids only while the process is dumpable.
            steps.add(mis_step_dumpable, deed: "becoming dumpable", number: 1)
        }
        if plan.terminals.contains(true) { terminal(&steps) }
        userNamespace(&steps)
        if ground.makesNamespacesLast {
            steps.add(mis_step_unshare, deed: "making namespaces", number: ground.lateNamespaces)
            steps.network(ground)
        }
        steps.add(mis_step_keyring, deed: "joining a session keyring of its own")
        steps.add(
            mis_step_change_directory, deed: "changing to the folder", object: plan.workingFolder,
            path: plan.workingFolder)
        steps.add(
            mis_step_capabilities, deed: "dropping capabilities",
            value: plan.capabilities)
        steps.add(mis_step_no_new_privileges, deed: "giving up new privileges")
        if plan.landlock.isNeeded { steps.add(mis_step_landlock_restrict, deed: "putting on Landlock", slot: .ruleset) }
        if !mayChange { self.filter(filter, &steps) }
        // All of this went on beside the launcher's own preparations; the agent comes only after them.
        steps.add(mis_step_wait, deed: "waiting for the launcher")
        // A change of credentials has cleared it.
        steps.add(mis_step_die_with_parent, deed: "binding the sandbox's life to the launcher's")
        let execution = unsafe (steps.arena.value(execution), MemoryLayout<mis_execution>.size)
        steps.add(mis_step_close_others, deed: "closing the launcher's descriptors", data: execution)
        // Not before: all that went before opened files, and among so many.
        if let files = plan.limits.files { limit("open files", Int32(RLIMIT_NOFILE.rawValue), files, &steps) }
        if mayChange { self.filter(filter, &steps) }
        steps.add(mis_step_mask, deed: "restoring the file mode creation mask", number: UInt64(umask))
        steps.add(mis_step_execute, deed: "starting the sandbox's init", data: execution)
    }

    /// What is done behind it are calls that every filter allows: waiting, sending, closing, executing.
    private func filter(_ filter: SeccompFilter, _ steps: inout StepList) {
        let pointer = unsafe filter.instructions.withUnsafeBytes { unsafe steps.arena.bytes($0) }
        unsafe steps.add(
            mis_step_seccomp, deed: "putting on the system-call filter", slot: .listener,
            flags: filter.needsListener ? mis_flag_listener.rawValue : 0, data: (pointer, filter.instructions.count * 8)
        )
        if filter.needsListener {
            steps.add(
                mis_step_send, deed: "handing over the system-call listener", slot: .listener,
                number: UInt64(SentDescriptor.listener.rawValue))
        }
    }

    private func userNamespace(_ steps: inout StepList) {
        let identity = plan.identity
        if privileged || plan.capabilities == 0 {
            steps.add(
                mis_step_unshare, deed: "making the agent's user namespace", number: UInt64(CLONE_NEWUSER))
            let outer =
                privileged ? (identity.hostUser, identity.hostGroup) : (identity.insideUser, identity.insideGroup)
            steps.mapOne(
                "1", at: .slot(.proc), user: (identity.insideUser, outer.0), group: (identity.insideGroup, outer.1))
            if privileged {
                // An empty map could be written by the agent, once.
                steps.add(
                    mis_step_write_file, deed: "writing the id map", object: "1/projid_map", at: .slot(.proc),
                    path: "1/projid_map", text: "\(identity.insideUser) \(identity.insideUser) 1\n")
            }
        }
        if !plan.nested {
            // The second layer under seccomp: this user namespace can have no children.
            steps.add(
                mis_step_write_file, deed: "forbidding user namespaces", object: "user.max_user_namespaces",
                at: .slot(.proc), path: "sys/user/max_user_namespaces", text: "0")
        }
    }

    private func terminal(_ steps: inout StepList) {
        steps.add(
            mis_step_terminal, deed: "opening the sandbox's terminal", object: "/dev/pts/ptmx", path: "/dev/pts/ptmx",
            slot: .terminal)
        steps.add(
            mis_step_send, deed: "handing over the terminal", slot: .terminal,
            number: UInt64(SentDescriptor.terminal.rawValue))
    }

    private func landlock(_ steps: inout StepList) {
        guard plan.landlock.isNeeded else { return }
        // struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped; older kernels know less of it.
        let abi = plan.landlock.abi
        let attribute: [UInt64] = [plan.landlock.handledAccess, 0, plan.landlock.scoped]
        let size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8
        let pointer = unsafe attribute.withUnsafeBytes { unsafe steps.arena.bytes($0) }
        unsafe steps.add(
            mis_step_landlock_ruleset, deed: "making the Landlock ruleset", slot: .ruleset, data: (pointer, size))
        for rule in plan.landlock.rules {
            steps.add(
                mis_step_landlock_allow, deed: "allowing by Landlock", object: rule.path, path: rule.path,
                slot: .ruleset, value: rule.access)
        }
    }

    private func limits(_ steps: inout StepList) {
        // 1, not 0: a core_pattern that is a pipe starts its handler, as the host's root, whatever the limit, except for
        // this one (fs/coredump.c); and no core file is that small.
        limit("core size", Int32(RLIMIT_CORE.rawValue), 1, &steps)
        if let size = plan.limits.fileSize { limit("file size", Int32(RLIMIT_FSIZE.rawValue), size, &steps) }
    }

    private func limit(_ name: String, _ number: Int32, _ value: UInt64, _ steps: inout StepList) {
        steps.add(mis_step_limit, deed: "limiting", object: name, number: UInt64(number), value: value)
    }
}
