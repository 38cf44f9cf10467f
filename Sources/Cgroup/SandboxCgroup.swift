public import LinuxSystem

/// The cgroup of one sandbox: a folder of the v2 tree, folders of v1 hierarchies, or both, behind one face.
///
/// Its descriptors are closed when it goes; the folders stay until ``remove(within:)``. The open v2 folder carries the
/// lock by which others know that this cgroup is looked after (see ``StaleCgroups``).
public final class SandboxCgroup: Sendable {
    public let name: CgroupName
    /// Limits asked for that do not hold, each with the reason.
    public let unenforced: [UnenforcedLimit]
    /// Limits that hold in a weaker form than cgroup v2 gives them, each with how.
    public let approximated: [UnenforcedLimit]
    /// The locked folder first.
    let folders: [CgroupFolder]
    /// `cgroup.kill`, open for writing: "1" kills all that is inside, at once and without races. Linux 5.14.
    public let killFile: Int32?
    /// Owns ``killFile``.
    private let killDescriptor: FileDescriptor?

    init(
        name: CgroupName, folders: [CgroupFolder], unenforced: [UnenforcedLimit], approximated: [UnenforcedLimit],
        killFile: consuming FileDescriptor?
    ) {
        self.name = name
        self.folders = folders
        self.unenforced = unenforced
        self.approximated = approximated
        if let file = killFile {
            self.killFile = file.number
            killDescriptor = consume file
        } else {
            self.killFile = nil
            killDescriptor = nil
        }
    }

    // MARK: What a launch needs

    /// The v2 folder, for CLONE_INTO_CGROUP: the child is born in it, without the global lock a move takes.
    public var cloneInto: Int32? { unified?.directory }

    /// The v1 `tasks` files. The child writes "0" into each: moving oneself alone takes no global lock
    /// (kernel/cgroup/cgroup-v1.c, cgroup1_tasks_write), where moving another process by its pid does.
    public var joins: [String] { folders.compactMap(\.tasks) }

    /// The folders to remove, in this order, when all processes are gone. The locked one last, so that whoever finds
    /// it finds everything.
    public var pathsToRemove: [String] { folders.reversed().map(\.path) }

    var unified: CgroupFolder? { folders.first { $0.controller == nil } }

    /// The folder a controller's files are in.
    func folder(_ controller: CgroupController) -> CgroupFolder? {
        folders.first { $0.controller == controller } ?? unified
    }

    private var isLegacyMemory: Bool { folder(.memory)?.controller != nil }

    // MARK: What it has used

    /// Reads the counters. After the last process ended they still stand.
    public func usage() -> CgroupUsage {
        var usage = totals()
        if let folder = folder(.cpu), let text = folder.read("cpu.stat") {
            usage.throttledPeriods = CgroupFile.value(of: "nr_throttled", in: text)
            usage.throttledMicroseconds =
                folder.controller == nil
                ? CgroupFile.value(of: "throttled_usec", in: text)
                : CgroupFile.value(of: "throttled_time", in: text).map { $0 / 1000 }
        }
        usage.memory = memoryInUse()
        if !isLegacyMemory, let events = folder(.memory)?.read("memory.events") {
            usage.memoryLimitHits = CgroupFile.value(of: "max", in: events)
        }
        if let folder = folder(.processes) {
            usage.processes = folder.read("pids.current").flatMap(CgroupFile.number)
            usage.processLimitHits = folder.read("pids.events").flatMap { CgroupFile.value(of: "max", in: $0) }
        }
        return usage
    }

    /// Of the counters those that sum up a run: each is a file, and a run's end waits for them.
    public func totals() -> CgroupUsage {
        var usage = CgroupUsage()
        usage.cpuMicroseconds = processorTime()
        if let folder = folder(.memory) {
            usage.memoryPeak = folder.read(isLegacyMemory ? "memory.max_usage_in_bytes" : "memory.peak")
                .flatMap(CgroupFile.number)
            usage.outOfMemoryKills = outOfMemoryKills()
        }
        usage.processesPeak = folder(.processes)?.read("pids.peak").flatMap(CgroupFile.number)
        return usage
    }

    /// The processor time alone, microseconds: what a watchdog asks every few seconds.
    public func processorTime() -> UInt64? {
        // The v2 tree counts processor time whether it has the cpu controller or not.
        if let unified, let text = unified.read("cpu.stat") { return CgroupFile.value(of: "usage_usec", in: text) }
        // v1, nanoseconds.
        return folder(.cpuAccounting)?.read("cpuacct.usage").flatMap(CgroupFile.number).map { $0 / 1000 }
    }

    /// The bytes charged now.
    public func memoryInUse() -> UInt64? {
        folder(.memory)?.read(isLegacyMemory ? "memory.usage_in_bytes" : "memory.current").flatMap(CgroupFile.number)
    }

    /// How many processes the OOM killer ended for this cgroup's own limit.
    public func outOfMemoryKills() -> UInt64? {
        folder(.memory)?.read(isLegacyMemory ? "memory.oom_control" : "memory.events")
            .flatMap { CgroupFile.value(of: "oom_kill", in: $0) }
    }

    /// A descriptor that becomes ready when memory runs out, with the epoll event to wait for; `nil` where no memory
    /// controller counts.
    ///
    /// v2 kills the whole cgroup by itself (memory.oom.group); v1 kills one process, and whoever watches this ends
    /// the rest. On v1 the descriptor is an eventfd; on v2 it is `memory.events`, which also changes for other
    /// reasons: ``outOfMemoryKills()`` says whether it was this one.
    public func outOfMemoryWatch() throws(SystemError) -> OutOfMemoryWatch? {
        guard let folder = folder(.memory) else { return nil }
        do throws(Errno) {
            guard isLegacyMemory else {
                guard unsafe faccessat(folder.directory, "memory.events", R_OK, 0) == 0 else { return nil }
                let events = try FileDescriptor.open("memory.events", O_RDONLY, at: folder.directory)
                // Ready is what has changed since it was last read, and that which never was (fs/kernfs/file.c).
                var byte: UInt8 = 0
                _ = try kernel { unsafe pread(events.number, &byte, 1, 0) }
                return OutOfMemoryWatch(descriptor: events, events: EPOLLPRI, tellsEarly: false)
            }
            let event = FileDescriptor(
                owning: try kernel { eventfd(0, Int32(O_CLOEXEC) | Int32(O_NONBLOCK)) })
            let control = try FileDescriptor.open("memory.oom_control", O_RDONLY, at: folder.directory)
            try folder.write("\(event.number) \(control.number)", to: "cgroup.event_control")
            return OutOfMemoryWatch(descriptor: event, events: EPOLLIN, tellsEarly: true)
        } catch {
            throw error.doing("watching for the end of memory in", folder.path)
        }
    }
}

/// See ``SandboxCgroup/outOfMemoryWatch()``.
public struct OutOfMemoryWatch: ~Copyable, Sendable {
    public let descriptor: FileDescriptor
    /// The epoll(7) event to wait for.
    public let events: EPOLL_EVENTS
    /// v1 tells that memory ran out before it counts whom it killed for that; v2 counts first.
    public let tellsEarly: Bool
}
