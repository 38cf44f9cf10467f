import Foundation
import LinuxSystem
import Testing

@testable import Cgroup

/// The real thing, on whichever kind of cgroup this machine has.
@Suite(.serialized) struct MachineTests {
    let hierarchy: CgroupHierarchy

    init() throws { hierarchy = try machineHierarchy() }

    private func read(_ cgroup: SandboxCgroup, _ controller: CgroupController, v1: String, v2: String) -> String? {
        guard let folder = cgroup.folder(controller) else { return nil }
        return folder.read(folder.controller == nil ? v2 : v1).map { String($0.dropLast()) }
    }

    @Test func limitsHoldWhatWasAsked() throws {
        let limits = CgroupLimits(
            memory: 256 << 20, memoryHigh: 200 << 20, cpuPercent: 80, cpuWeight: 50, processes: 77, ioWeight: 50)
        try withCgroup(limits, in: hierarchy) { cgroup in
            #expect(cgroup.unenforced.isEmpty)
            #expect(read(cgroup, .memory, v1: "memory.limit_in_bytes", v2: "memory.max") == "268435456")
            #expect(read(cgroup, .memory, v1: "memory.memsw.limit_in_bytes", v2: "memory.max") == "268435456")
            #expect(read(cgroup, .memory, v1: "memory.soft_limit_in_bytes", v2: "memory.high") == "209715200")
            #expect(["80000", "80000 100000"].contains(read(cgroup, .cpu, v1: "cpu.cfs_quota_us", v2: "cpu.max")))
            #expect(["512", "50"].contains(read(cgroup, .cpu, v1: "cpu.shares", v2: "cpu.weight")))
            #expect(read(cgroup, .processes, v1: "pids.max", v2: "pids.max") == "77")
            #expect(
                ["50", "default 50"].contains(
                    read(cgroup, .io, v1: "blkio.bfq.weight", v2: "io.bfq.weight")
                        ?? read(cgroup, .io, v1: "blkio.weight", v2: "io.weight")))
        }
    }

    @Test func onlyTheNeededFoldersAreMade() throws {
        try withCgroup(CgroupLimits(processes: 5), in: hierarchy) { cgroup in
            #expect(cgroup.folders.count == (hierarchy.legacy.isEmpty ? 1 : 2))
            // Told before they are made to whoever removes them after a killed launcher.
            #expect(Set(cgroup.pathsToRemove).isSubset(of: hierarchy.places(of: cgroup.name)))
            for path in cgroup.pathsToRemove {
                let mode = try FileStatus(of: path).mode
                #expect(mode & 0o777 == 0o700)
            }
        }
    }

    /// The set-up child makes v1's folders when it has time. It is the same cgroup then, and none is made in vain.
    @Test(arguments: [true, false]) func furtherFoldersMayBeThereBefore(_ are: Bool) throws {
        // Where no disk heeds weights there is no folder for them.
        let limits = CgroupLimits(memory: 256 << 20, cpuPercent: 80, processes: 77, ioWeight: 50)
        guard let birthplace = try CgroupBirthplace(in: hierarchy) else { return }
        let further = birthplace.furtherFolders(for: limits, in: hierarchy)
        defer {
            try? birthplace.remove(in: hierarchy)
            hierarchy.removeEmptyFolders()
        }
        if are {
            for path in further {
                mkdir((path as NSString).deletingLastPathComponent, 0o755)
                #expect(mkdir(path, 0o700) == 0)
            }
        }
        let cgroup = try SandboxCgroup.create(
            name: birthplace.name, limits: limits, in: hierarchy, birthplace: birthplace,
            weightProblem: { "nobody heeds it" }, populate: { _ in })
        #expect(cgroup.unenforced.map(\.limit) == [.ioWeight])
        #expect(Set(cgroup.pathsToRemove.dropLast()) == Set(further))
        #expect(read(cgroup, .processes, v1: "pids.max", v2: "pids.max") == "77")
        try cgroup.remove()
        for path in hierarchy.places(of: birthplace.name) { #expect(access(path, F_OK) != 0, "\(path)") }
    }

    /// A launch that is given up before its limits are set.
    @Test func aBirthplaceGoesWithItsFurtherFolders() throws {
        guard let birthplace = try CgroupBirthplace(in: hierarchy) else { return }
        defer { for path in hierarchy.places(of: birthplace.name) { rmdir(path) } }
        for path in birthplace.furtherFolders(for: CgroupLimits(memory: 1 << 30, processes: 9), in: hierarchy) {
            mkdir((path as NSString).deletingLastPathComponent, 0o755)
            #expect(mkdir(path, 0o700) == 0)
        }
        try birthplace.remove(in: hierarchy)
        for path in hierarchy.places(of: birthplace.name) { #expect(access(path, F_OK) != 0, "\(path)") }
        hierarchy.removeEmptyFolders()
    }

    @Test func whatRunsInsideIsCounted() throws {
        let limits = CgroupLimits(memory: 256 << 20, cpuPercent: 100, processes: 50)
        try withCgroup(limits, in: hierarchy) { cgroup in
            let inmate = try Inmate("sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo done", in: cgroup)
            #expect(inmate.line() == "done\n")
            inmate.end()
            let usage = cgroup.usage()
            #expect(try #require(usage.cpuMicroseconds) > 1000)
            #expect(try #require(usage.memoryPeak) > 100_000)
            #expect(try #require(usage.processesPeak) >= 2)
            #expect(usage.processes == 0)
            #expect(usage.outOfMemoryKills == 0)
            #expect(usage.processLimitHits == 0)
        }
    }

    @Test func theProcessorLimitHoldsBack() throws {
        try withCgroup(CgroupLimits(cpuPercent: 20), in: hierarchy) { cgroup in
            let inmate = try Inmate("echo in; while :; do :; done", in: cgroup)
            #expect(inmate.line() == "in\n")
            let (began, before) = (Clock.monotonic(), try #require(cgroup.processorTime()))
            usleep(1_000_000)
            // A busy machine gives it less than it may have, and wakes the test late.
            #expect(
                eventually(within: 20) {
                    cgroup.usage().throttledPeriods ?? 0 > 2 && cgroup.processorTime() ?? 0 > before + 50_000
                })
            let used = try #require(cgroup.processorTime()) - before
            let seconds = Double(Clock.monotonic() - began) / 1e9
            try cgroup.kill()
            inmate.end()
            #expect(used > 50_000)
            #expect(Double(used) < 450_000 * seconds)
        }
    }

    @Test func aMemoryHogIsKilledAndThatIsReported() throws {
        try withCgroup(CgroupLimits(memory: 32 << 20), in: hierarchy) { cgroup in
            guard let watch = try cgroup.outOfMemoryWatch() else {
                Issue.record("no memory controller")
                return
            }
            // Allowed beside it: the same program with less.
            let modest = try Inmate("head -c 8000000 /dev/zero | tail -c 8000000 | wc -c", in: cgroup)
            #expect(modest.line() == "8000000\n")
            modest.end()
            #expect(cgroup.outOfMemoryKills() == 0)
            #expect(!isReady(watch.descriptor.number, Int16(watch.events.rawValue)))

            let hog = try Inmate("exec tail /dev/zero", in: cgroup)
            hog.end()
            #expect(hog.process.terminationReason == .uncaughtSignal)
            #expect(hog.process.terminationStatus == SIGKILL)
            #expect(try #require(cgroup.outOfMemoryKills()) >= 1)
            let isLegacy = cgroup.folder(.memory)?.controller != nil
            #expect(cgroup.usage().memoryLimitHits.map { $0 >= 1 } ?? isLegacy)
            #expect(try #require(cgroup.usage().memoryPeak) <= 32 << 20)
            #expect(isReady(watch.descriptor.number, Int16(watch.events.rawValue)))
        }
    }

    @Test func aForkBombIsStopped() throws {
        try withCgroup(CgroupLimits(processes: 10), in: hierarchy) { cgroup in
            // At most forty children, were the limit not there.
            let script = "i=0; while [ $i -lt 40 ]; do sleep 20 & i=$((i+1)); done; echo all forty; sleep 20"
            let inmate = try Inmate(script, in: cgroup)
            #expect(eventually { cgroup.usage().processLimitHits ?? 0 > 0 })
            #expect(cgroup.usage().processesPeak == 10)
            #expect(cgroup.members.count <= 10)
            try cgroup.kill()
            inmate.end()
            #expect(inmate.line() != "all forty\n")
        }
    }

    @Test func aForkingProcessIsKilledWhole() throws {
        try withCgroup(CgroupLimits(processes: 200), in: hierarchy) { cgroup in
            let inmate = try Inmate("while :; do (sleep 60 &) ; done", in: cgroup)
            #expect(eventually { cgroup.members.count > 20 })
            try cgroup.kill()
            #expect(eventually(within: 1) { cgroup.members.isEmpty })
            inmate.end()
            try cgroup.remove()
            for path in cgroup.pathsToRemove { #expect(!isThere(path)) }
        }
    }

    @Test func killingWithoutTheKernelsHelpWorksToo() throws {
        try withCgroup(CgroupLimits(processes: 100), in: hierarchy) { cgroup in
            let inmate = try Inmate("while :; do (sleep 60 &) ; done", in: cgroup)
            #expect(eventually { cgroup.members.count > 20 })
            let folder = try #require(cgroup.folders.first)
            try CgroupKill.killAll(in: folder.directory, path: folder.path)
            #expect(cgroup.members.isEmpty)
            inmate.end()
        }
    }

    @Test func frozenProcessesStandStill() throws {
        try withCgroup(CgroupLimits(cpuPercent: 100), in: hierarchy) { cgroup in
            let inmate = try Inmate("echo in; while :; do :; done", in: cgroup)
            #expect(inmate.line() == "in\n")
            #expect(!cgroup.isFrozen)
            try cgroup.freeze()
            #expect(eventually { cgroup.isFrozen })
            let before = cgroup.processorTime()
            usleep(100_000)
            #expect(cgroup.processorTime() == before)
            try cgroup.thaw()
            #expect(eventually { cgroup.processorTime() != before })
            try cgroup.freeze()
            // Frozen processes can be killed.
            try cgroup.kill()
            inmate.end()
            #expect(inmate.process.terminationReason == .uncaughtSignal)
        }
    }

    @Test func removalWaitsAndGivesUp() throws {
        try withCgroup(CgroupLimits(processes: 20), in: hierarchy) { cgroup in
            let inmate = try Inmate("echo in; sleep 60", in: cgroup)
            #expect(inmate.line() == "in\n")
            let started = Clock.monotonic()
            let error = #expect(throws: SystemError.self) { try cgroup.remove(within: 50) }
            #expect(error?.errno.code == EBUSY)
            #expect(Clock.monotonic() - started < 1_000_000_000)
            try cgroup.kill()
            // Not waited for: removal does that.
            try cgroup.remove()
            #expect(cgroup.pathsToRemove.allSatisfy { !isThere($0) })
            inmate.end()
            // Once more is no mistake.
            try cgroup.remove()
        }
    }

    @Test func foldersMadeInsideGoToo() throws {
        try withCgroup(CgroupLimits(processes: 20), in: hierarchy) { cgroup in
            for path in cgroup.pathsToRemove {
                try #require(makeFolder("\(path)/inner", 0o755))
                try #require(makeFolder("\(path)/inner/most", 0o755))
            }
            try cgroup.remove()
            #expect(cgroup.pathsToRemove.allSatisfy { !isThere($0) })
        }
    }

    @Test func theNamesOfALaunchDoNotCollide() throws {
        let name = CgroupName.new()
        let first = try SandboxCgroup.create(name: name, limits: CgroupLimits(), in: hierarchy)
        defer { try? first.remove() }
        let error = #expect(throws: SystemError.self) {
            try SandboxCgroup.create(name: name, limits: CgroupLimits(), in: hierarchy)
        }
        #expect(error?.errno.code == EEXIST)
        // What was there is there still.
        #expect(first.pathsToRemove.allSatisfy { isThere($0) })
    }

    @Test func manyCyclesLeaveNothing() throws {
        let limits = CgroupLimits(memory: 1 << 30, cpuPercent: 100, processes: 10)
        let before = try descriptors()
        var names: [CgroupName] = []
        for _ in 0..<100 {
            let cgroup = try SandboxCgroup.create(limits: limits, in: hierarchy)
            names.append(cgroup.name)
            try cgroup.remove()
        }
        #expect(Set(names.map(\.description)).count == 100)
        #expect(try descriptors() <= before + 8)
        for root in hierarchy.legacy.map(\.path) + [hierarchy.unified].compactMap(\.self) {
            let left = Set((try? namesInFolder("\(root)/mis")) ?? [])
            #expect(left.isDisjoint(with: names.map(\.description)))
        }
    }

    private func descriptors() throws -> Int { try namesInFolder("/proc/self/fd").count }
}

/// The same face over v1 alone, as on machines without a v2 tree. Nothing to test where there is no v1.
@Suite(.serialized, .enabled(if: legacyHierarchy() != nil)) struct LegacyTests {
    let hierarchy: CgroupHierarchy

    init() throws {
        try #require(geteuid() == 0, "these tests make real cgroups: run them as root")
        hierarchy = try #require(legacyHierarchy())
    }

    @Test func limitsCountersKillAndRemoval() throws {
        let limits = CgroupLimits(memory: 64 << 20, cpuPercent: 100, processes: 40)
        try withCgroup(limits, in: hierarchy) { cgroup in
            #expect(cgroup.unenforced.isEmpty)
            #expect(cgroup.cloneInto == nil)
            #expect(cgroup.killFile == nil)
            #expect(cgroup.joins.count == 5)
            let inmate = try Inmate("while :; do (sleep 60 &) ; done", in: cgroup)
            #expect(eventually { cgroup.usage().processesPeak == 40 })
            #expect(try #require(cgroup.processorTime()) > 1000)
            try cgroup.freeze()
            #expect(eventually { cgroup.isFrozen })
            try cgroup.kill()
            #expect(cgroup.members.isEmpty)
            inmate.end()
            try cgroup.remove()
            #expect(cgroup.pathsToRemove.allSatisfy { !isThere($0) })
        }
    }

    @Test func aControllerThatIsNotThereIsSaid() throws {
        let some = CgroupHierarchy(unified: nil, legacy: hierarchy.legacy.filter { $0.controller == .processes })
        try withCgroup(CgroupLimits(memory: 1 << 30, processes: 5), in: some) { cgroup in
            #expect(
                cgroup.unenforced == [
                    UnenforcedLimit(.memory, "this machine has no cgroup controller memory mounted")
                ])
            #expect(cgroup.folder(.processes)?.read("pids.max") == "5\n")
        }
    }

    @Test func aHierarchyThatRefusesIsSaid() throws {
        let broken = CgroupHierarchy(
            unified: nil,
            legacy: hierarchy.legacy.filter { $0.controller == .processes } + [.init(.memory, "/proc")])
        try withCgroup(CgroupLimits(memory: 1 << 30, processes: 5), in: broken) { cgroup in
            #expect(cgroup.unenforced.map(\.limit) == [.memory])
            #expect(cgroup.unenforced.first?.reason.contains("/proc/mis/mis-") == true)
        }
    }
}
