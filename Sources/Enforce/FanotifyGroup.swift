public import LinuxSystem

/// A fanotify group for permission events (fanotify(7)).
///
/// Made by the supervisor while privileged in the initial user namespace. The set-up child inherits it and puts the
/// marks on the sandbox's mounts before the agent runs; something that outlives the supervisor must hold a copy until
/// the agent is gone, because the kernel allows everything pending when the last descriptor closes.
public struct FanotifyGroup: ~Copyable {
    public let descriptor: FileDescriptor

    /// - Throws: EPERM without CAP_SYS_ADMIN; ENOSYS or EINVAL on a kernel without permission events.
    public init() throws(SystemError) {
        // FAN_REPORT_TID: the system call that opens is looked up by thread.
        let flags =
            UInt32(FAN_CLASS_CONTENT) | UInt32(FAN_UNLIMITED_QUEUE) | UInt32(FAN_UNLIMITED_MARKS)
            | UInt32(FAN_NONBLOCK) | UInt32(FAN_CLOEXEC) | UInt32(clinux_FAN_REPORT_TID)
        // The kernel opens each object for us. O_NONBLOCK: neither a FIFO without a writer nor a lease the agent holds
        // may stop the supervisor. O_NOATIME: looking must leave no trace.
        let events = O_RDONLY | O_CLOEXEC | O_NONBLOCK | Int32(clinux_O_NOATIME) | Int32(clinux_O_LARGEFILE)
        do throws(Errno) {
            descriptor = FileDescriptor(owning: try kernel { fanotify_init(flags, UInt32(events)) })
        } catch {
            let remedy =
                switch error.code {
                case EPERM: "run as root"
                case EMFILE: "raise fs.fanotify.max_user_groups, or end other sandboxes"
                default: "a kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS is needed"
                }
            throw error.doing("asking the kernel for permission events", "fanotify_init", remedy: remedy)
        }
    }

    /// What each marked mount is to report: opens of files and folders, and executions (which raise both).
    public static let mask = UInt64(FAN_OPEN_PERM) | UInt64(FAN_OPEN_EXEC_PERM) | UInt64(FAN_ONDIR)

    /// Marks the mount that `path` lies on, in the calling process's mount namespace.
    public func mark(mountAt path: String) throws(SystemError) {
        let number = descriptor.number
        do throws(Errno) {
            try kernel {
                unsafe fanotify_mark(number, UInt32(FAN_MARK_ADD) | UInt32(FAN_MARK_MOUNT), Self.mask, AT_FDCWD, path)
            }
        } catch {
            throw error.doing("watching opens on", path)
        }
    }
}
