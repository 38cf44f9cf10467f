public import LinuxSystem

/// Cgroups of sandboxes nobody looks after any more: launcher and guardian were killed before they could clean up.
///
/// The owner of a sandbox's cgroup holds a lock (flock) on its folder, through a descriptor that launcher and guardian
/// share and nobody inside has. The kernel drops it with the last of them. So a folder that can be locked is
/// abandoned, whatever happened to pids, and in whichever pid namespace its launcher ran. The folders can be opened
/// by their owner only (mode 0700): nobody else can hold a lock against us.
public enum StaleCgroups {
    /// Kills what is left in abandoned cgroups and removes them. One look into one folder when there is none.
    /// - Parameter everywhere: look into every hierarchy, also for remains whose locked folder is gone.
    /// - Returns: the names removed, and what could not be.
    @discardableResult
    public static func collect(in hierarchy: CgroupHierarchy, everywhere: Bool = false) -> (
        removed: [CgroupName], failures: [SystemError]
    ) {
        // The locked folder is the last one to go: see SandboxCgroup.pathsToRemove.
        var roots = hierarchy.unified.map { [$0] } ?? []
        if roots.isEmpty || everywhere { roots += hierarchy.legacy.map(\.path) }
        var removed: [CgroupName] = []
        var failures: [SystemError] = []
        for root in roots {
            let ours = "\(root)/\(CgroupHierarchy.folderName)"
            guard let folder = try? FileDescriptor.open(ours, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
                let names = try? namesInFolder(folder)
            else { continue }
            for name in names.compactMap({ CgroupName($0) }) {
                do throws(SystemError) {
                    if try collect(name, in: folder.number, path: ours, of: hierarchy) { removed.append(name) }
                } catch {
                    failures.append(error)
                }
            }
        }
        return (removed, failures)
    }

    /// False when somebody still looks after it.
    private static func collect(
        _ name: CgroupName, in folder: Int32, path: String, of hierarchy: CgroupHierarchy
    ) throws(SystemError) -> Bool {
        guard let opened = try? FileDescriptor.open("\(name)", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: folder),
            flock(opened.number, LOCK_EX | LOCK_NB) == 0, !isBeingMade(name),
            // A folder of that name made by another user is none of ours.
            let status = try? opened.status(), status.user == geteuid(),
            !isLockedElsewhere(name, besides: path, in: hierarchy)
        else { return false }
        try kill(opened.number, path: "\(path)/\(name)")
        // Kept open, and so locked, until all of it is gone.
        try CgroupRemoval.remove(paths(of: name, in: hierarchy), within: 2000)
        return true
    }

    /// Whether this folder is not the one that carries the lock, and that one is held.
    private static func isLockedElsewhere(_ name: CgroupName, besides path: String, in hierarchy: CgroupHierarchy)
        -> Bool
    {
        for other in paths(of: name, in: hierarchy) where other != "\(path)/\(name)" {
            guard let opened = try? FileDescriptor.open(other, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else { continue }
            if flock(opened.number, LOCK_EX | LOCK_NB) != 0 { return true }
        }
        return false
    }

    /// Between making the folder and locking it, its launcher is alive and the name is new.
    private static func isBeingMade(_ name: CgroupName) -> Bool {
        let now = Clock.monotonic() / 1000
        guard name.made + 2_000_000 > now else { return false }
        return Glibc.kill(name.launcher, 0) == 0 || errno == EPERM
    }

    private static func kill(_ directory: Int32, path: String) throws(SystemError) {
        do throws(Errno) {
            try writeText("1", to: "cgroup.kill", at: directory)
        } catch {
            try CgroupKill.killAll(in: directory, path: path)
        }
    }

    private static func paths(of name: CgroupName, in hierarchy: CgroupHierarchy) -> [String] {
        (hierarchy.legacy.map(\.path) + [hierarchy.unified].compactMap(\.self))
            .map { "\($0)/\(CgroupHierarchy.folderName)/\(name)" }
    }
}
