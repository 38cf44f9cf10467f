import HostView
public import Profile

/// The plan's rules in the terms of tier bpf: rights on objects, on names and on addresses. `Supervise` hands them to
/// the kernel; nothing here needs it.
public struct KernelRules: Sendable, Equatable {
    /// What a rule grants on an object.
    public struct Rights: OptionSet, Sendable, Hashable {
        public let rawValue: UInt32

        public init(rawValue: UInt32) { self.rawValue = rawValue }

        public static let read = Rights(rawValue: 1)
        public static let write = Rights(rawValue: 2)
        public static let execute = Rights(rawValue: 4)
    }

    /// A place inside the sandbox; what stands there when the set-up is done gets these rights, and so does all that is
    /// below it and has no nearer rule.
    public struct Place: Sendable, Equatable {
        public var path: String
        public var rights: Rights
        /// Index into ``SandboxPlan/rules``; nil: none of them.
        public var rule: Int?
    }

    /// An object of the host that is denied under every name it has, whatever is shown at its path. What was not there when
    /// the plan was made has no object; its name is denied.
    public struct DeniedPlace: Sendable, Equatable {
        public var path: String
        public var rule: Int
    }

    /// A name that need not exist: `parts` below `folder`, a folder of the host, or (nil) anywhere.
    public struct Name: Sendable, Equatable {
        public var parts: [String]
        public var folder: String?
        public var rights: Rights
        public var rule: Int
    }

    public var places: [Place] = []
    public var denied: [DeniedPlace] = []
    public var names: [Name] = []
    /// Any address, or (network `none`) this machine's own only.
    public var reachesNetwork = false
    /// What is made inside may be a namespace, a mount.
    public var nested = false
    /// Tasks inside may trace each other: the system-call filter lets them, too.
    public var tracing = false
    /// Code without a name (memory files, deleted ones) may run: where the sandbox may run programs it has written,
    /// refusing these would only be in the way of runtimes that compile to memory.
    public var runsOwnCode: Bool { places.contains { $0.rights.isSuperset(of: [.write, .execute]) } }
    /// What was allowed is told, too.
    public var trace = false
    /// Code whose digest the threat policy asks for and the kernel does not have is refused, not only counted.
    public var refusesUnhashed = false
    public var cache = Profile.Cache()

    /// The longest name rule the kernel side holds, in parts, and the longest part in bytes (bpf/arbiter_abi.h).
    static let mostParts = 4
    static let mostBytes = 63

    /// Whether a rule is about a name pattern that the kernel side cannot hold: permission events are answered for it.
    static func cannotHold(_ rule: PathRule) -> Bool {
        guard rule.access == .deny || rule.access == .protect, case .suffix(let parts) = rule.pattern else {
            return false
        }
        return !holds(parts)
    }

    /// Whether the kernel side can hold this name: no globs, not too long.
    static func holds(_ parts: [String]) -> Bool {
        parts.count <= mostParts
            && parts.allSatisfy { part in
                !part.isEmpty && part.utf8.count <= mostBytes
                    && !part.utf8.contains { "*?[".utf8.contains($0) }
            }
    }
}

/// Makes ``KernelRules``. What the kernel side cannot hold is left to the permission events and the watchers of tier
/// fanotify, which are then at work beside it.
enum KernelPlanner {
    static func plan(tree: MountPlanner, profile: Profile) -> KernelRules {
        var kernel = KernelRules()
        kernel.reachesNetwork = profile.network.mode == .host
        kernel.nested = profile.process.nested
        kernel.tracing = profile.process.seccomp.contains("ptrace")
        kernel.trace = profile.streams.trace
        kernel.refusesUnhashed = profile.enforcement.gaps == .refuse
        kernel.cache = profile.cache
        let rules = RuleSet(tree.rules)
        var seen = PathIndex()
        var folders = Folders(tree)
        for (index, rule) in tree.rules.enumerated() {
            switch rule.pattern {
            case .path(let path):
                if rule.access == .deny, !tree.wasAbsent(path) { kernel.denied.append(.init(path: path, rule: index)) }
                let decision = rules.access(for: path)
                guard seen.insert(path).isNew, decision.access != nil else { continue }
                let rights = rights(decision)
                kernel.places.append(.init(path: path, rights: rights, rule: decision.rule))
                if decision.access == .deny || decision.access == .protect,
                    let name = folders.anchored(path, rights: rights, rule: decision.rule ?? index)
                {
                    kernel.names.append(name)
                }
            case .suffix(let parts):
                guard KernelRules.holds(parts), rule.access == .deny || rule.access == .protect else { continue }
                // Whether a protected file may be run is said by the mount it lies on.
                let rights: KernelRules.Rights = rule.access == .deny ? [] : [.read, .execute]
                kernel.names.append(.init(parts: parts, folder: nil, rights: rights, rule: index))
            case .glob, .unavailable: continue
            }
        }
        return kernel
    }

    private static func rights(_ decision: Decision) -> KernelRules.Rights {
        var rights: KernelRules.Rights = []
        if decision.mayRead { rights.insert(.read) }
        if decision.mayWrite { rights.insert(.write) }
        if decision.mayExecute { rights.insert(.execute) }
        return rights
    }

    /// What is asked of the folder a path stands in. A hundred rules stand in a handful of them.
    private struct Folders {
        private let tree: MountPlanner
        private var index = PathIndex()
        /// By place in `index`: the folder's own path, and ``MountPlanner/writableRoot(above:)`` of what stands in it.
        private var found: [(canonical: String, root: String?)] = []

        init(_ tree: MountPlanner) { self.tree = tree }

        mutating func anchored(_ path: String, rights: KernelRules.Rights, rule: Int) -> KernelRules.Name? {
            let (place, isNew) = index.insert(Paths.parent(path))
            if isNew {
                let own = tree.canonical(path)
                found.append((Paths.parent(own), tree.writableRoot(above: own)))
            }
            guard let root = found[place].root else { return nil }
            let own = Paths.join(found[place].canonical, Paths.lastName(path))
            return KernelPlanner.anchored(own, below: root, tree, rights: rights, rule: rule)
        }
    }

    /// The rule for the name at `path`, where it lies in a writable folder of the host: whatever is or comes to be there,
    /// also when somebody outside replaces what the sandbox was started with. nil: not such a place, or a name the
    /// kernel side cannot hold.
    static func anchored(
        _ path: String, _ tree: MountPlanner, rights: KernelRules.Rights, rule: Int
    ) -> KernelRules.Name? {
        guard let root = tree.writableRoot(above: path) else { return nil }
        return anchored(path, below: root, tree, rights: rights, rule: rule)
    }

    private static func anchored(
        _ path: String, below root: String, _ tree: MountPlanner, rights: KernelRules.Rights, rule: Int
    ) -> KernelRules.Name? {
        var folder = root
        var parts = path.utf8.dropFirst(root.utf8.count).split(separator: UInt8(ascii: "/")).map {
            String(decoding: $0, as: UTF8.self)
        }
        if parts.count > KernelRules.mostParts, let last = parts.last, tree.exists(Paths.parent(path)) {
            folder = Paths.parent(path)
            parts = [last]
        }
        guard !parts.isEmpty, KernelRules.holds(parts) else { return nil }
        return .init(parts: parts, folder: folder, rights: rights, rule: rule)
    }
}
