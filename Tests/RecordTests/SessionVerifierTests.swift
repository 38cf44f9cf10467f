import Foundation
import JSONText
import LinuxSystem
import Testing

@testable import Record

@Suite struct SessionVerifierTests {
    private let count = 6
    private let name = "s1/execution.jsonl"

    private func lines(_ folder: TestFolder) throws -> [[UInt8]] {
        try folder.read(name).split(separator: UInt8(ascii: "\n")).map(Array.init)
    }

    private func write(_ lines: [[UInt8]], to folder: TestFolder) throws {
        try folder.write(name, lines.flatMap { $0 + [UInt8(ascii: "\n")] })
    }

    private func verify(_ folder: TestFolder) throws -> [SessionVerifier.Problem] {
        let result = try SessionVerifier.verify(folder.path + "/s1")
        #expect(result.isIntact == result.problems.isEmpty)
        return result.problems
    }

    @Test func intactSessionsAreIntact() throws {
        for lines in [0, 1, 2, 1000] {
            let folder = try TestFolder()
            let result = try SessionVerifier.verify(Sample.session(in: folder, lines: lines))
            #expect(result.isIntact, "\(result.problems)")
            #expect(result.session == "s1")
            #expect(result.lines == [.execution: UInt64(lines), .reasoning: 0, .outcome: UInt64(lines)])
        }
    }

    @Test func anyFlippedBitIsFoundAndNamed() throws {
        let folder = try TestFolder()
        _ = try Sample.session(in: folder, lines: count)
        let bytes = try folder.read(name)
        var line: UInt64 = 1
        for place in bytes.indices {
            let isNewline = bytes[place] == UInt8(ascii: "\n")
            for bit in [UInt8(0x01), 0x04, 0x20, 0x80] {
                var damaged = bytes
                damaged[place] ^= bit
                try folder.write(name, damaged)
                let problems = try verify(folder)
                #expect(problems.allSatisfy { $0.file == "execution.jsonl" })
                #expect(problems.contains { $0.line == line || isNewline }, "byte \(place), bit \(bit): \(problems)")
            }
            if isNewline { line += 1 }
        }
        try folder.write(name, bytes)
        #expect(try verify(folder).isEmpty)
    }

    @Test func aChangedLineAloneIsNamed() throws {
        for line in 0..<count {
            for target in ["\"event\"", "\"time\":\"", "\"prev\":\""] {
                let folder = try TestFolder()
                _ = try Sample.session(in: folder, lines: count)
                var lines = try lines(folder)
                let text = String(decoding: lines[line], as: UTF8.self)
                let range = try #require(text.range(of: target))
                let place = text.utf8.distance(from: text.startIndex, to: range.upperBound) + 2
                lines[line][place] = lines[line][place] == UInt8(ascii: "1") ? UInt8(ascii: "2") : UInt8(ascii: "1")
                try write(lines, to: folder)
                let problems = try verify(folder)
                #expect(problems.map(\.line) == [UInt64(line + 1)], "\(target): \(problems)")
                #expect(problems.map(\.kind) == [.changed])
            }
        }
    }

    @Test func aDeletedLineIsFound() throws {
        for line in 0..<count {
            let folder = try TestFolder()
            _ = try Sample.session(in: folder, lines: count)
            var lines = try lines(folder)
            lines.remove(at: line)
            try write(lines, to: folder)
            let problems = try verify(folder)
            #expect(problems.contains { $0.kind == .cut })
            if line < count - 1 {
                #expect(problems.contains { $0.kind == .sequence && $0.line == UInt64(line + 1) })
            }
        }
    }

    @Test func aCutEndIsFoundWhereverItIsCut() throws {
        let folder = try TestFolder()
        _ = try Sample.session(in: folder, lines: count)
        let bytes = try folder.read(name)
        for length in 0..<bytes.count {
            try folder.write(name, Array(bytes[..<length]))
            #expect(try verify(folder).contains { $0.kind == .cut && $0.file == "execution.jsonl" }, "\(length)")
        }
    }

    @Test func swappedDoubledAndAddedLinesAreFound() throws {
        let folder = try TestFolder()
        _ = try Sample.session(in: folder, lines: count)
        let original = try lines(folder)
        for line in 0..<count - 1 {
            var swapped = original
            swapped.swapAt(line, line + 1)
            try write(swapped, to: folder)
            #expect(try verify(folder).contains { $0.kind == .sequence && $0.line == UInt64(line + 1) })
            try write(Array(original[...line] + original[line...]), to: folder)
            #expect(try verify(folder).contains { $0.kind == .sequence && $0.line == UInt64(line + 2) })
        }
        // A line added behind the end, number and chain as they should be.
        let head = digest(try #require(original.last))
        let added =
            "{\"seq\":\(count),\"time\":\"2026-11-23T12:27:05.123456Z\",\"mono_ns\":1,\"prev\":\"\(head)\",\"event\":1}"
        try write(original + [Array(added.utf8)], to: folder)
        #expect(try verify(folder).map(\.kind) == [.extended])
        try write(original, to: folder)
        #expect(try verify(folder).isEmpty)
    }

    @Test func streamsCannotStandInForEachOther() throws {
        let folder = try TestFolder()
        _ = try Sample.session(in: folder, lines: count)
        let other = try TestFolder()
        let recorder = try Sample.recorder(in: other)
        for number in 0..<count { recorder.append(.execution) { $0.member("event", "open \(number)") } }
        _ = recorder.finish()
        try folder.write(name, other.read(name))
        #expect(try !verify(folder).isEmpty)
        try folder.write(name, folder.read("s1/outcome.jsonl"))
        let problems = try verify(folder)
        #expect(problems.contains { $0.line == 1 && $0.kind == .changed })
    }

    @Test func aChangedManifestIsFound() throws {
        let folder = try TestFolder()
        _ = try Sample.session(in: folder, lines: count)
        let bytes = try folder.read("s1/manifest.json")
        for place in bytes.indices {
            var damaged = bytes
            damaged[place] ^= 0x01
            try folder.write("s1/manifest.json", damaged)
            #expect(try verify(folder).contains { $0.file == "manifest.json" }, "byte \(place)")
        }
        try folder.write("s1/manifest.json", bytes + [0x20])
        #expect(try !verify(folder).isEmpty)
        try folder.write("s1/manifest.json", bytes)
        #expect(try verify(folder).isEmpty)
        try FileManager.default.removeItem(atPath: folder.path + "/s1/manifest.json")
        #expect(try verify(folder).map(\.kind) == [.unreadable])
    }

    @Test func missingAndForeignFilesAreNamed() throws {
        let folder = try TestFolder()
        _ = try Sample.session(in: folder, lines: count)
        let bytes = try folder.read(name)
        let path = folder.path + "/" + name
        try FileManager.default.removeItem(atPath: path)
        #expect(try verify(folder).map(\.kind) == [.unreadable])
        // A symbolic link to the very same bytes is not the file; a FIFO does not make us wait.
        try folder.write("elsewhere", bytes)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: folder.path + "/elsewhere")
        #expect(try verify(folder).map(\.kind) == [.unreadable])
        try FileManager.default.removeItem(atPath: path)
        let fifo = unsafe mkfifo(path, 0o600)
        #expect(fifo == 0)
        #expect(try verify(folder).map(\.kind) == [.unreadable])
        try FileManager.default.removeItem(atPath: path)
        try folder.write(name, bytes)
        #expect(try verify(folder).isEmpty)
        #expect(throws: RecordError.self) { try SessionVerifier.verify(folder.path + "/none") }
    }

    @Test func aRunThatNeverEndedSaysSo() throws {
        let folder = try TestFolder()
        let recorder = try Sample.recorder(in: folder)
        #expect(try verify(folder).map(\.kind) == [.unfinished])
        for number in 0..<count { recorder.append(.execution) { $0.member("n", number) } }
        recorder.drainOnce()
        // Killed here: what is there is checked all the same.
        #expect(try verify(folder).map(\.kind) == [.unfinished])
        var bytes = try folder.read(name)
        try folder.write(name, Array(bytes.dropLast(3)))
        #expect(try verify(folder).map(\.kind) == [.unfinished, .cut])
        bytes[20] ^= 1
        try folder.write(name, bytes)
        #expect(try verify(folder).map(\.kind) == [.unfinished, .changed])
        withExtendedLifetime(recorder) {}
    }

    /// The verifier reads files anybody may have written.
    @Test func rubbishNeverCrashes() throws {
        let folder = try TestFolder()
        _ = try Sample.session(in: folder, lines: 3)
        let stream = try folder.read(name)
        let manifest = try folder.read("s1/manifest.json")
        var random = SystemRandomNumberGenerator()
        for round in 0..<600 {
            var bytes = round.isMultiple(of: 2) ? stream : manifest
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.removeSubrange(place..<min(place + 9, bytes.count))
                case 2: bytes.insert(contentsOf: Array("99999999999999999999".utf8), at: place)
                default: bytes.insert(0x0A, at: place)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let target = round.isMultiple(of: 2) ? name : "s1/manifest.json"
            let original = round.isMultiple(of: 2) ? stream : manifest
            try folder.write(target, bytes)
            #expect(try verify(folder).isEmpty == (bytes == original))
            try folder.write(target, original)
        }
        // Lines longer than any we write, and more problems than are named.
        try folder.write(name, [UInt8](repeating: 0x78, count: 9 << 20))
        #expect(try verify(folder).contains { $0.kind == .malformed })
        try folder.write(name, [UInt8](repeating: 0x0A, count: 5000))
        #expect(try verify(folder).count <= SessionVerifier.problemLimit + 1)
    }
}
