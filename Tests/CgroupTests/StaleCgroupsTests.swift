import Foundation
import LinuxSystem
import Testing

@testable import Cgroup

@Suite(.serialized) struct StaleCgroupsTests {
    let hierarchy: CgroupHierarchy

    init() throws { hierarchy = try machineHierarchy() }

    private var roots: [String] { hierarchy.legacy.map(\.path) + [hierarchy.unified].compactMap(\.self) }
    private var anchor: String { hierarchy.unified ?? hierarchy.legacy[0].path }

    /// A pid no process has.
    private func deadProcess() throws -> pid_t {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/true")
        try process.run()
        process.waitUntilExit()
        return process.processIdentifier
    }

    /// Folders as a killed launcher leaves them.
    private func leave(_ name: CgroupName) throws {
        for root in roots {
            makeFolder("\(root)/mis")
            try #require(makeFolder("\(root)/mis/\(name)", 0o700))
        }
    }

    private func removeAll(_ name: CgroupName) {
        for root in roots { removeFolder("\(root)/mis/\(name)") }
    }

    private func exists(_ name: CgroupName) -> Bool { roots.contains { isThere("\($0)/mis/\(name)") } }

    @Test func whatADeadLauncherLeftIsKilledAndRemoved() throws {
        let name = CgroupName(launcher: try deadProcess(), made: Clock.monotonic() / 1000)
        try leave(name)
        defer { removeAll(name) }
        let orphan = Process()
        orphan.executableURL = URL(filePath: "/bin/sh")
        let entries = roots.map { "echo 0 > \($0)/mis/\(name)/cgroup.procs" }.joined(separator: " && ")
        let pipe = Pipe()
        orphan.standardOutput = pipe
        orphan.arguments = ["-c", "\(entries) && echo in && exec sleep 60"]
        try orphan.run()
        #expect(String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self) == "in\n")

        let (removed, failures) = StaleCgroups.collect(in: hierarchy)
        #expect(removed.contains(name))
        #expect(failures.isEmpty)
        #expect(!exists(name))
        orphan.waitUntilExit()
        #expect(orphan.terminationReason == .uncaughtSignal)
    }

    @Test func aLiveOneIsLeftAlone() throws {
        // Nothing but the lock speaks for it: the name is old, and no process has that pid.
        let name = CgroupName(launcher: try deadProcess(), made: 5)
        try withCgroup(CgroupLimits(processes: 10), named: name, in: hierarchy) { cgroup in
            let inmate = try Inmate("echo in; sleep 60", in: cgroup)
            #expect(inmate.line() == "in\n")
            for everywhere in [false, true] {
                #expect(!StaleCgroups.collect(in: hierarchy, everywhere: everywhere).removed.contains(cgroup.name))
            }
            #expect(inmate.process.isRunning)
            #expect(cgroup.pathsToRemove.allSatisfy { isThere($0) })
            try cgroup.kill()
            inmate.end()
        }
    }

    @Test func theLockCountsNotThePid() throws {
        // Its launcher's pid was used again, by this very process: nobody holds the lock, so nobody looks after it.
        let old = CgroupName(launcher: getpid(), made: 1)
        try leave(old)
        defer { removeAll(old) }
        #expect(StaleCgroups.collect(in: hierarchy).removed.contains(old))
        #expect(!exists(old))

        // The other way round: a pid that does not exist here (another pid namespace), and the lock held.
        let foreign = CgroupName(launcher: try deadProcess(), made: 2)
        try leave(foreign)
        defer { removeAll(foreign) }
        do {
            let held = try FileDescriptor.open("\(anchor)/mis/\(foreign)", O_RDONLY | O_DIRECTORY)
            try #require(flock(held.number, LOCK_EX | LOCK_NB) == 0)
            for everywhere in [false, true] {
                #expect(!StaleCgroups.collect(in: hierarchy, everywhere: everywhere).removed.contains(foreign))
            }
            #expect(exists(foreign))
        }
        #expect(StaleCgroups.collect(in: hierarchy).removed.contains(foreign))
    }

    @Test func oneBeingMadeIsLeftAlone() throws {
        // Made a moment ago by a living process, and not locked yet.
        let name = CgroupName.new()
        try leave(name)
        defer { removeAll(name) }
        #expect(!StaleCgroups.collect(in: hierarchy).removed.contains(name))
        #expect(exists(name))
    }

    @Test func foreignFoldersAreLeftAlone() throws {
        let owned = CgroupName(launcher: try deadProcess(), made: 3)
        try leave(owned)
        defer { removeAll(owned) }
        let path = "\(anchor)/mis/\(owned)"
        try #require(give(path, to: 12345))
        let other = "\(anchor)/mis/mis-notours"
        try #require(makeFolder(other, 0o755))
        defer { removeFolder(other) }
        #expect(!StaleCgroups.collect(in: hierarchy).removed.contains(owned))
        #expect(isThere(path))
        #expect(isThere(other))
        try #require(give(path, to: 0))
        #expect(StaleCgroups.collect(in: hierarchy).removed.contains(owned))
    }

    @Test func remainsWithoutTheirLockedFolderAreFoundWhenAskedFor() throws {
        guard let legacy = hierarchy.legacy.first else { return }
        let name = CgroupName(launcher: try deadProcess(), made: 4)
        makeFolder("\(legacy.path)/mis")
        try #require(makeFolder("\(legacy.path)/mis/\(name)", 0o700))
        defer { removeAll(name) }
        #expect(!StaleCgroups.collect(in: hierarchy).removed.contains(name))
        #expect(StaleCgroups.collect(in: hierarchy, everywhere: true).removed.contains(name))
        #expect(!exists(name))
    }

    @Test func aLauncherKilledAtAnyMomentIsCleanedUpAfter() throws {
        // The lock goes with the last descriptor, whatever kills its holder.
        let cgroup = try SandboxCgroup.create(limits: CgroupLimits(processes: 10), in: hierarchy)
        let name = cgroup.name
        defer { removeAll(name) }
        let path = try #require(cgroup.folders.first).path
        try cgroup.remove()
        try leave(name)
        let holder = Process()
        let pipe = Pipe()
        holder.executableURL = URL(filePath: "/bin/sh")
        holder.arguments = ["-c", "exec 9< \(path) && flock -n 9 && echo held && exec sleep 60"]
        holder.standardOutput = pipe
        try holder.run()
        #expect(String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self) == "held\n")
        let stale = CgroupName(launcher: name.launcher, made: name.made)
        #expect(!StaleCgroups.collect(in: hierarchy).removed.contains(stale))
        kill(holder.processIdentifier, SIGKILL)
        holder.waitUntilExit()
        // The name is new and this process lives: it could be one being made.
        #expect(eventually(within: 4) { StaleCgroups.collect(in: hierarchy).removed.contains(stale) })
        #expect(!exists(stale))
    }
}
