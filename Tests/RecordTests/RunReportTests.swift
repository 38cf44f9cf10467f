import Foundation
import JSONText
import LinuxSystem
import Testing

@testable import Record

@Suite struct RunExitTests {
    /// The table of exit statuses, number by number.
    @Test func statusesAndReasons() {
        let table: [(RunExit, Int32, String)] = [
            (.killed(.oom), 120, "oom"), (.killed(.policy), 121, "policy"), (.killed(.watchdog), 122, "watchdog"),
            (.killed(.enforcementLost), 123, "enforcement-lost"), (.killed(.timeout), 124, "timeout"),
            (.setup(.failed), 125, "setup"), (.setup(.notExecutable), 126, "setup"), (.setup(.notFound), 127, "setup"),
            (.exited(0), 0, "exited"), (.exited(120), 120, "exited"), (.exited(255), 255, "exited"),
            (.signalled(9), 137, "signalled"), (.signalled(15), 143, "signalled"), (.signalled(64), 192, "signalled"),
        ]
        for (exit, code, reason) in table {
            #expect(exit.code == code)
            #expect(exit.reason.rawValue == reason)
        }
        #expect(RunExit.signalled(9).signal == 9)
        #expect(RunExit.killed(.timeout, signal: 15).signal == 15)
        #expect(RunExit.exited(3).signal == nil)
        #expect(ExitReason.allCases.count == 8)
    }
}

@Suite struct RunReportTests {
    private func report(_ exit: RunExit) -> RunReport {
        RunReport(
            session: "s1", tier: "fanotify", profile: "agent", command: [Array("sh".utf8), Array("--token=x".utf8)],
            exit: exit, durationMilliseconds: 1234)
    }

    @Test func membersAreAsDesigned() throws {
        var report = report(.exited(3))
        report.verdicts.deny = 2
        report.lostEvents = 7
        report.unenforced = ["deny **/.env needs tier fanotify"]
        report.resources.cpuMicroseconds = 5
        var log = DenialLog()
        let time = EventTime(seconds: 0, nanoseconds: 0, monotonic: 0)
        let denial = Denial(
            time: time, operation: "open", object: Array("/h/.ssh/id".utf8), rule: "deny ~/.ssh (default:3)",
            layer: "fanotify", fix: "--ro /h/.ssh/id")
        _ = log.add(denial)
        _ = log.add(denial)
        report.denials = log.entries
        let expected =
            #"{"session":"s1","tier":"fanotify","profile":"agent","command":["sh","--token=***"],"#
            + #""exit":{"code":3,"signal":null,"reason":"exited"},"duration_ms":1234,"#
            + #""verdicts":{"allow":0,"deny":2,"trace":0},"#
            + #""denials":[{"time":"1970-01-01T00:00:00.000000Z","operation":"open","object":"/h/.ssh/id","#
            + #""rule":"deny ~/.ssh (default:3)","layer":"fanotify","fix":"--ro /h/.ssh/id","count":2}],"#
            + #""lost_events":7,"unenforced":["deny **/.env needs tier fanotify"],"level":5,"#
            + #""resources":{"cpu_usec":5,"memory_peak":null,"pids_peak":null},"#
            + #""policy":{"base":null,"hotfix":null,"whitelist":null}}"# + "\n"
        #expect(String(decoding: report.text, as: UTF8.self) == expected)
    }

    @Test func theSetupErrorIsThereOnlyForSetup() throws {
        let error = RunReport.SetupError(
            step: "mount", object: [0xFF], errno: 1, message: "cannot mount", fix: "sysctl x")
        var failed = report(.setup(.failed))
        failed.setupError = error
        let value = try JSONReader.read(failed.text)
        #expect(value["exit"]?["code"]?.int64 == 125)
        #expect(value["setup_error"]?["errno"]?.int64 == 1)
        #expect(value["setup_error"]?["object_hex"]?.string == "ff")
        var fine = report(.exited(0))
        fine.setupError = error
        #expect(try JSONReader.read(fine.text)["setup_error"] == nil)
    }
}

@Suite struct DenialLogTests {
    private func denial(_ object: String, at monotonic: UInt64 = 0, fix: String? = "--ro X") -> Denial {
        Denial(
            time: EventTime(seconds: 0, nanoseconds: 0, monotonic: monotonic), operation: "open",
            object: Array(object.utf8), rule: "deny X", layer: "fanotify", fix: fix)
    }

    @Test func theSameDenialIsCounted() {
        var log = DenialLog()
        for _ in 0..<5 { _ = log.add(denial("/a")) }
        _ = log.add(denial("/b"))
        #expect(log.entries.map(\.count) == [5, 1])
        #expect(log.total == 6)
        var other = denial("/a")
        other.layer = "mount"
        _ = log.add(other)
        #expect(log.entries.count == 3)
    }

    /// Attack C192: a million denials are bounded; the first are recorded in full, the rest counted exactly.
    @Test func aFloodIsCountedExactly() {
        var log = DenialLog(burst: 1000, perSecond: 100)
        var full: UInt64 = 0
        var counted: UInt64 = 0
        for number in 0..<1_000_000 {
            // A minute of them.
            switch log.add(denial("/x", at: UInt64(number) * 60_000)) {
            case .full(let unrecorded):
                full += 1
                counted += unrecorded
            case .counted: break
            }
        }
        #expect(log.total == 1_000_000)
        #expect((6900...7100).contains(full))
        guard case .full(let unrecorded) = log.add(denial("/y", at: 120_000_000_000)) else {
            Issue.record("after a quiet minute a denial is recorded in full again")
            return
        }
        #expect(full + counted + unrecorded == 1_000_000)
    }

    @Test func distinctDenialsAreBounded() {
        var log = DenialLog()
        for number in 0..<10_000 { _ = log.add(denial("/n\(number)")) }
        #expect(log.entries.count == 20)
        #expect(log.others == 9_980)
        #expect(log.entries.first?.denial.object == Array("/n0".utf8))
    }

    @Test func theSummaryNamesPathRuleLayerAndFix() {
        var log = DenialLog()
        #expect(log.summary().isEmpty)
        _ = log.add(denial("/a\u{1B}[2J"))
        _ = log.add(denial("/a\u{1B}[2J"))
        _ = log.add(denial("/b", fix: nil))
        #expect(
            log.summary() == [
                #"denied open /a\x1b[2J (2 times): deny X [fanotify]; to allow it: --ro X"#,
                "denied open /b: deny X [fanotify]",
            ])
        for number in 0..<9 { _ = log.add(denial("/n\(number)")) }
        #expect(log.summary().count == 4)
        #expect(log.summary().last?.hasPrefix("and 8 more denials") == true)
    }
}

@Suite struct ReportDestinationTests {
    private let report = RunReport(
        session: "s1", tier: nil, profile: "p", command: [], exit: .exited(0), durationMilliseconds: 0)

    private func write(_ path: String, confined: String? = nil, before: () throws -> Void = {}) throws {
        let destination = try ReportDestination.open(path, confined: confined)
        try before()
        try destination.write(report)
    }

    @Test func aFileIsReplacedAsAWhole() throws {
        let folder = try TestFolder()
        try write(folder.path + "/new.json")
        #expect(try folder.read("new.json") == report.text)
        try folder.write("old.json", [UInt8](repeating: 0x78, count: 100_000))
        try write(folder.path + "/old.json")
        #expect(try folder.read("old.json") == report.text)
        #expect(folder.names == ["new.json", "old.json"])
    }

    /// Attack C028: what the agent does to names while it runs does not move the report.
    @Test func linksAreNotFollowed() throws {
        let folder = try TestFolder()
        for name in ["/ws", "/ws/out", "/outside"] {
            try FileManager.default.createDirectory(atPath: folder.path + name, withIntermediateDirectories: false)
        }
        try folder.write("outside/report.json", Array("untouched".utf8))
        let link = folder.path + "/ws/link.json"
        try FileManager.default.createSymbolicLink(
            atPath: link, withDestinationPath: folder.path + "/outside/report.json")
        #expect(throws: RecordError.self) { try write(link) }
        // A folder swapped for a link after the start.
        try write(folder.path + "/ws/out/report.json") {
            try FileManager.default.moveItem(atPath: folder.path + "/ws/out", toPath: folder.path + "/ws/moved")
            try FileManager.default.createSymbolicLink(
                atPath: folder.path + "/ws/out", withDestinationPath: folder.path + "/outside")
        }
        #expect(try folder.read("ws/moved/report.json") == report.text)
        // A file swapped for a link after the start: the link is replaced, not followed.
        try write(folder.path + "/ws/late.json") {
            try FileManager.default.createSymbolicLink(
                atPath: folder.path + "/ws/late.json", withDestinationPath: folder.path + "/outside/report.json")
        }
        #expect(try folder.read("ws/late.json") == report.text)
        // And one that stood there before, in the workspace.
        #expect(throws: RecordError.self) {
            try write(folder.path + "/ws/out/report.json", confined: folder.path + "/ws")
        }
        #expect(try folder.read("outside/report.json") == Array("untouched".utf8))
        try write(folder.path + "/ws/moved/again.json", confined: folder.path + "/ws")
        #expect(try folder.read("ws/moved/again.json") == report.text)
    }

    @Test func wrongPlacesAreRefusedAtTheStart() throws {
        let folder = try TestFolder()
        for path in ["/", folder.path, folder.path + "/none/x", "", ".", folder.path + "/", "/dev/fd/4321"] {
            #expect(throws: RecordError.self, "\(path)") { _ = try ReportDestination.open(path) }
        }
    }

    @Test func devicesAndDescriptorsAreWrittenTo() throws {
        let folder = try TestFolder()
        try write("/dev/null")
        let pipe = Pipe()
        try write("/dev/fd/\(pipe.fileHandleForWriting.fileDescriptor)")
        #expect(Array(pipe.fileHandleForReading.availableData) == report.text)
        let path = folder.path + "/fifo"
        let made = unsafe mkfifo(path, 0o600)
        #expect(made == 0)
        #expect(throws: RecordError.self) { try write(path) }
        let reader = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
        try write(path)
        let read = try reader.readAll(limit: 1 << 16)
        #expect(read == report.text)
    }
}
