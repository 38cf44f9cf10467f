import HostView
import LinuxSystem
import Profile

/// Landlock's rights, from the mounts: few rules, each high in the tree, because every rule costs microseconds at each
/// start and rights only ever add up downwards. What stands inside a writable folder and is narrower (protected,
/// denied) is held by its mount, and by the tier's own decisions.
enum LandlockPlanner {
    // linux/landlock.h, by the ABI that brought them.
    static let execute: UInt64 = 1 << 0
    static let writeFile: UInt64 = 1 << 1
    static let readFile: UInt64 = 1 << 2
    static let readFolder: UInt64 = 1 << 3
    static let refer: UInt64 = 1 << 13
    static let truncate: UInt64 = 1 << 14
    static let ioctlDevice: UInt64 = 1 << 15
    /// Remove, make (regular, folder, symlink, fifo, socket), without device nodes.
    private static let changeNames: UInt64 =
        1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12

    static func handled(abi: Int) -> UInt64 {
        var rights: UInt64 = (1 << 13) - 1
        if abi >= 2 { rights |= refer }
        if abi >= 3 { rights |= truncate }
        if abi >= 5 { rights |= ioctlDevice }
        return rights
    }

    /// Signals and abstract sockets stay inside (ABI 6).
    static func scoped(abi: Int) -> UInt64 { abi >= 6 ? 3 : 0 }

    static func plan(tree: MountPlanner, abi: Int, tier: Tier) -> LandlockPlan {
        // The kernel's own programs decide on every file there, at a fraction of the price.
        if tier == .bpf { return LandlockPlan(abi: abi, handledAccess: 0, scoped: scoped(abi: abi), rules: []) }
        let handled = handled(abi: abi)
        let read = readFile | readFolder
        let write = read | writeFile | changeNames | refer | truncate
        var rules: [LandlockPlan.Rule] = []
        func allow(_ path: String, _ access: UInt64) {
            var above: UInt64 = 0
            for index in rules.indices where Paths.isAtOrBelow(path, rules[index].path) { above |= rules[index].access }
            let useful = access & handled
            if useful & ~above == 0 { return }
            rules.append(.init(path: path, access: useful))
        }
        // The bare skeleton of the root can be listed; what is not mounted is not there.
        allow("/", readFolder)
        for mount in tree.mounts {
            let exec = mount.executable ? execute : 0
            switch mount.kind {
            case .bind(_, _, let isFolder, _):
                let access = mount.readOnly ? read | exec : write | exec
                allow(mount.target, isFolder ? access : access & (execute | writeFile | readFile | truncate))
            case .tmpfs:
                allow(mount.target, mount.readOnly ? read | exec : write | exec)
            case .mask, .synthetic:
                continue
            }
        }
        // A process writes its own comm, oom_score_adj and the like; the rest of /proc is held by its mounts.
        allow("/proc", read | writeFile | truncate)
        allow("/dev", read | writeFile | truncate | ioctlDevice)
        allow("/dev/shm", write)
        if tree.hasSyntheticEtc { allow("/etc", read) }
        return LandlockPlan(abi: abi, handledAccess: handled, scoped: scoped(abi: abi), rules: rules)
    }
}
