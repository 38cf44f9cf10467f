import CLaunch
import LinuxSystem
import Plan

/// What the profile adds to the foundation, while the launcher makes the cgroup, looks at the host and plans: the
/// namespaces that depend on the profile, a /dev/shm of the size it says.
struct GroundSteps {
    let ground: Groundwork
    /// The launcher's: made here, where there is time.
    let cgroupFolders: [String]

    func write(to steps: inout StepList) {
        if !ground.makesNamespacesLast {
            steps.add(mis_step_unshare, deed: "making namespaces", number: ground.lateNamespaces)
            steps.network(ground)
        }
        let size = ground.limits.tmpSize.map { [("size", String($0))] } ?? []
        steps.ownFileSystem(
            "tmpfs", options: [("mode", "1777")] + size,
            attributes: MountAttribute.noSetuid | MountAttribute.noExecute | MountAttribute.noDevices, path: "dev/shm")
        for folder in cgroupFolders {
            steps.add(
                mis_step_directory, deed: "making the cgroup", object: folder, path: folder, number: 0o700,
                flags: mis_flag_ahead.rawValue)
        }
    }
}

extension Groundwork {
    var isPrivileged: Bool { foundation.isPrivileged }

    /// Kept capabilities only mean something over namespaces that the agent's user namespace owns.
    var makesNamespacesLast: Bool { capabilities != 0 && isPrivileged }

    var lateNamespaces: UInt64 {
        var flags = UInt64(CLONE_NEWIPC | CLONE_NEWUTS)
        if network == .none { flags |= UInt64(CLONE_NEWNET) }
        return flags
    }
}

extension StepList {
    /// Brings the network's and the host name's namespaces into their state; they have just been made.
    mutating func network(_ ground: Groundwork) {
        add(mis_step_hostname, deed: "setting the host name", text: "sandbox")
        if ground.network == .none { add(mis_step_loopback, deed: "bringing up", object: "lo") }
    }
}
