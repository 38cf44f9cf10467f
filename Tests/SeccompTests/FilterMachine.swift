import Seccomp

/// What the kernel gives a seccomp filter: `struct seccomp_data` (linux/seccomp.h).
struct CallData {
    var number: UInt32
    var architecture: UInt32 = FilterMachine.nativeArchitecture
    var arguments: [UInt64] = [0, 0, 0, 0, 0, 0]

    /// The little-endian word at a byte offset; `nil` where the kernel would refuse the filter.
    func word(at offset: UInt32) -> UInt32? {
        switch offset {
        case 0: number
        case 4: architecture
        case 8, 12: 0
        case 16..<64 where offset % 8 == 0: UInt32(truncatingIfNeeded: arguments[Int(offset - 16) / 8])
        case 16..<64 where offset % 4 == 0: UInt32(truncatingIfNeeded: arguments[Int(offset - 16) / 8] >> 32)
        default: nil
        }
    }
}

/// A classic BPF interpreter, written from the manual (bpf(4)) and not from the compiler under test, that remembers
/// which instructions ran and which ways were taken.
struct FilterMachine {
    #if arch(x86_64)
        static let nativeArchitecture: UInt32 = 0xC000_003E
    #elseif arch(arm64)
        static let nativeArchitecture: UInt32 = 0xC000_00B7
    #endif

    struct Fault: Error { let what: String }

    let program: [BPFInstruction]
    private(set) var ran: [Bool]
    private(set) var held: [Bool]
    private(set) var failed: [Bool]
    /// Instructions of the last run.
    private(set) var steps = 0

    init(_ program: [BPFInstruction]) {
        self.program = program
        ran = Array(repeating: false, count: program.count)
        held = ran
        failed = ran
    }

    mutating func run(_ data: CallData) throws -> UInt32 {
        var accumulator: UInt32 = 0
        var counter = 0
        steps = 0
        while counter < program.count {
            let item = program[counter]
            ran[counter] = true
            steps += 1
            let condition: Bool
            switch item.code {
            case 0x20:
                guard let word = data.word(at: item.k) else { throw Fault(what: "load of \(item.k)") }
                accumulator = word
                counter += 1
                continue
            case 0x54:
                accumulator &= item.k
                counter += 1
                continue
            case 0x05:
                counter += 1 + Int(item.k)
                continue
            case 0x06: return item.k
            case 0x15: condition = accumulator == item.k
            case 0x25: condition = accumulator > item.k
            case 0x35: condition = accumulator >= item.k
            case 0x45: condition = accumulator & item.k != 0
            default: throw Fault(what: "code \(item.code) at \(counter)")
            }
            if condition { held[counter] = true } else { failed[counter] = true }
            counter += 1 + Int(condition ? item.jt : item.jf)
        }
        throw Fault(what: "ran past the end")
    }

    /// What no run has reached: instructions, and ways of conditional jumps.
    var unreached: [String] {
        program.indices.flatMap { at -> [String] in
            if !ran[at] { return ["\(at): never ran"] }
            guard [0x15, 0x25, 0x35, 0x45].contains(program[at].code) else { return [] }
            return (held[at] ? [] : ["\(at): never held"]) + (failed[at] ? [] : ["\(at): always held"])
        }
    }
}
