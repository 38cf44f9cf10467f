import Profile

/// Ends a run that stays above a use of the processor, or goes above one of memory.
struct Watchdog {
    private let settings: Profile.Watchdog
    private let memoryLimit: UInt64?
    private var last: (time: UInt64, cpu: UInt64)?
    private var aboveSince: UInt64?

    init(_ settings: Profile.Watchdog, memoryLimit: UInt64?) {
        self.settings = settings
        self.memoryLimit = memoryLimit
    }

    var isOn: Bool {
        settings.intervalMilliseconds > 0 && (settings.cpuPercent != nil || memoryLimit != nil)
    }

    /// One look.
    /// - Parameters:
    ///   - now: monotonic nanoseconds.
    ///   - cpu: microseconds used so far, when it can be known.
    ///   - memory: bytes in use.
    /// - Returns: why the run is to be ended, or nil.
    mutating func look(now: UInt64, cpu: UInt64?, memory: UInt64?) -> String? {
        if let memoryLimit, let memory, memory > memoryLimit {
            return "memory \(memory) bytes, above \(memoryLimit)"
        }
        guard let cpu, let limit = settings.cpuPercent else { return nil }
        defer { last = (now, cpu) }
        guard let last, now > last.time else { return nil }
        let percent = (cpu &- last.cpu) * 100_000 / (now - last.time)
        guard percent > UInt64(limit) else {
            aboveSince = nil
            return nil
        }
        let since = aboveSince ?? last.time
        aboveSince = since
        guard now - since >= UInt64(settings.cpuForMilliseconds) * 1_000_000 else { return nil }
        return "processor at \(percent) % of a core for \((now - since) / 1_000_000_000) s, above \(limit) %"
    }
}
