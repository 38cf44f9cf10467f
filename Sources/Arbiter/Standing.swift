import LinuxSystem

/// What the folder of pins was like when each of them was last found in place.
///
/// A pin that is removed, renamed or replaced changes the folder's time (fs/libfs.c, simple_unlink and simple_rename).
/// Links of these kinds (LSM, fentry, tracepoints) are detached by nobody while a descriptor of theirs is open: the kernel
/// has no operation for it. So an unchanged folder vouches for its pins, and they are looked at one by one only now and
/// then.
final class Standing {
    private var folder: FileStatus?
    private var looks = 0

    /// Looks, at two a second, until the pins are looked at one by one again.
    private static let most = 60
    /// Nanoseconds: a later change within the same tick of the kernel's clock would not show.
    private static let settled: Int64 = 1_000_000_000

    func vouches(for now: FileStatus) -> Bool {
        looks += 1
        return now == folder && looks < Self.most
    }

    /// - Parameter status: the folder's, from before the pins were looked at; nil: not all of them were there.
    func found(_ status: FileStatus?) {
        looks = 0
        let now = Int64(clamping: Clock.wall())
        folder = status.flatMap { now - $0.modified > Self.settled ? $0 : nil }
    }
}
