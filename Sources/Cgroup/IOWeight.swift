import LinuxSystem

/// Whether I/O weights do anything on this machine.
public enum IOWeight {
    /// The weight of every cgroup nobody gave another: asking for it asks for nothing.
    static let neutral = 100

    /// Why weights have no effect; nil when some disk heeds them: by the BFQ scheduler, or by io.cost (cgroup v2).
    /// Reads a file for each disk.
    public static func problem() -> String? {
        problem(disks: "/sys/block", cost: "/sys/fs/cgroup/io.cost.qos")
    }

    static func problem(disks: String, cost: String) -> String? {
        for disk in (try? namesInFolder(disks)) ?? [] {
            if (try? readText("\(disks)/\(disk)/queue/scheduler"))?.contains("[bfq]") ?? false { return nil }
        }
        if (try? readText(cost))?.contains("enable=1") ?? false { return nil }
        return "no disk uses the bfq scheduler, and io.cost is off: the kernel takes a weight and heeds it nowhere"
    }
}
