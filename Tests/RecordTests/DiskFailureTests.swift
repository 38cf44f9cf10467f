import Foundation
import JSONText
import LinuxSystem
import Synchronization
import Testing

@testable import Record

/// A disk that does as it is told.
private final class Disk: Sendable {
    /// Bytes it still takes; nil is all of them.
    let room = Mutex<Int?>(nil)
    /// What it answers when there is no room.
    let answer = Mutex(ENOSPC)
    /// The most it takes in one call.
    let piece = Mutex(Int.max)
    let calls = Mutex(0)

    var write: PositionedWrite {
        { (bytes, file, offset) throws(Errno) in
            self.calls.withLock { $0 += 1 }
            let most = min(bytes.count, self.piece.withLock { $0 }, self.room.withLock { $0 } ?? Int.max)
            guard most > 0 else { throw Errno(self.answer.withLock { $0 }) }
            let count = try RecordIO.write(bytes.prefix(most), to: file, at: offset)
            self.room.withLock { room in room = room.map { $0 - count } }
            return count
        }
    }
}

/// Of this process and from now on, bytes.
private func limitFileSize(_ size: rlim_t) {
    var limit = rlimit(rlim_cur: size, rlim_max: .max)
    let answer = unsafe setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    #expect(answer == 0)
}

@Suite struct DiskFailureTests {
    private func wholeLines(_ folder: TestFolder, _ name: String = "s1/execution.jsonl") throws -> Int {
        let bytes = try folder.read(name)
        #expect(bytes.isEmpty || bytes.last == UInt8(ascii: "\n"), "half a line is left")
        for line in bytes.split(separator: UInt8(ascii: "\n")) { _ = try JSONReader.read(Array(line)) }
        return bytes.count { $0 == UInt8(ascii: "\n") }
    }

    @Test func aRecordThatCannotBeginLeavesNothingBehind() throws {
        let folder = try TestFolder()
        let disk = Disk()
        disk.room.withLock { $0 = 100 }
        do {
            _ = try Sample.recorder(in: folder, write: disk.write)
            Issue.record("the record began without room")
        } catch let error as RecordError {
            #expect(error.errno == Errno(ENOSPC))
            #expect(error.object == folder.path + "/s1/manifest.json")
        }
        #expect(folder.names == [])
        disk.room.withLock { $0 = nil }
        _ = try Sample.recorder(in: folder, write: disk.write)
        #expect(folder.names == ["s1"])
    }

    @Test func shortWritesAreContinued() throws {
        let folder = try TestFolder()
        let disk = Disk()
        disk.piece.withLock { $0 = 7 }
        let recorder = try Sample.recorder(in: folder, write: disk.write)
        for number in 0..<50 { recorder.append(.execution) { $0.member("n", number) } }
        let summary = recorder.finish()
        #expect(summary.isSealed && summary.lost == 0)
        #expect(try wholeLines(folder) == 50)
        #expect(try SessionVerifier.verify(summary.path).isIntact)
    }

    /// Wherever the disk fills up: never half a line, one report, and everything is there once there is room again.
    @Test(arguments: [1, 100, 174, 175, 176, 500, 1000, 1749, 1751, 4000], [ENOSPC, EIO, EROFS, EDQUOT])
    func aFullDiskIsRetried(room: Int, answer: Int32) throws {
        let folder = try TestFolder()
        let disk = Disk()
        let troubles = TroubleLog()
        let recorder = try Sample.recorder(in: folder, onTrouble: troubles.add, write: disk.write)
        disk.answer.withLock { $0 = answer }
        disk.room.withLock { $0 = room }
        for number in 0..<50 { recorder.append(.execution, .alert) { $0.member("n", number) } }
        recorder.drainOnce()
        let kept = try wholeLines(folder)
        #expect(kept < 50 && kept <= room / 150)
        #expect(troubles.all.count == 1)
        if case .disk(let error)? = troubles.all.first {
            #expect(error.errno == Errno(answer))
            #expect(error.object.hasSuffix("s1/execution.jsonl"))
        }
        // Left alone for a while: no call is made at once.
        let calls = disk.calls.withLock { $0 }
        recorder.append(.execution, .alert) { $0.member("n", 50) }
        recorder.drainOnce()
        #expect(disk.calls.withLock { $0 } == calls)
        disk.room.withLock { $0 = nil }
        let summary = recorder.finish()
        #expect(summary.lost == 0)
        #expect(summary.streams[0].lines == 51)
        #expect(try wholeLines(folder) == 51)
        #expect(troubles.all.count == 1)
        #expect(try SessionVerifier.verify(summary.path).isIntact)
    }

    @Test func aDiskThatStaysFullIsCountedAndTheRecordEndsCleanly() throws {
        let folder = try TestFolder()
        let disk = Disk()
        let recorder = try Sample.recorder(in: folder, write: disk.write)
        recorder.append(.execution) { $0.member("n", 0) }
        recorder.drainOnce()
        disk.room.withLock { $0 = 1000 }
        for number in 1..<50 { recorder.append(.execution) { $0.member("n", number) } }
        recorder.append(.outcome, .alert) { $0.member("event", "done") }
        let summary = recorder.finish()
        #expect(!summary.isSealed)
        let kept = try wholeLines(folder)
        #expect(kept > 1 && kept < 10)
        #expect(summary.streams[0].lines == UInt64(kept))
        #expect(summary.streams[0].lostToErrors == UInt64(50 - kept))
        #expect(summary.streams[2].lostToErrors == 1)
        // The first manifest still stands, and the verifier says what is wrong with that.
        let result = try SessionVerifier.verify(summary.path)
        #expect(result.problems.map(\.kind) == [.unfinished])
    }

    @Test func withoutRoomForASecondManifestTheFirstIsOverwritten() throws {
        let folder = try TestFolder()
        let recorder = try Sample.recorder(in: folder)
        recorder.append(.execution) { $0.member("n", 0) }
        // Something stands where the temporary file should go: it cannot be made.
        try FileManager.default.createDirectory(
            atPath: folder.path + "/s1/manifest.json.new", withIntermediateDirectories: false)
        let summary = recorder.finish()
        #expect(summary.isSealed)
        #expect(try SessionVerifier.verify(summary.path).isIntact)
    }

    @Test func whileTheDiskRefusesMemoryStaysBounded() throws {
        let folder = try TestFolder()
        let disk = Disk()
        var limits = SessionRecorder.Limits()
        limits.queue = 100_000
        let recorder = try Sample.recorder(in: folder, limits: limits, write: disk.write)
        disk.room.withLock { $0 = 0 }
        var taken = 0
        for number in 0..<20_000 {
            if recorder.append(.execution, .alert, { $0.member("n", number) }) { taken += 1 }
            if number.isMultiple(of: 100) { recorder.drainOnce() }
        }
        #expect(taken * 80 < 3 * 100_000)
        disk.room.withLock { $0 = nil }
        let summary = recorder.finish()
        #expect(summary.streams[0].lines == UInt64(taken))
        #expect(summary.lost == UInt64(20_000 - taken))
        #expect(try SessionVerifier.verify(summary.path).isIntact)
    }

    /// The kernel's own short write and refusal, by RLIMIT_FSIZE in a process of its own.
    @Test func theKernelsRefusalLeavesWholeLines() async {
        await #expect(processExitsWith: .success) {
            signal(SIGXFSZ, SIG_IGN)
            let folder = try TestFolder()
            let troubles = TroubleLog()
            let recorder = try Sample.recorder(in: folder, onTrouble: troubles.add)
            limitFileSize(5000)
            for number in 0..<100 { recorder.append(.execution) { $0.member("n", number) } }
            recorder.drainOnce()
            let bytes = try folder.read("s1/execution.jsonl")
            try #require(bytes.last == UInt8(ascii: "\n") && bytes.count <= 5000 && bytes.count > 4700)
            guard case .disk(let error)? = troubles.all.first else {
                Issue.record("nothing was reported")
                return
            }
            try #require(error.errno == Errno(EFBIG))
            limitFileSize(.max)
            let summary = recorder.finish()
            try #require(summary.lost == 0 && summary.streams[0].lines == 100)
            try #require(SessionVerifier.verify(summary.path).isIntact)
        }
    }
}
