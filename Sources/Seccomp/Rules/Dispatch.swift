/// What a program that looks at the number and the architecture only says to every number.
struct Dispatch {
    private let program: [BPFInstruction]
    private let architecture: UInt32

    init(program: [BPFInstruction], architecture: UInt32) {
        self.program = program
        self.architecture = architecture
    }

    /// First number and answer of each run of numbers that are answered alike, from 0 up.
    ///
    /// Answers can only change at a constant the program compares with, or right after it; so asking there tells all.
    func intervals() throws(SeccompError) -> [(start: UInt32, answer: UInt32)] {
        var bounds: Set<UInt32> = [0]
        for instruction in program where instruction.code & 0x07 == BPF.jump {
            bounds.insert(instruction.k)
            bounds.insert(instruction.k &+ 1)
        }
        var intervals: [(start: UInt32, answer: UInt32)] = []
        for start in bounds.sorted() {
            let answer = try answer(to: start, architecture)
            if intervals.last?.answer != answer { intervals.append((start, answer)) }
        }
        return intervals
    }

    /// The answer to a number of this or another architecture.
    func answer(to number: UInt32, _ architecture: UInt32) throws(SeccompError) -> UInt32 {
        var accumulator: UInt32 = 0
        var position = 0
        while position < program.count {
            let instruction = program[position]
            position += 1
            let holds: Bool
            switch instruction.code {
            case BPF.load where instruction.k == BPF.number:
                accumulator = number
                continue
            case BPF.load where instruction.k == BPF.architecture:
                accumulator = architecture
                continue
            case BPF.jump:
                position += Int(instruction.k)
                continue
            case BPF.answer: return instruction.k
            case BPF.jumpEqual: holds = accumulator == instruction.k
            case BPF.jumpGreater: holds = accumulator > instruction.k
            case BPF.jumpGreaterOrEqual: holds = accumulator >= instruction.k
            default: throw .unexpectedProgram("code \(instruction.code) at \(position - 1)")
            }
            position += Int(holds ? instruction.jt : instruction.jf)
        }
        throw .unexpectedProgram("runs past its end")
    }
}
