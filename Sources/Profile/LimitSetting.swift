extension Profile.Limits {
    /// The limits by the name a profile gives them; the command line writes `-` for `_`.
    public enum Key: String, Sendable, CaseIterable {
        case memory
        case memoryHigh = "memory_high"
        case cpu
        case cpuWeight = "cpu_weight"
        case pids
        case ioWeight = "io_weight"
        case files
        case fileSize = "file_size"
        case tmpSize = "tmp_size"
        case timeout

        /// `memory_high` or `memory-high`.
        public init?(text: String) {
            self.init(rawValue: String(text.map { $0 == "-" ? "_" : $0 }))
        }

        /// Whether the value is a plain number in TOML; the others are strings there.
        var isCount: Bool {
            switch self {
            case .cpuWeight, .pids, .ioWeight, .files: true
            case .memory, .memoryHigh, .cpu, .fileSize, .tmpSize, .timeout: false
            }
        }

        /// The values a plain number may take.
        var range: ClosedRange<Int> {
            switch self {
            // Both weights: kernel documentation, admin-guide/cgroup-v2.rst.
            case .cpuWeight, .ioWeight: 1...10_000
            // The init and the agent are two.
            case .pids: 2...4_194_304
            // The standard streams and the loader's needs; the top is the kernel's default fs.nr_open.
            case .files: 16...1_048_576
            case .memory, .memoryHigh, .cpu, .fileSize, .tmpSize, .timeout: 0...Int.max
            }
        }
    }

    /// Sets one limit from its text, as `--limit KEY=VALUE` and `--timeout` give it. `none` lifts the limit.
    ///
    /// Setting `memory` leaves `memory_high` as it is: see ``Profile/setLimits(_:)``.
    /// - Throws: an unknown key or a value that does not fit, with what would be right.
    public mutating func set(key: String, value: String) throws(AmountError) {
        guard let known = Key(text: key) else {
            let names = Key.allCases.map { String($0.rawValue.map { $0 == "_" ? "-" : $0 }) }
            throw AmountError(found: "unknown limit \(quoted(key))", remedy: suggestion(for: key, among: names))
        }
        try set(known, value)
    }

    mutating func set(_ key: Key, _ text: String) throws(AmountError) {
        if text == "none" {
            lift(key)
            return
        }
        switch key {
        case .memory: memory = try Self.memorySize(text)
        case .memoryHigh: memoryHigh = try Self.memorySize(text)
        case .cpu: cpuPercent = try ProcessorText.parse(text)
        case .fileSize: fileSize = try SizeText.parse(text)
        case .tmpSize: tmpSize = try Self.memorySize(text)
        case .timeout:
            let milliseconds = try DurationText.parse(text)
            guard milliseconds > 0 else {
                throw AmountError(found: "\(quoted(text)) leaves no time", remedy: "write \"none\" for no limit")
            }
            timeoutMilliseconds = milliseconds
        case .cpuWeight, .pids, .ioWeight, .files:
            try set(key, count: CountText.parse(text, in: key.range))
        }
    }

    mutating func set(_ key: Key, count: Int) throws(AmountError) {
        let number = try CountText.check(count, in: key.range)
        switch key {
        case .cpuWeight: cpuWeight = number
        case .pids: pids = number
        case .ioWeight: ioWeight = number
        case .files: files = number
        case .memory, .memoryHigh, .cpu, .fileSize, .tmpSize, .timeout: break
        }
    }

    mutating func lift(_ key: Key) {
        switch key {
        case .memory: memory = nil
        case .memoryHigh: memoryHigh = nil
        case .cpu: cpuPercent = nil
        case .cpuWeight: cpuWeight = nil
        case .pids: pids = nil
        case .ioWeight: ioWeight = nil
        case .files: files = nil
        case .fileSize: fileSize = nil
        case .tmpSize: tmpSize = nil
        case .timeout: timeoutMilliseconds = nil
        }
    }

    /// Below one mebibyte nothing starts, and a forgotten unit is the likelier story.
    private static func memorySize(_ text: String) throws(AmountError) -> Profile.Amount {
        let amount = try SizeText.parse(text)
        if case .bytes(let bytes) = amount, bytes < 1 << 20 {
            throw AmountError(found: "\(quoted(text)) is less than 1M", remedy: "is its unit missing?")
        }
        return amount
    }

    /// The mistake, if the soft limit stands above the hard one. A share and a number of bytes cannot be compared here.
    var contradiction: AmountError? {
        let isAbove =
            switch (memoryHigh, memory) {
            case (.bytes(let high)?, .bytes(let hard)?): high > hard
            case (.percentOfMemory(let high)?, .percentOfMemory(let hard)?): high > hard
            default: false
            }
        guard isAbove, let memoryHigh, let memory else { return nil }
        return AmountError(
            found: "memory_high (\(SizeText.describe(memoryHigh))) is above memory (\(SizeText.describe(memory)))",
            remedy: "the soft limit goes below the hard one")
    }
}

extension Profile {
    /// Applies the limits of the command line, all of them or none.
    ///
    /// What hangs on a limit follows it when it is not set as well: see ``followLimits(changed:watchdogSet:)``.
    /// - Throws: every mistake found; `source` names the option, for example `--limit`.
    public mutating func setLimits(_ pairs: [(key: String, value: String)], source: String) throws(ProfileErrors) {
        var mistakes: [ProfileMistake] = []
        var changed = limits
        var keys: [Limits.Key] = []
        for pair in pairs {
            do throws(AmountError) {
                try changed.set(key: pair.key, value: pair.value)
                if let key = Limits.Key(text: pair.key) { keys.append(key) }
            } catch {
                mistakes.append(
                    ProfileMistake(
                        source: "\(source) \(pair.key)=\(pair.value)", found: error.found, remedy: error.remedy))
            }
        }
        var result = self
        result.limits = changed
        result.followLimits(changed: keys, watchdogSet: [])
        if let contradiction = result.limits.contradiction {
            mistakes.append(
                ProfileMistake(source: source, found: contradiction.found, remedy: contradiction.remedy))
        }
        guard mistakes.isEmpty else { throw ProfileErrors(mistakes) }
        self = result
    }

    enum WatchdogLimit { case cpu, memory }

    /// Someone who changes `memory` alone does not mean to keep a soft limit, or a watchdog, made for another size:
    /// `memory_high` becomes nine tenths of it, the watchdog's memory the same as it, the watchdog's processor share
    /// five quarters of the quota. Only what was set by a base profile moves; what is off stays off.
    mutating func followLimits(changed: [Limits.Key], watchdogSet: [WatchdogLimit]) {
        if changed.contains(.memory) {
            if !changed.contains(.memoryHigh), limits.memoryHigh != nil {
                limits.memoryHigh = limits.memory.map { $0.share(9, of: 10) }
            }
            if !watchdogSet.contains(.memory), watchdog.memory != nil { watchdog.memory = limits.memory }
        }
        if changed.contains(.cpu), !watchdogSet.contains(.cpu), watchdog.cpuPercent != nil {
            watchdog.cpuPercent = limits.cpuPercent.map { $0 + $0 / 4 }
        }
    }
}

extension Profile.Amount {
    fileprivate func share(_ part: UInt64, of whole: UInt64) -> Profile.Amount {
        switch self {
        case .bytes(let bytes): .bytes(bytes / whole * part + bytes % whole * part / whole)
        case .percentOfMemory(let percent): .percentOfMemory(max(1, percent * Int(part) / Int(whole)))
        }
    }
}
