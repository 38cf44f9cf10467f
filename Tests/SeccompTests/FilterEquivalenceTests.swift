import Seccomp
import SeccompRules
import Testing

/// The filters say what the table says, and hold nothing that could go.
@Suite struct FilterEquivalenceTests {
    /// Half a million calls to each finished filter (six million in all) and to one compiled here, biased to
    /// where answers change.
    @Test(arguments: SeccompPolicy.embedded + [SeccompPolicy(nested: true, extra: ["personality", "mbind"])])
    func sameAnswersAsTheTable(policy: SeccompPolicy) throws {
        let filter = try SeccompFilters.filter(for: policy)
        let reader = TableReader(policy)
        var machine = FilterMachine(filter.instructions)
        var random = SplitMix(state: 0x5EED)
        let source = CallSource(filter.instructions)
        var differences: [String] = []
        for _ in 0..<500_000 {
            let call = source.next(&random)
            let (got, wanted) = (try machine.run(call), reader.answer(to: call))
            if got != wanted && differences.count < 5 { differences.append("\(call): \(got), table \(wanted)") }
        }
        #expect(differences == [])
        // Every instruction ran and every comparison went both ways: nothing is shadowed, nothing superfluous.
        #expect(machine.unreached == [])
    }

    /// A wrong instruction anywhere shows as another answer or as a way not taken.
    @Test func aChangedFilterIsNoticed() throws {
        let policy = SeccompPolicy()
        let original = try SeccompFilters.filter(for: policy).instructions
        let reader = TableReader(policy)
        for at in stride(from: 1, to: original.count, by: 7) {
            var changed = original
            changed[at].k ^= 1
            var machine = FilterMachine(changed)
            var random = SplitMix(state: UInt64(at))
            let source = CallSource(original)
            var differs = false
            for _ in 0..<400_000 where !differs {
                let call = source.next(&random)
                differs = (try? machine.run(call)) != reader.answer(to: call)
            }
            #expect(differs, "instruction \(at)")
        }
    }

    @Test(arguments: SeccompPolicy.embedded.indices)
    func theFinishedFilterIsTheCompiledOne(index: Int) throws {
        let policy = SeccompPolicy.embedded[index]
        #expect(policy.embeddedIndex == index)
        #expect(try SeccompFilters.filter(for: policy) == FilterCompiler.compile(policy))
    }

    @Test func instructionsAreLaidOutAsTheKernelReadsThem() {
        #expect(MemoryLayout<BPFInstruction>.stride == 8)
        #expect(MemoryLayout<BPFInstruction>.offset(of: \.jt) == 2)
        #expect(MemoryLayout<BPFInstruction>.offset(of: \.jf) == 3)
        #expect(MemoryLayout<BPFInstruction>.offset(of: \.k) == 4)
    }

    /// Conditional jumps reach 255 instructions; further ones need repeated answers and jumps on the way.
    @Test func farJumpsArrive() throws {
        var graph = FilterGraph()
        let answers = (0..<600).map { graph.answer(UInt32(0x7FFF_0000 + $0 % 3)) }
        // All of a long chain ends, when nothing matches, in a part that looks at an argument.
        let shared = graph.load(16, next: graph.test(0x15, 7, yes: answers[1], no: answers[2]))
        var chain = shared
        for number in (0..<600).reversed() {
            // Every tenth number goes to the shared part as well.
            chain = graph.test(
                0x15, UInt32(number), yes: number % 10 == 9 ? shared : answers[number % 3], no: chain)
        }
        let root = graph.load(0, next: chain)
        var machine = FilterMachine(graph.instructions(from: root))
        for number in 0..<UInt32(700) {
            for first in [UInt64(7), 8] {
                let got = try machine.run(CallData(number: number, arguments: [first, 0, 0, 0, 0, 0]))
                let wanted =
                    number >= 600 || number % 10 == 9
                    ? (first == 7 ? 0x7FFF_0001 : 0x7FFF_0002)
                    : UInt32(0x7FFF_0000 + number % 3)
                #expect(got == wanted, "number \(number)")
            }
        }
        #expect(machine.program.count > 600)
    }
}

/// Sebastiano Vigna's SplitMix64: the same calls in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Calls near the constants a filter compares with, where mistakes would be.
struct CallSource {
    private let numbers: [UInt32]
    /// Calls whose arguments matter, with the values their decisions speak of.
    private let checked: [(number: UInt32, values: [UInt32])]

    init(_ program: [BPFInstruction]) {
        let compared = program.filter { [0x15, 0x25, 0x35].contains($0.code) }.map(\.k)
        numbers = Array(Set(compared.flatMap(Self.around))).sorted()
        checked = SeccompTable.groups.flatMap { group -> [(UInt32, [UInt32])] in
            let values = Set((Self.values(group.decision) + Self.values(group.nested)).flatMap(Self.around)).sorted()
            guard !values.isEmpty else { return [] }
            return group.names.compactMap { name in
                SyscallNumbers.number(of: name).map { (UInt32($0), values) }
            }
        }
    }

    private static func around(_ value: UInt32) -> [UInt32] { [value &- 1, value, value &+ 1] }

    private static func values(_ decision: Decision?) -> [UInt32] {
        guard case .choose(_, let cases, let otherwise) = decision else { return [] }
        return values(otherwise)
            + cases.flatMap { item -> [UInt32] in
                switch item.test {
                case .equals(let k), .atMost(let k), .anyBit(let k): [k] + values(item.then)
                }
            }
    }

    func next(_ random: inout SplitMix) -> CallData {
        let dice = random.next()
        var values = numbers
        let number: UInt32
        switch dice & 15 {
        case 0: number = UInt32(truncatingIfNeeded: random.next())
        case 1: number = 0x4000_0000 | UInt32(random.next() % 600)
        case 2, 3: number = pick(numbers, &random)
        case 4, 5: number = UInt32(random.next() % 600)
        default: (number, values) = checked[Int(random.next() % UInt64(checked.count))]
        }
        let architectures: [UInt32] = [0x4000_0003, 0xC000_003E, 0xC000_00B7, 0x4000_0028, 0]
        let architecture =
            (dice >> 4) & 31 == 0 ? architectures[Int((dice >> 9) % 5)] : FilterMachine.nativeArchitecture
        let arguments = (0..<6).map { _ in word(values, &random) }
        return CallData(number: number, architecture: architecture, arguments: arguments)
    }

    private func word(_ values: [UInt32], _ random: inout SplitMix) -> UInt64 {
        let dice = random.next()
        let low: UInt32 =
            switch dice & 7 {
            case 0: UInt32(truncatingIfNeeded: dice >> 32)
            case 1: 1 << UInt32((dice >> 32) & 31)
            case 2: UInt32((dice >> 32) & 0xFF)
            default: pick(values, &random)
            }
        // Garbage above the 32 bits the kernel reads, one time in four.
        return (dice >> 3) & 3 == 0 ? UInt64(low) | random.next() << 32 : UInt64(low)
    }

    private func pick(_ values: [UInt32], _ random: inout SplitMix) -> UInt32 {
        values[Int(random.next() % UInt64(values.count))]
    }
}
