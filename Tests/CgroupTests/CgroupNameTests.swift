import Testing

@testable import Cgroup

@Suite struct CgroupNameTests {
    @Test func aNameIsReadBack() throws {
        let name = CgroupName.new()
        #expect(CgroupName("\(name)") == name)
        #expect(CgroupName("mis-17-99") == CgroupName(launcher: 17, made: 99))
        #expect(CgroupName.new() != CgroupName(launcher: name.launcher, made: name.made + 1_000_000_000))
    }

    @Test(arguments: [
        "", "mis", "mis-", "mis-1", "mis-1-", "mis--1-2", "mis-0-2", "mis-1-2-3", "mis-1-2 ", "mis-01-2", "mis-1-+2",
        "Mis-1-2", "xmis-1-2", "mis-1-x", "mis-99999999999-1", "mis-1-99999999999999999999999", "mis-1-2/..",
    ])
    func anythingElseIsNotOurs(text: String) {
        #expect(CgroupName(text) == nil)
    }
}

@Suite struct ScaleTests {
    @Test func weightsKeepTheirMeaning() {
        // The default is the default on every scale, and the ends meet.
        #expect(Scale.shares(100) == 1024)
        #expect(Scale.shares(1) == 10)
        #expect(Scale.shares(10_000) == 102_400)
        #expect(Scale.bfqWeight(100) == 100)
        #expect(Scale.bfqWeight(1) == 1)
        #expect(Scale.bfqWeight(10_000) == 1000)
        #expect(Scale.bfqWeight(5050) == 550)
    }

    @Test func aNeutralWeightAsksForNothing() {
        #expect(CgroupLimits(ioWeight: 100).names.isEmpty)
        #expect(CgroupLimits(ioWeight: 99).names == [.ioWeight])
        #expect(CgroupLimits(memory: 1, cpuPercent: 2).unenforced(because: "x").map(\.limit) == [.memory, .cpu])
    }
}

@Suite struct CgroupFileTests {
    @Test func numbersAndKeysAreRead() {
        #expect(CgroupFile.number("123\n") == 123)
        #expect(CgroupFile.number("max\n") == nil)
        #expect(CgroupFile.number("") == nil)
        let events = "low 0\nhigh 7\nmax 12\noom 2\noom_kill 1\noom_group_kill 1\n"
        #expect(CgroupFile.value(of: "max", in: events) == 12)
        #expect(CgroupFile.value(of: "oom_kill", in: events) == 1)
        #expect(CgroupFile.value(of: "oom_k", in: events) == nil)
    }
}
