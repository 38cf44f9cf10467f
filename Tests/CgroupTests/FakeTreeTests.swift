import Foundation
import LinuxSystem
import Testing

@testable import Cgroup

/// The cgroup v2 code against a folder that plays the kernel: control files are put in where the kernel would.
@Suite struct FakeTreeTests {
    /// A tree in the temporary folder. `controllers`: what the root offers; `files`: what a sandbox's folder gets.
    private final class Tree {
        let root = FileManager.default.temporaryDirectory.path + "/tree-\(UUID().uuidString)"
        let files: [String]

        init(controllers: String = "cpu io memory pids", files: [String]) throws {
            self.files = files
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
            try Data(controllers.utf8).write(to: URL(filePath: root + "/cgroup.controllers"))
            try Data().write(to: URL(filePath: root + "/cgroup.subtree_control"))
        }

        deinit { try? FileManager.default.removeItem(atPath: root) }

        func populate(_ path: String) {
            var contents = Dictionary(uniqueKeysWithValues: files.map { ($0, "") })
            if path.hasSuffix("/mis") {
                contents = ["cgroup.controllers": text("cgroup.controllers") ?? "", "cgroup.subtree_control": ""]
            }
            for (name, text) in contents { try? Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)")) }
        }

        func create(_ limits: CgroupLimits, weightProblem: String? = nil) throws -> SandboxCgroup {
            try SandboxCgroup.create(
                name: CgroupName(launcher: 4, made: 5), limits: limits, in: CgroupHierarchy(unified: root),
                weightProblem: { weightProblem }, populate: populate)
        }

        func text(_ file: String) -> String? { try? String(contentsOfFile: "\(root)/\(file)", encoding: .utf8) }
        func set(_ file: String, _ text: String) throws {
            try Data(text.utf8).write(to: URL(filePath: "\(root)/mis/mis-4-5/\(file)"))
        }
    }

    private let everything = [
        "memory.max", "memory.high", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight", "pids.max",
        "io.weight", "io.bfq.weight", "cgroup.kill", "cgroup.freeze", "cgroup.procs",
    ]
    private let limits = CgroupLimits(
        memory: 2 << 30, memoryHigh: 1800 << 20, cpuPercent: 150, cpuWeight: 50, processes: 512, ioWeight: 10_000)

    @Test func limitsAreWritten() throws {
        let tree = try Tree(files: everything)
        let cgroup = try tree.create(limits)
        #expect(cgroup.unenforced.isEmpty)
        #expect(cgroup.approximated.isEmpty)
        let written = [
            "memory.max": "2147483648", "memory.high": "1887436800", "memory.swap.max": "0", "memory.oom.group": "1",
            "cpu.max": "150000 100000", "cpu.weight": "50", "pids.max": "512", "io.weight": "10000",
            "io.bfq.weight": "1000",
        ]
        for (file, text) in written { #expect(tree.text("mis/mis-4-5/\(file)") == text, "\(file)") }
        #expect(cgroup.joins.isEmpty)
        #expect(cgroup.pathsToRemove == ["\(tree.root)/mis/mis-4-5"])
        // Nothing was missing, so nothing was handed down.
        #expect(tree.text("cgroup.subtree_control") == "")
    }

    @Test func theFolderCanBeEnteredByCloneAndKilled() throws {
        let tree = try Tree(files: everything)
        let cgroup = try tree.create(CgroupLimits())
        let folder = try #require(cgroup.cloneInto)
        #expect(try readLink("/proc/self/fd/\(folder)") == "\(tree.root)/mis/mis-4-5")
        #expect(fcntl(folder, F_GETFD) & FD_CLOEXEC != 0)
        #expect(cgroup.killFile != nil)
        try cgroup.kill()
        #expect(tree.text("mis/mis-4-5/cgroup.kill") == "1")
        try cgroup.freeze()
        #expect(tree.text("mis/mis-4-5/cgroup.freeze") == "1")
        try tree.set("cgroup.events", "populated 1\nfrozen 1\n")
        #expect(cgroup.isFrozen)
    }

    @Test func aMissingControllerIsSaidNotSwallowed() throws {
        let tree = try Tree(controllers: "cpu hugetlb\n", files: ["cpu.max"])
        let cgroup = try tree.create(CgroupLimits(memory: 1 << 30, cpuPercent: 80, processes: 9))
        #expect(cgroup.unenforced.map(\.limit) == [.memory, .processes])
        #expect(
            cgroup.unenforced.first?.reason
                == "the memory controller is not available in \(tree.root) (cgroup.controllers: cpu hugetlb)")
        #expect(tree.text("mis/mis-4-5/cpu.max") == "80000 100000")
    }

    @Test func aControllerIsHandedDownWhenItsFilesAreMissing() throws {
        let tree = try Tree(files: [])
        let cgroup = try tree.create(CgroupLimits(processes: 9))
        #expect(tree.text("cgroup.subtree_control") == "+pids")
        #expect(tree.text("mis/cgroup.subtree_control") == "+pids")
        // A folder does not grow files as the kernel does: the limit is still missing, and that is said.
        #expect(cgroup.unenforced.map(\.limit) == [.processes])
        #expect(cgroup.unenforced.first?.reason.contains("ENOENT") == true)
    }

    @Test func halvesOfALimitAreSaid() throws {
        let tree = try Tree(files: ["memory.max"])
        let cgroup = try tree.create(CgroupLimits(memory: 1 << 30))
        #expect(cgroup.unenforced.isEmpty)
        #expect(cgroup.approximated.count == 2)
        #expect(cgroup.approximated.allSatisfy { $0.limit == .memory })
    }

    @Test func aWeightNobodyHeedsIsUnenforced() throws {
        let tree = try Tree(files: everything)
        let cgroup = try tree.create(CgroupLimits(cpuWeight: 7, ioWeight: 50), weightProblem: "nobody heeds it")
        #expect(cgroup.unenforced == [UnenforcedLimit(.ioWeight, "nobody heeds it")])
        #expect(tree.text("mis/mis-4-5/io.weight") == "")
        #expect(tree.text("mis/mis-4-5/cpu.weight") == "7")
        #expect(cgroup.unenforced.first?.description == "limit io_weight: nobody heeds it")
    }

    @Test func countersAreRead() throws {
        let tree = try Tree(files: everything)
        let cgroup = try tree.create(limits)
        #expect(cgroup.usage() == CgroupUsage())
        try tree.set("cpu.stat", "usage_usec 1234\nuser_usec 1000\nnr_periods 9\nnr_throttled 3\nthrottled_usec 77\n")
        try tree.set("memory.current", "4096\n")
        try tree.set("memory.peak", "8192\n")
        try tree.set("memory.events", "low 0\nhigh 0\nmax 5\noom 1\noom_kill 4\n")
        try tree.set("pids.current", "2\n")
        try tree.set("pids.peak", "11\n")
        try tree.set("pids.events", "max 6\n")
        var wanted = CgroupUsage()
        wanted.cpuMicroseconds = 1234
        wanted.throttledPeriods = 3
        wanted.throttledMicroseconds = 77
        wanted.memory = 4096
        wanted.memoryPeak = 8192
        wanted.memoryLimitHits = 5
        wanted.outOfMemoryKills = 4
        wanted.processes = 2
        wanted.processesPeak = 11
        wanted.processLimitHits = 6
        #expect(cgroup.usage() == wanted)
        #expect(cgroup.processorTime() == 1234)
        #expect(cgroup.memoryInUse() == 4096)
    }

    @Test func withoutAnyTreeNothingIsMade() {
        #expect(throws: SystemError.self) {
            try SandboxCgroup.create(limits: CgroupLimits(), in: CgroupHierarchy(unified: nil))
        }
        let error = #expect(throws: SystemError.self) {
            try SandboxCgroup.create(limits: CgroupLimits(), in: CgroupHierarchy(unified: "/proc"))
        }
        #expect(error?.object.hasPrefix("/proc/mis/mis-") == true)
    }
}

@Suite struct IOWeightTests {
    @Test func someoneMustHeedTheWeight() throws {
        let root = FileManager.default.temporaryDirectory.path + "/disks-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        let cost = root + "/cost"
        for (disk, scheduler) in [("a", "[none] mq-deadline bfq\n"), ("b", "none [mq-deadline] bfq\n")] {
            try FileManager.default.createDirectory(
                atPath: "\(root)/disks/\(disk)/queue", withIntermediateDirectories: true)
            try Data(scheduler.utf8).write(to: URL(filePath: "\(root)/disks/\(disk)/queue/scheduler"))
        }
        #expect(IOWeight.problem(disks: root + "/disks", cost: cost) != nil)
        try Data("8:0 enable=0 ctrl=auto\n".utf8).write(to: URL(filePath: cost))
        #expect(IOWeight.problem(disks: root + "/disks", cost: cost) != nil)
        try Data("8:0 enable=1 ctrl=auto\n".utf8).write(to: URL(filePath: cost))
        #expect(IOWeight.problem(disks: root + "/disks", cost: cost) == nil)
        try Data("none mq-deadline [bfq]\n".utf8).write(to: URL(filePath: root + "/disks/b/queue/scheduler"))
        #expect(IOWeight.problem(disks: root + "/disks", cost: "/nowhere") == nil)
    }
}
