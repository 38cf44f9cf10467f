import LinuxSystem

/// Where this process may make cgroups: below which folder of the v2 tree, and of which v1 hierarchies.
///
/// All our cgroups live in one folder `mis` of each tree. A folder of their own, because weights are shared out among
/// siblings: a hundred sandboxes then weigh against the rest of the machine as one neighbour, not as a hundred. It
/// stays when the last sandbox goes, so that a launch need not make it again; ``removeEmptyFolders()`` takes it away.
public struct CgroupHierarchy: Sendable, Equatable {
    /// A folder of the v2 tree, or `nil`. Without controllers (a hybrid machine) it still serves cgroup.kill,
    /// cgroup.freeze, CLONE_INTO_CGROUP and cgroup BPF.
    public var unified: String?
    /// The root folders of v1 hierarchies, by controller.
    public var legacy: [LegacyHierarchy]

    /// The v1 hierarchy of one controller.
    public struct LegacyHierarchy: Sendable, Equatable {
        public var controller: CgroupController
        public var path: String

        public init(_ controller: CgroupController, _ path: String) {
            self.controller = controller
            self.path = path
        }
    }

    public init(unified: String?, legacy: [LegacyHierarchy] = []) {
        self.unified = unified
        self.legacy = legacy
    }

    /// Where the folders of a sandbox of that name come to be; the one that tells that its launcher lives is last.
    public func places(of name: CgroupName) -> [String] {
        (legacy.map(\.path) + [unified].compactMap { $0 }).map { place(of: name, below: $0) }
    }

    func place(of name: CgroupName, below root: String) -> String { "\(root)/\(Self.folderName)/\(name)" }

    /// The v1 hierarchies in which a sandbox with these limits has a folder.
    func needed(for limits: CgroupLimits) -> [LegacyHierarchy] {
        legacy.filter { legacy in
            switch legacy.controller {
            // Where a v2 folder does not already count and freeze.
            case .cpuAccounting, .freezer: unified == nil
            default: limits.names.contains { $0.controller == legacy.controller }
            }
        }
    }

    /// Whether limits are v1's, v2's, or partly absent; for people.
    public var summary: String {
        switch (unified, legacy.isEmpty) {
        case (let path?, true): "cgroup v2 at \(path)"
        case (let path?, false): "cgroup v1 controllers (\(legacyNames)), cgroup v2 at \(path) for kill and freeze"
        case (nil, _): "cgroup v1 controllers (\(legacyNames))"
        }
    }

    private var legacyNames: String { legacy.map(\.controller.legacyFolder).joined(separator: ", ") }

    /// The folder of all our cgroups in each tree.
    static let folderName = "mis"

    func path(of controller: CgroupController) -> String? {
        legacy.first { $0.controller == controller }?.path
    }

    /// Removes the `mis` folders, where nothing is left in them.
    public func removeEmptyFolders() {
        for root in legacy.map(\.path) + (unified.map { [$0] } ?? []) {
            unsafe rmdir("\(root)/\(Self.folderName)")
        }
    }
}

/// Whether cgroups can be made here.
public enum CgroupDetection: Sendable, Equatable {
    case found(CgroupHierarchy)
    /// `fix`: what an administrator or the user can do about it.
    case none(reason: String, fix: String)

    public var hierarchy: CgroupHierarchy? {
        if case .found(let hierarchy) = self { return hierarchy }
        return nil
    }
}

extension CgroupHierarchy {
    /// Finds where cgroups can be made. Cheap (a statfs per tree), for every start.
    ///
    /// As root: below the root of each mounted tree. As an ordinary user: the highest folder of the v2 tree above
    /// this process that is delegated to the user, because a process may only be moved (or be born) within a subtree
    /// whose top the user may write (Documentation/admin-guide/cgroup-v2.rst, "Delegation Containment").
    public static func detect() -> CgroupDetection {
        detect(mount: "/sys/fs/cgroup", user: geteuid(), kind: FileSystemKind.init(path:)) {
            try? readText("/proc/self/cgroup")
        }
    }

    /// The decision, with the machine's answers handed in.
    static func detect(
        mount: String, user: uid_t, kind: (String) -> FileSystemKind?, ownCgroup: () -> String?
    ) -> CgroupDetection {
        var unifiedMount: String?
        var legacy: [LegacyHierarchy] = []
        var readOnly = false

        func look(at path: String, for magic: FileSystemKind.Magic) -> Bool {
            guard let found = kind(path), found.magic == magic else { return false }
            if found.readOnly { readOnly = true }
            return !found.readOnly
        }

        if look(at: mount, for: .cgroup2) {
            unifiedMount = mount
        } else if !readOnly {
            if look(at: "\(mount)/unified", for: .cgroup2) { unifiedMount = "\(mount)/unified" }
            // Only root may make v1 cgroups: delegating v1 hierarchies is not safe, and nobody does it any more.
            if user == 0 {
                for controller in CgroupController.allCases {
                    // The v2 tree accounts and freezes, controllers or not.
                    if unifiedMount != nil, controller == .cpuAccounting || controller == .freezer { continue }
                    let path = "\(mount)/\(controller.legacyFolder)"
                    if look(at: path, for: .cgroup1) { legacy.append(LegacyHierarchy(controller, path)) }
                }
            }
        }

        if user == 0 {
            if unifiedMount != nil || !legacy.isEmpty {
                return .found(CgroupHierarchy(unified: unifiedMount, legacy: legacy))
            }
            return readOnly
                ? .none(
                    reason: "\(mount) is mounted read-only",
                    fix: "mount it writable; in a container, start that with `--privileged` or `--cgroupns=private` "
                        + "and a writable \(mount)")
                : .none(
                    reason: "no cgroup file system is mounted at \(mount)",
                    fix: "mount -t cgroup2 none \(mount)")
        }
        return delegated(below: unifiedMount, mount: mount, ownCgroup: ownCgroup)
    }

    private static func delegated(
        below unifiedMount: String?, mount: String, ownCgroup: () -> String?
    ) -> CgroupDetection {
        var fix: String {
            "run it in a delegated cgroup: systemd-run --user --scope -p Delegate=yes mis run ...; if controllers are "
                + "missing there, as root: systemctl edit user@.service, add [Service] Delegate=cpu cpuset io memory pids; without "
                + "systemd, or where controllers are on cgroup v1: run mis as root"
        }
        guard let unifiedMount else {
            return .none(reason: "no writable cgroup v2 tree is mounted at \(mount)", fix: fix)
        }
        guard let own = ownCgroup().flatMap(unifiedPath(in:)) else {
            return .none(reason: "this process has no place in the cgroup v2 tree", fix: fix)
        }
        // `/../..` is what a process outside its cgroup namespace's root sees: no folder to walk.
        guard own.utf8.first == UInt8(ascii: "/"), !climbs(own) else {
            return .none(reason: "this process's cgroup \(own) is outside its cgroup namespace", fix: fix)
        }
        var highest: String?
        var path = own == "/" ? unifiedMount : unifiedMount + own
        while path.utf8.count >= unifiedMount.utf8.count, mayManage(path) {
            highest = path
            guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { break }
            path = String(path[..<slash])
        }
        guard let highest else {
            return .none(reason: "the cgroup of this process, \(own), is not delegated to this user", fix: fix)
        }
        return .found(CgroupHierarchy(unified: highest))
    }

    /// The v2 line of /proc/PID/cgroup: `0::/path`.
    static func unifiedPath(in text: String) -> String? {
        // By bytes: every start comes here.
        var line = text.utf8[...]
        while !line.isEmpty {
            let end = line.firstIndex(of: UInt8(ascii: "\n")) ?? line.endIndex
            if line.starts(with: "0::".utf8) { return String(Substring(line[..<end].dropFirst(3))) }
            line = line[end...].dropFirst()
        }
        return nil
    }

    private static func mayManage(_ folder: String) -> Bool {
        unsafe access(folder, W_OK | X_OK) == 0 && access("\(folder)/cgroup.procs", W_OK) == 0
    }
}

/// What statfs(2) says of a path: which of the file systems we look for it is on.
struct FileSystemKind: Equatable {
    enum Magic { case cgroup1, cgroup2, other }

    var magic: Magic
    var readOnly: Bool

    init(_ magic: Magic, readOnly: Bool = false) {
        self.magic = magic
        self.readOnly = readOnly
    }

    /// `nil` when there is no such path.
    init?(path: String) {
        var raw = statfs()
        guard unsafe statfs(path, &raw) == 0 else { return nil }
        // linux/magic.h.
        magic =
            switch raw.f_type {
            case 0x0027_E0EB: .cgroup1
            case 0x6367_7270: .cgroup2
            default: .other
            }
        // ST_RDONLY.
        readOnly = raw.f_flags & 1 != 0
    }
}
