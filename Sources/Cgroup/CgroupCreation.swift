public import LinuxSystem

/// A sandbox's cgroup before its limits are known: the v2 folder, made and locked, for the first process to be born in.
///
/// It becomes a cgroup with limits by ``SandboxCgroup/create(name:limits:in:birthplace:)``, or goes by ``remove()``.
public struct CgroupBirthplace: Sendable {
    public let name: CgroupName
    fileprivate let folder: CgroupFolder

    /// Makes it; `nil` where there is no v2 tree, and so no cgroup to be born in.
    public init?(name: CgroupName = .new(), in hierarchy: CgroupHierarchy) throws(SystemError) {
        guard hierarchy.unified != nil else { return nil }
        (self.name, folder) = try CgroupCreation(hierarchy: hierarchy, limits: CgroupLimits())
            .makeLockedAnchor(name: name, populate: { _ in })
    }

    /// For CLONE_INTO_CGROUP.
    public var directory: Int32 { folder.directory }

    /// The v1 folders that ``SandboxCgroup/create(name:limits:in:birthplace:)`` makes besides. Whoever has time may make them
    /// before (mkdir(2), mode 0700), for the kernel takes a tenth of a millisecond for each.
    public func furtherFolders(for limits: CgroupLimits, in hierarchy: CgroupHierarchy) -> [String] {
        // Whether a weight is heeded, and so has a folder, is not known yet.
        hierarchy.needed(for: limits).compactMap {
            $0.controller == .io ? nil : hierarchy.place(of: name, below: $0.path)
        }
    }

    /// Takes it back, with its further folders; whoever was in it is gone.
    public func remove(in hierarchy: CgroupHierarchy) throws(SystemError) {
        try CgroupRemoval.remove(hierarchy.places(of: name), within: 2000)
    }
}

extension SandboxCgroup {
    /// Makes the cgroup of one sandbox and sets its limits. Nothing is in it yet but what was born in its birthplace.
    ///
    /// A limit that could not be set does not stop this: it is in ``unenforced``, and the caller decides.
    /// - Parameter birthplace: its v2 folder, when that was made before.
    /// - Throws: when no cgroup could be made at all; nothing is left behind then.
    public static func create(
        name: CgroupName = .new(), limits: CgroupLimits, in hierarchy: CgroupHierarchy,
        birthplace: CgroupBirthplace? = nil
    ) throws(SystemError) -> SandboxCgroup {
        try create(
            name: name, limits: limits, in: hierarchy, birthplace: birthplace, weightProblem: IOWeight.problem,
            populate: { _ in })
    }

    /// The making, with the machine's part handed in for tests.
    static func create(
        name: CgroupName, limits: CgroupLimits, in hierarchy: CgroupHierarchy, birthplace: CgroupBirthplace? = nil,
        weightProblem: () -> String?, populate: (String) -> Void
    ) throws(SystemError) -> SandboxCgroup {
        var creation = CgroupCreation(hierarchy: hierarchy, limits: limits)
        // Where no disk heeds weights the kernel takes them all the same: that is not to pass for a limit.
        if limits.names.contains(.ioWeight), let problem = weightProblem() { creation.giveUpWeight(problem) }
        if let birthplace {
            return creation.finish(name: birthplace.name, anchor: birthplace.folder, populate: populate)
        }
        let (name, anchor) = try creation.makeLockedAnchor(name: name, populate: populate)
        return creation.finish(name: name, anchor: anchor, populate: populate)
    }
}

/// The making of one cgroup: its folders, then its limits.
private struct CgroupCreation {
    let hierarchy: CgroupHierarchy
    private(set) var limits: CgroupLimits
    var unenforced: [UnenforcedLimit] = []
    var approximated: [UnenforcedLimit] = []
    /// v2 controllers already asked for in vain or with success, and what stood in the way.
    var enabled: [CgroupController: String?] = [:]

    init(hierarchy: CgroupHierarchy, limits: CgroupLimits) {
        self.hierarchy = hierarchy
        self.limits = limits
    }

    mutating func giveUpWeight(_ problem: String) {
        unenforced.append(UnenforcedLimit(.ioWeight, problem))
        limits.ioWeight = nil
    }

    /// The folder that carries the lock: v2's where there is one.
    private var anchorHierarchy: CgroupHierarchy.LegacyHierarchy? {
        if hierarchy.unified != nil { return nil }
        return hierarchy.legacy.first { $0.controller == .freezer } ?? hierarchy.legacy.first
    }

    func makeLockedAnchor(
        name: CgroupName, populate: (String) -> Void
    ) throws(SystemError) -> (name: CgroupName, anchor: CgroupFolder) {
        var name = name
        // A collector in another pid namespace may take a folder for abandoned before it is locked: make another.
        for _ in 0..<3 {
            let anchor = try makeAnchor(name: name, populate: populate)
            if anchor.lock() { return (name, anchor) }
            unsafe rmdir(anchor.path)
            name = .new()
        }
        throw Errno(EWOULDBLOCK).doing("locking the cgroup", "\(name)")
    }

    private func makeAnchor(name: CgroupName, populate: (String) -> Void) throws(SystemError) -> CgroupFolder {
        guard let root = hierarchy.unified ?? anchorHierarchy?.path else {
            throw Errno(ENOENT).doing("making a cgroup", "", remedy: "mount a cgroup file system")
        }
        return try CgroupFolder(
            controller: anchorHierarchy?.controller, root: root, name: name, mayExist: false, populate: populate)
    }

    /// Makes the other folders and sets the limits.
    mutating func finish(name: CgroupName, anchor: CgroupFolder, populate: (String) -> Void) -> SandboxCgroup {
        var folders = [anchor]
        for legacy in hierarchy.needed(for: limits) where legacy.path != anchorHierarchy?.path {
            do throws(SystemError) {
                // Two controllers may share one hierarchy (cpu,cpuacct): its folder is there the second time.
                folders.append(
                    try CgroupFolder(
                        controller: legacy.controller, root: legacy.path, name: name, mayExist: true,
                        populate: populate))
            } catch {
                for limit in limits.names where limit.controller == legacy.controller {
                    unenforced.append(UnenforcedLimit(limit, "\(error)"))
                }
            }
        }
        for limit in limits.names {
            if let folder = folders.first(where: { $0.controller == limit.controller }) {
                setLegacy(limit, in: folder)
            } else if hierarchy.path(of: limit.controller) != nil {
                // Its folder could not be made: said above.
            } else if anchor.controller == nil {
                setUnified(limit, in: anchor)
            } else {
                unenforced.append(
                    UnenforcedLimit(
                        limit, "this machine has no cgroup controller \(limit.controller.legacyFolder) mounted"))
            }
        }
        var killFile: FileDescriptor?
        if anchor.controller == nil {
            killFile = try? FileDescriptor.open("cgroup.kill", O_WRONLY, at: anchor.directory)
        }
        return SandboxCgroup(
            name: name, folders: folders, unenforced: unenforced, approximated: approximated, killFile: killFile)
    }

    // MARK: cgroup v2

    private mutating func setUnified(_ limit: LimitName, in folder: CgroupFolder) {
        switch limit {
        case .memory:
            guard set(limit, "\(limits.memory ?? 0)", "memory.max", in: folder) else { return }
            // Swapping is no way around the limit, and one process of a sandbox less is a sandbox broken.
            do throws(Errno) {
                try folder.write("0", to: "memory.swap.max")
            } catch {
                approximated.append(UnenforcedLimit(limit, "swap is not limited: memory.swap.max: \(error)"))
            }
            do throws(Errno) {
                try folder.write("1", to: "memory.oom.group")
            } catch {
                approximated.append(
                    UnenforcedLimit(limit, "the OOM killer ends one process, not all: memory.oom.group: \(error)"))
            }
        case .memoryHigh: set(limit, "\(limits.memoryHigh ?? 0)", "memory.high", in: folder)
        case .cpu: set(limit, "\((limits.cpuPercent ?? 0) * 1000) \(Scale.cpuPeriod)", "cpu.max", in: folder)
        case .cpuWeight: set(limit, "\(limits.cpuWeight ?? 0)", "cpu.weight", in: folder)
        case .processes: set(limit, "\(limits.processes ?? 0)", "pids.max", in: folder)
        case .ioWeight: setWeight(in: folder)
        }
    }

    /// The weight has a file for each policy that could serve it: io.weight for io.cost, io.bfq.weight for BFQ.
    private mutating func setWeight(in folder: CgroupFolder) {
        let weight = limits.ioWeight ?? 100
        let bfq: Errno?
        do throws(Errno) {
            try folder.write("\(Scale.bfqWeight(weight))", to: "io.bfq.weight")
            bfq = nil
        } catch {
            bfq = error
        }
        if bfq == nil {
            // Where io.cost is not built in there is no io.weight, and nothing else it could say.
            try? folder.write("\(weight)", to: "io.weight")
        } else {
            set(.ioWeight, "\(weight)", "io.weight", in: folder)
            if enabled[.io] != nil { try? folder.write("\(Scale.bfqWeight(weight))", to: "io.bfq.weight") }
        }
    }

    /// Writes a v2 limit; a missing file means the controller is not handed down yet: then that is done, once.
    @discardableResult
    private mutating func set(_ limit: LimitName, _ text: String, _ file: String, in folder: CgroupFolder) -> Bool {
        do throws(Errno) {
            do throws(Errno) {
                try folder.write(text, to: file)
            } catch let error where error.code == ENOENT {
                if let reason = enable(limit.controller) {
                    unenforced.append(UnenforcedLimit(limit, reason))
                    return false
                }
                try folder.write(text, to: file)
            }
            return true
        } catch {
            unenforced.append(UnenforcedLimit(limit, "writing \(text) to \(folder.path)/\(file): \(error)"))
            return false
        }
    }

    /// Hands a controller down to our folder and on to the sandboxes in it.
    /// - Returns: what stood in the way.
    private mutating func enable(_ controller: CgroupController) -> String? {
        if let known = enabled[controller] { return known }
        let reason = hierarchy.unified.flatMap { Self.handDown(controller, from: $0) }
        enabled[controller] = .some(reason)
        return reason
    }

    private static func handDown(_ controller: CgroupController, from root: String) -> String? {
        let ours = "\(root)/\(CgroupHierarchy.folderName)"
        for folder in [root, ours] {
            let available = (try? readText("\(folder)/cgroup.controllers")) ?? ""
            guard available.split(whereSeparator: { $0 == " " || $0 == "\n" }).contains(controller.rawValue[...]) else {
                return "the \(controller.rawValue) controller is not available in \(folder) (cgroup.controllers: "
                    + "\(available.isEmpty ? "empty" : available.filter { $0 != "\n" }))"
            }
            do throws(Errno) {
                try writeText("+\(controller.rawValue)", to: "\(folder)/cgroup.subtree_control")
            } catch let error where error.code == EBUSY {
                return "\(folder) cannot hand the \(controller.rawValue) controller down: processes live in it "
                    + "(EBUSY); in a service, set Delegate=yes and DelegateSubgroup=main"
            } catch {
                return "handing the \(controller.rawValue) controller down from \(folder): \(error)"
            }
        }
        return nil
    }

    // MARK: cgroup v1

    private mutating func setLegacy(_ limit: LimitName, in folder: CgroupFolder) {
        switch limit {
        case .memory:
            let bytes = "\(limits.memory ?? 0)"
            guard writeLegacy(limit, bytes, "memory.limit_in_bytes", in: folder) else { return }
            // Memory and swap together; it may not be below the limit of memory alone, hence the order.
            do throws(Errno) {
                try folder.write(bytes, to: "memory.memsw.limit_in_bytes")
            } catch {
                approximated.append(
                    UnenforcedLimit(limit, "swap is not limited: memory.memsw.limit_in_bytes: \(error)"))
            }
        case .memoryHigh:
            // The nearest v1 has: no throttling, but reclaimed first when the machine runs short.
            if writeLegacy(limit, "\(limits.memoryHigh ?? 0)", "memory.soft_limit_in_bytes", in: folder) {
                approximated.append(
                    UnenforcedLimit(
                        limit,
                        "cgroup v1 has a soft limit only: memory above it is reclaimed when the machine runs short"))
            }
        case .cpu:
            guard writeLegacy(limit, "\(Scale.cpuPeriod)", "cpu.cfs_period_us", in: folder) else { return }
            writeLegacy(limit, "\((limits.cpuPercent ?? 0) * 1000)", "cpu.cfs_quota_us", in: folder)
        case .cpuWeight: writeLegacy(limit, "\(Scale.shares(limits.cpuWeight ?? 100))", "cpu.shares", in: folder)
        case .processes: writeLegacy(limit, "\(limits.processes ?? 0)", "pids.max", in: folder)
        case .ioWeight:
            let weight = Scale.bfqWeight(limits.ioWeight ?? 100)
            do throws(Errno) {
                try folder.write("\(weight)", to: "blkio.bfq.weight")
            } catch {
                // Kernels before 5.0 had CFQ, whose weights start at 10.
                writeLegacy(limit, "\(max(10, weight))", "blkio.weight", in: folder)
            }
        }
    }

    @discardableResult
    private mutating func writeLegacy(
        _ limit: LimitName, _ text: String, _ file: String, in folder: CgroupFolder
    ) -> Bool {
        do throws(Errno) {
            try folder.write(text, to: file)
            return true
        } catch {
            unenforced.append(UnenforcedLimit(limit, "writing \(text) to \(folder.path)/\(file): \(error)"))
            return false
        }
    }
}

/// How the v2 scales map to others.
enum Scale {
    /// Microseconds: the kernel's default for cpu.max and cpu.cfs_period_us.
    static let cpuPeriod = 100_000

    /// cpu.shares of v1: 1024 is the default that v2 calls 100.
    static func shares(_ weight: Int) -> Int { min(262_144, max(2, weight * 1024 / 100)) }

    /// BFQ's weights go from 1 to 1000 around 100, v2's from 1 to 10000 around 100.
    static func bfqWeight(_ weight: Int) -> Int {
        weight <= 100 ? max(1, weight) : min(1000, 100 + (weight - 100) * 900 / 9900)
    }
}
