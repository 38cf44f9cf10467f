public import LinuxSystem

extension SandboxCgroup {
    /// Kills every process in the cgroup, those about to be forked included.
    public func kill() throws(SystemError) {
        if let killFile {
            do throws(Errno) {
                try kernel { unsafe write(killFile, "1", 1) }
                return
            } catch {
                throw error.doing("killing the cgroup", "\(name)")
            }
        }
        guard let folder = folders.first else { return }
        try CgroupKill.killAll(in: folder.directory, path: folder.path)
    }

    /// Stops every process of the cgroup, without their knowing.
    public func freeze() throws(SystemError) { try setFrozen(true) }

    /// Lets them go on.
    public func thaw() throws(SystemError) { try setFrozen(false) }

    /// Whether every process is stopped; it takes a moment after ``freeze()``.
    public var isFrozen: Bool {
        if let unified {
            return unified.read("cgroup.events").flatMap { CgroupFile.value(of: "frozen", in: $0) } == 1
        }
        return folder(.freezer)?.read("freezer.state")?.hasPrefix("FROZEN") ?? false
    }

    private func setFrozen(_ frozen: Bool) throws(SystemError) {
        do throws(Errno) {
            if let unified {
                try unified.write(frozen ? "1" : "0", to: "cgroup.freeze")
            } else if let freezer = folder(.freezer) {
                try freezer.write(frozen ? "FROZEN" : "THAWED", to: "freezer.state")
            } else {
                throw Errno(EOPNOTSUPP)
            }
        } catch {
            throw error.doing(frozen ? "freezing the cgroup" : "thawing the cgroup", "\(name)")
        }
    }

    /// The processes in it now.
    public var members: [pid_t] { folders.first.map { CgroupKill.members(of: $0.directory) } ?? [] }

    /// Removes the folders, waiting for the last processes to be gone.
    /// - Parameter milliseconds: how long to wait at most; killed processes need a moment to end.
    /// - Throws: EBUSY when something is still alive in it then.
    public func remove(within milliseconds: Int = 2000) throws(SystemError) {
        try CgroupRemoval.remove(pathsToRemove, within: milliseconds)
    }
}

/// Killing without cgroup.kill: v1, and v2 before Linux 5.14.
enum CgroupKill {
    static func members(of directory: Int32) -> [pid_t] {
        guard let text = try? readText("cgroup.procs", at: directory) else { return [] }
        // 0 stands for a process of a pid namespace that cannot be seen from here.
        return text.split(separator: "\n").compactMap { pid_t($0) }.filter { $0 > 0 }
    }

    /// Kills in rounds, frozen where that is possible, so that nothing forks faster than it is killed.
    /// - Parameter directory: a v2 folder, or one of a v1 hierarchy, the freezer's if there is one.
    static func killAll(in directory: Int32, path: String) throws(SystemError) {
        for round in 0..<200 {
            if members(of: directory).isEmpty { return }
            try? writeText("1", to: "cgroup.freeze", at: directory)
            try? writeText("FROZEN", to: "freezer.state", at: directory)
            signal(directory)
            // A task frozen by v1 takes the signal when it is thawed.
            try? writeText("0", to: "cgroup.freeze", at: directory)
            try? writeText("THAWED", to: "freezer.state", at: directory)
            usleep(round < 50 ? 1000 : 10_000)
        }
        throw Errno(EBUSY).doing("killing every process of the cgroup", path)
    }

    private static func signal(_ directory: Int32) {
        var opened: [(process: pid_t, descriptor: Int32)] = []
        for process in members(of: directory) {
            let descriptor = clinux_pidfd_open(process)
            if descriptor >= 0 { opened.append((process, descriptor)) }
        }
        // A pid may have been used again between the list and its descriptor: what is in the list still, is ours.
        let still = Set(members(of: directory))
        for (process, descriptor) in opened {
            if still.contains(process) { _ = clinux_pidfd_send_signal(descriptor, SIGKILL) }
            close(descriptor)
        }
    }
}

enum CgroupRemoval {
    /// Removes the folders in order; each as soon as it is empty.
    static func remove(_ paths: [String], within milliseconds: Int) throws(SystemError) {
        let deadline = Clock.monotonic() + UInt64(max(0, milliseconds)) * 1_000_000
        var pause: UInt32 = 100
        for path in paths {
            while true {
                do throws(Errno) {
                    try kernel { unsafe rmdir(path) }
                    break
                } catch let error where error.code == ENOENT {
                    break
                } catch let error where error.code == EBUSY && Clock.monotonic() < deadline {
                    // Sub-cgroups, made by whoever was inside.
                    removeSubfolders(of: path, depth: 0)
                    usleep(pause)
                    pause = min(pause * 2, 20_000)
                } catch {
                    throw error.doing("removing the cgroup", path)
                }
            }
        }
    }

    private static func removeSubfolders(of path: String, depth: Int) {
        guard depth < 64, let names = try? namesInFolder(path) else { return }
        for name in names {
            let inner = "\(path)/\(name)"
            guard (try? FileStatus(of: inner))?.isFolder == true else { continue }
            removeSubfolders(of: inner, depth: depth + 1)
            unsafe rmdir(inner)
        }
    }
}
