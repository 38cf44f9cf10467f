import CBpf
import LinuxSystem
import Testing

@testable import Arbiter

/// Decoding of what the kernel writes: the programs themselves are tested in machines (Tests/Kernel).
@Suite struct EventTests {
    private func record(path: [UInt8], parts: UInt8, cut: UInt8 = 0) -> arbiter_event {
        var event = arbiter_event()
        event.version = UInt16(ARBITER_VERSION)
        event.operation = UInt16(ARBITER_OP_RENAME.rawValue)
        event.verdict = UInt8(ARBITER_DENIED.rawValue)
        event.path_parts = parts
        event.path_cut = cut
        unsafe withUnsafeMutableBytes(of: &event.path) { unsafe $0.copyBytes(from: path) }
        return event
    }

    private func path(_ event: arbiter_event) -> String {
        unsafe withUnsafePointer(to: event) { unsafe ArbiterEvent(record: $0).path }
    }

    @Test func pathIsTurnedRound() {
        #expect(path(record(path: Array("k\0secret\0w\0".utf8), parts: 3)) == "/w/secret/k")
    }

    @Test func cutPathSaysSo() {
        #expect(path(record(path: Array("k\0secret\0".utf8), parts: 2, cut: 1)) == "…/secret/k")
    }

    @Test func noPathIsEmpty() {
        #expect(path(record(path: [], parts: 0)) == "")
    }

    @Test func partsBeyondTheRecordStopAtItsEnd() {
        let full = [UInt8](repeating: UInt8(ascii: "a"), count: Int(ARBITER_PATH_BYTES))
        #expect(path(record(path: full, parts: 200)) == "/" + String(repeating: "a", count: Int(ARBITER_PATH_BYTES)))
    }

    @Test func bytesThatAreNoTextDoNotTrap() {
        #expect(path(record(path: [0xff, 0xfe, 0, 0x61, 0], parts: 2)).hasPrefix("/a/"))
    }

    @Test func operationsHaveNames() {
        let event = record(path: [], parts: 0)
        unsafe withUnsafePointer(to: event) { pointer in
            let event = unsafe ArbiterEvent(record: pointer)
            #expect(event.operationName == "rename")
            #expect(event.verdict == .denied)
        }
    }

    @Test func everyOperationOfTheKernelHasAName() {
        var event = record(path: [], parts: 0)
        let last = UInt16(ARBITER_OP_QUOTA.rawValue)
        var unnamed: [UInt16] = []
        for operation in 1...last {
            event.operation = operation
            let name = unsafe withUnsafePointer(to: event) { unsafe ArbiterEvent(record: $0).operationName }
            if name.hasPrefix("operation ") { unnamed.append(operation) }
        }
        // The gaps between the concerns' numbers, and nothing else.
        #expect(unnamed == Array(21...31) + Array(34...47) + Array(53...63) + Array(70...79) + Array(87...95))
    }
}

@Suite struct ObjectNameTests {
    @Test func nameIsStableAndLegalOnBpffs() {
        let name = Pins.objectName(without: "")
        #expect(name.count == 32)
        #expect(name == Pins.objectName(without: ""))
        #expect(!name.contains("."))
    }

    @Test func aSetWithSomethingLeftOutIsAnotherSet() {
        #expect(Pins.objectName(without: "settime") != Pins.objectName(without: ""))
        #expect(!Pins.objectName(without: "a,b").contains(","))
    }
}

@Suite struct OwnerTests {
    @Test func aProcessIsToldByItsStart() throws {
        let start = Arbiter.processStart(UInt32(getpid()))
        let line = try readText("/proc/self/stat")
        let fields = line[(try #require(line.lastIndex(of: ")")))...].split(separator: " ")
        #expect(start == UInt64(fields[20]))
        #expect(start > 0)
    }

    @Test func whoIsNotThereHasNone() {
        // Above every pid there can be.
        #expect(Arbiter.processStart(1 << 30) == 0)
    }
}
