import CLaunch
import LinuxSystem

/// The process that outlives a killed supervisor; see Sources/CLaunch/guardian.c.
///
/// Unsafe: shares a C structure with that process.
@safe public final class Guardian {
    private let guardData: UnsafeMutablePointer<mis_guard>
    private let stack: Stack
    private let process: FileDescriptor
    private let supervisor: FileDescriptor

    /// Starts watching this process.
    public init() throws(LaunchFailure) {
        do throws(Errno) {
            supervisor = FileDescriptor(owning: try kernel { clinux_pidfd_open(getpid()) })
            Self.makeRoom(from: supervisor.number)
            stack = try Stack(size: 32768)
            unsafe guardData = .allocate(capacity: 1)
            unsafe guardData.initialize(to: mis_guard())
            unsafe guardData.pointee.supervisor = supervisor.number
            unsafe guardData.pointee.agent = -1
            unsafe mis_guard_set_kill_file(guardData, -1)
            unsafe Self.prepareMemory(by: guardData)
            var raw: Int32 = -1
            let pid = unsafe mis_clone_guardian(guardData, stack.base, stack.size, &raw)
            if pid < 0 { throw Errno(-pid) }
            process = FileDescriptor(owning: raw)
        } catch {
            throw LaunchFailure(error.doing("starting the guardian"))
        }
    }

    /// Gives this process's table of descriptors room for a run's, at once: the table is the guardian's too from here on, and
    /// when one that is shared grows, the kernel waits for a grace period (fs/file.c, expand_fdtable), some 10 ms at 250
    /// ticks a second. Where that many are not allowed it grows as ever.
    /// - Parameter open: any open descriptor.
    private static func makeRoom(from open: Int32) {
        let far = fcntl(open, F_DUPFD_CLOEXEC, mostDescriptors - 1)
        if far >= 0 { close(far) }
    }

    /// Has the guardian fill in what the launcher writes to next: what a start changes of the program's data, and the pages of
    /// which its next allocations will be. Each would be a page fault, and where a page is read first, two; the second tells
    /// the other processor, where a child runs on the same memory by then, and waits for its answer.
    private static func prepareMemory(by guardData: UnsafeMutablePointer<mis_guard>) {
        let (data, bss) = unsafe (clinux_start_data_range(), clinux_start_bss_range())
        unsafe mis_guard_fill(guardData, data.start, data.size)
        unsafe mis_guard_fill(guardData, bss.start, bss.size)
        let page = sysconf(Int32(_SC_PAGESIZE))
        guard let heap = unsafe clinux_extend_heap(startHeap) else { return }
        unsafe mis_guard_fill(guardData, heap - Int(UInt(bitPattern: heap) % UInt(page)), startHeap)
    }

    /// What a start allocates, bytes, and hardly gives back before its end.
    private static let startHeap = 288 << 10

    /// Tier bpf needs some 150, and one for each further place a profile lists.
    private static let mostDescriptors: Int32 = 1024

    /// Memory and stack are the guardian's too, which may outlive the launcher by some milliseconds: they are left to
    /// the end of both.
    deinit { _ = unsafe Unmanaged.passRetained(stack) }

    /// Readable when the guardian has ended: enforcement is not safe any more.
    public var descriptor: Int32 { process.number }

    /// Clones the set-up child, which the guardian kills when the launcher is gone.
    /// - Returns: its pid and pidfd.
    @unsafe func clone(
        _ setup: UnsafeMutablePointer<mis_setup>, flags: UInt64, cgroup: Int32, on stack: Stack
    ) throws(Errno) -> (pid: Int32, pidfd: Int32) {
        let pid = unsafe mis_clone_setup(setup, flags, cgroup, stack.base, stack.size, guardData)
        if pid < 0 { throw Errno(-pid) }
        return (pid, unsafe guardData.pointee.agent)
    }

    /// A cgroup.kill file, open for writing.
    public func watch(killFile: Int32?) {
        if let killFile { unsafe mis_guard_set_kill_file(guardData, killFile) }
    }

    /// Folders to remove, deepest first; they need not exist yet. Paths longer than the guardian's tables are left to the next run's
    /// collection of stale cgroups.
    public func watch(cgroups: [String]) {
        for path in cgroups { unsafe _ = mis_guard_add_cgroup(guardData, path) }
    }

    /// A folder of flat files that is removed when the supervisor dies.
    public func watch(runtimeFolder path: String) { unsafe _ = mis_guard_set_runtime(guardData, path) }

    /// Everything has been undone by the supervisor itself: the guardian ends with the launcher, and spares it the
    /// closing of notification groups, which takes the kernel milliseconds.
    public func disarm() { unsafe mis_guard_disarm(guardData) }
}
