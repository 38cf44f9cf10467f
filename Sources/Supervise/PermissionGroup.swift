import Enforce
public import LinuxSystem

/// The group of permission events a sandbox's mounts are marked for; the set-up child inherits it.
public final class PermissionGroup {
    let group: FanotifyGroup

    public init() throws(SystemError) { group = try FanotifyGroup() }

    public var descriptor: Int32 { group.descriptor.number }
}
