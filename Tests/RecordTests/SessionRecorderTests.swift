import Foundation
import JSONText
import LinuxSystem
import Testing

@testable import Record

@Suite struct SessionRecorderTests {
    private func lines(_ folder: TestFolder, _ name: String) throws -> [JSONValue] {
        let bytes = try folder.read("s1/" + name)
        #expect(bytes.isEmpty || bytes.last == UInt8(ascii: "\n"))
        return try bytes.split(separator: UInt8(ascii: "\n")).map { try JSONReader.read(Array($0)) }
    }

    private func manifest(_ folder: TestFolder) throws -> JSONValue {
        try JSONReader.read(folder.read("s1/manifest.json"))
    }

    @Test func aSessionIsKept() throws {
        let folder = try TestFolder()
        let recorder = try Sample.recorder(in: folder)
        // At the start there is a manifest and nothing else.
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/s1") == ["manifest.json"])
        #expect(try manifest(folder)["state"]?.string == "running")
        recorder.append(.execution) { $0.member("event", "one") }
        recorder.append(.execution) { _ in }
        recorder.append(.outcome, .alert) { $0.member("event", "done") }
        #expect(recorder.drainOnce())
        #expect(!recorder.drainOnce())
        let summary = recorder.finish()
        #expect(summary.isSealed)
        #expect(summary.lost == 0)

        let execution = try lines(folder, "execution.jsonl")
        #expect(execution.map { $0["seq"]?.int64 } == [0, 1])
        #expect(execution[0]["event"]?.string == "one")
        #expect(execution[0]["prev"]?.string == digest("s1/execution".utf8))
        let raw = try folder.read("s1/execution.jsonl").split(separator: UInt8(ascii: "\n"))
        #expect(execution[1]["prev"]?.string == digest(raw[0]))
        #expect(execution[0]["time"]?.string?.count == 27)
        let stamps = execution.compactMap { $0["mono_ns"]?.uint64 }
        #expect(stamps.count == 2 && stamps[0] <= stamps[1])

        // A stream without lines is there all the same.
        #expect(try folder.read("s1/reasoning.jsonl").isEmpty)
        let ended = try manifest(folder)
        #expect(ended["state"]?.string == "ended")
        #expect(ended["format"]?.int64 == 1)
        #expect(ended["session"]?.string == "s1")
        #expect(ended["command"] == .array([.string("/bin/true")]))
        #expect(ended["streams"]?["execution"]?["count"]?.int64 == 2)
        #expect(ended["streams"]?["execution"]?["head"]?.string == digest(raw[1]))
        #expect(ended["streams"]?["execution"]?["bytes"]?.int64 == Int64(raw[0].count + raw[1].count + 2))
        #expect(ended["streams"]?["reasoning"]?["count"]?.int64 == 0)
        #expect(ended["seal"]?.string == summary.seal)
        for name in ["manifest.json", "execution.jsonl", "reasoning.jsonl", "outcome.jsonl"] {
            let mode = try FileManager.default.attributesOfItem(atPath: folder.path + "/s1/" + name)[.posixPermissions]
            #expect(mode as? Int == 0o600, "\(name)")
        }
        #expect(try SessionVerifier.verify(summary.path).isIntact)
    }

    /// Attack C211: no secret of the command line or the environment reaches the disk.
    @Test func secretsAreNotKept() throws {
        let folder = try TestFolder()
        let description = SessionDescription(
            version: "0", command: ["curl", "-H", "Authorization: Bearer hunter2"].map { Array($0.utf8) },
            environment: ["API_KEY=hunter2", "LANG=C"].map { Array($0.utf8) }, profile: "p", tier: "t")
        let identifier = try #require(SessionIdentifier("s1"))
        let recorder = try SessionRecorder.start(
            in: SessionFolder.make(identifier, in: folder.path), description)
        for _ in 0..<2 {
            let text = String(decoding: try folder.read("s1/manifest.json"), as: UTF8.self)
            #expect(!text.contains("hunter2"))
            let manifest = try manifest(folder)
            #expect(manifest["command"]?.array?.last?.string == "Authorization: ***")
            #expect(manifest["environment"] == .array([.string("API_KEY=***"), .string("LANG=C")]))
            _ = recorder.finish()
        }
    }

    /// Attack C191: whatever is in a name, there is one line of valid JSON that gives the name back.
    @Test func hostileNamesStayOneLine() throws {
        let folder = try TestFolder()
        let recorder = try Sample.recorder(in: folder)
        let names: [[UInt8]] = [
            Array("a\nb".utf8), Array("\"},{\"seq\":0".utf8), [0], [0xFF, 0xFE, 0x2F], Array("\r\u{1B}[2J".utf8),
            [UInt8](repeating: UInt8(ascii: "x"), count: 4096), [UInt8](repeating: 0xC3, count: 4096),
            Array("\u{2028}\u{85}".utf8), Array("\\".utf8), [],
        ]
        for name in names { recorder.append(.execution) { $0.member("path", bytes: name) } }
        _ = recorder.finish()
        let read = try lines(folder, "execution.jsonl")
        #expect(read.count == names.count)
        for (line, name) in zip(read, names) {
            let whole = unhex(line["path_hex"]?.string)
            #expect((whole ?? Array((line["path"]?.string ?? "?").utf8)) == name)
        }
        #expect(try SessionVerifier.verify(folder.path + "/s1").isIntact)
    }

    @Test func aFullQueueLosesTracesFirstAndCountsThem() throws {
        let folder = try TestFolder()
        let troubles = TroubleLog()
        var limits = SessionRecorder.Limits()
        limits.queue = 64 << 10
        let recorder = try Sample.recorder(in: folder, limits: limits, onTrouble: troubles.add)
        // Nobody drains: a flood of traces and of reasoning, then an alert.
        var refused: UInt64 = 0
        for number in 0..<5000 {
            if !recorder.append(.execution, .trace, { $0.member("n", number) }) { refused += 1 }
            if !recorder.append(.reasoning, .ordinary, { $0.member("n", number) }) { refused += 1 }
        }
        #expect(refused > 5000)
        #expect(recorder.lost == refused)
        var alerts = 0
        while recorder.append(.execution, .alert, { $0.member("event", "denied") }) { alerts += 1 }
        // A quarter of the queue is theirs.
        #expect(alerts * 100 > 16 << 10)
        recorder.drainOnce()
        // There is room again, and the next line says how many are missing before it.
        #expect(recorder.append(.execution, .trace) { $0.member("n", -1) })
        let summary = recorder.finish()
        #expect(summary.lost == refused + 1)
        #expect(troubles.all.count == 1)
        let execution = try lines(folder, "execution.jsonl")
        let lost = execution.compactMap { $0["lost_before"]?.uint64 }.reduce(0, +)
        #expect(lost == summary.streams[0].lostToQueue)
        #expect(execution.count { $0["event"]?.string == "denied" } == alerts)
        #expect(execution.last?["lost_before"]?.uint64 == 1)
        #expect(try SessionVerifier.verify(summary.path).isIntact)
    }

    @Test func theDiskLimitHoldsAndAlertsKeepTheirShare() throws {
        let folder = try TestFolder()
        let troubles = TroubleLog()
        var limits = SessionRecorder.Limits()
        limits.disk = 512 << 10
        let recorder = try Sample.recorder(in: folder, limits: limits, onTrouble: troubles.add)
        for number in 0..<5000 {
            recorder.append(.execution, .trace) { $0.member("n", number) }
            if number.isMultiple(of: 500) { recorder.drainOnce() }
        }
        recorder.drainOnce()
        for _ in 0..<100 { recorder.append(.execution, .alert) { $0.member("event", "denied") } }
        for _ in 0..<100 { recorder.append(.outcome, .alert) { $0.member("event", "done") } }
        let summary = recorder.finish()
        let kept = try FileManager.default.subpathsOfDirectory(atPath: summary.path).reduce(0) {
            $0 + (try folder.read("s1/" + $1).count)
        }
        #expect(kept <= 512 << 10)
        #expect(kept > 256 << 10)
        #expect(summary.streams[0].lostToLimit > 0)
        #expect(summary.streams[0].lines + summary.streams[0].lostToLimit == 5100)
        #expect(summary.streams[2].lost == 0)
        #expect(try lines(folder, "execution.jsonl").count { $0["event"]?.string == "denied" } == 100)
        #expect(troubles.all == [.limit(512 << 10)])
        #expect(try SessionVerifier.verify(summary.path).isIntact)
    }

    @Test func oversizedAndUnfinishedLinesAreRefused() throws {
        let folder = try TestFolder()
        var limits = SessionRecorder.Limits()
        limits.line = 1000
        let recorder = try Sample.recorder(in: folder, limits: limits)
        #expect(!recorder.append(.execution) { $0.member("x", String(repeating: "x", count: 1000)) })
        // A name without its value.
        #expect(!recorder.append(.execution) { $0.key("x") })
        #expect(recorder.append(.execution) { $0.member("x", String(repeating: "x", count: 900)) })
        let summary = recorder.finish()
        #expect(summary.lost == 2)
        #expect(try lines(folder, "execution.jsonl").first?["lost_before"]?.int64 == 2)
        // After the end nothing is taken, and it does not hurt.
        #expect(!recorder.append(.execution) { _ in })
    }

    @Test func threadsMayAppendWhileOneDrains() async throws {
        let folder = try TestFolder()
        var limits = SessionRecorder.Limits()
        limits.queue = 64 << 20
        let recorder = try Sample.recorder(in: folder, limits: limits)
        let writer = Thread { recorder.run() }
        writer.start()
        await withTaskGroup(of: Void.self) { group in
            for producer in 0..<4 {
                group.addTask {
                    for number in 0..<5000 {
                        recorder.append(number.isMultiple(of: 2) ? .execution : .outcome) {
                            $0.member("producer", producer)
                            $0.member("number", number)
                        }
                    }
                }
            }
        }
        recorder.requestStop()
        while !writer.isFinished { try await Task.sleep(for: .milliseconds(1)) }
        let summary = recorder.finish()
        #expect(summary.lost == 0)
        #expect(summary.streams.map(\.lines) == [10_000, 0, 10_000])
        #expect(try SessionVerifier.verify(summary.path).isIntact)
        // Each producer's lines stand in its own order.
        let read = try lines(folder, "execution.jsonl")
        for producer in 0..<4 {
            let numbers = read.filter { $0["producer"]?.int64 == Int64(producer) }.compactMap { $0["number"]?.int64 }
            #expect(numbers == numbers.sorted())
            #expect(numbers.count == 2500)
        }
    }

    /// A sleeping writer is woken by the first line, and lines reach the disk without anybody asking.
    @Test func theWriterWakesByItself() async throws {
        let folder = try TestFolder()
        let recorder = try Sample.recorder(in: folder)
        let writer = Thread { recorder.run() }
        writer.start()
        for round in 1...3 {
            try await Task.sleep(for: .milliseconds(60))
            recorder.append(.execution) { $0.member("round", round) }
            var count = 0
            for _ in 0..<500 where count < round {
                try await Task.sleep(for: .milliseconds(5))
                count = (try? lines(folder, "execution.jsonl").count) ?? 0
            }
            #expect(count == round)
        }
        recorder.requestStop()
        while !writer.isFinished { try await Task.sleep(for: .milliseconds(1)) }
        _ = recorder.finish()
    }
}

@Suite struct ReasoningLinesTests {
    private func cut(_ pieces: [[UInt8]]) -> [String] {
        var lines = ReasoningLines()
        var found: [String] = []
        let note = { (bytes: [UInt8], continues: Bool) in
            found.append(String(decoding: bytes, as: UTF8.self) + (continues ? "+" : ""))
        }
        for piece in pieces { lines.feed(piece.span, note) }
        lines.finish(note)
        return found
    }

    @Test func linesAreCut() {
        #expect(cut([Array("one\ntw".utf8), Array("o\n\nthree".utf8)]) == ["one", "two", "", "three"])
        #expect(cut([]) == [])
    }

    @Test func overlongLinesAreHandedOnInPieces() {
        let long = String(repeating: "é", count: ReasoningLines.limit)
        let found = cut([[0x61], Array(long.utf8)])
        #expect(found.count == 3)
        #expect(found.allSatisfy { !$0.contains("\u{FFFD}") })
        #expect(found.map { $0.replacingOccurrences(of: "+", with: "") }.joined() == "a" + long)
        #expect(found.map { $0.hasSuffix("+") } == [true, true, false])
    }
}
