import Enforce
public import LinuxSystem

/// The group of permission events a sandbox's mounts are marked for; the set-up child inherits it.
public final class PermissionGroup {
    let group: FanotifyGroup

    public init() throws(SystemError) { group = try FanotifyGroup() }

    public var descriptor: Int32 { group.descriptor.number }
}

/// What a tier needs before the sandbox is cloned, handed on to the supervisor.
public struct TierHandles {
    /// Where opens are asked about.
    public var permissions: PermissionGroup?
    /// Tier bpf.
    public var kernel: KernelGuard?

    public init(permissions: PermissionGroup?, kernel: KernelGuard?) {
        self.permissions = permissions
        self.kernel = kernel
    }
}
