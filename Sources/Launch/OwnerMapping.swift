import CLaunch
import LinuxSystem
import Plan

/// User namespaces that say, for idmapped mounts, whose files on disk are the agent's.
///
/// Each is made by a process that does nothing but wait in a new user namespace; once the namespace is open, the
/// process is not needed any more.
enum OwnerMapping {
    /// - Parameter holder: that process, ended but still to be reaped.
    static func open(
        _ map: OwnerMap, identity: AgentIdentity, holder: inout Int32
    ) throws(LaunchFailure) -> FileDescriptor {
        do {
            return try make(map, identity, &holder)
        } catch {
            throw LaunchFailure(
                error.doing("making the id map for files of", "uid \(map.user), gid \(map.group)"))
        }
    }

    private static func make(
        _ map: OwnerMap, _ identity: AgentIdentity, _ holder: inout Int32
    ) throws(Errno) -> FileDescriptor {
        let stack = try Stack(size: 16384)
        var raw: Int32 = -1
        let pid = unsafe mis_clone_namespace_holder(stack.base, stack.size, &raw)
        if pid < 0 { throw Errno(-pid) }
        let pidfd = FileDescriptor(owning: raw)
        holder = pid
        defer { _ = clinux_pidfd_send_signal(pidfd.number, SIGKILL) }
        // "disk id, host id, count".
        try writeText("\(map.user) \(identity.hostUser) 1\n", to: "/proc/\(pid)/uid_map")
        try writeText("\(map.group) \(identity.hostGroup) 1\n", to: "/proc/\(pid)/gid_map")
        return try FileDescriptor.open("/proc/\(pid)/ns/user", O_RDONLY)
    }
}
