import Seccomp
import SeccompRules
import Testing

/// What a threat policy puts in front of a filter: it refuses what is listed, and changes nothing else.
@Suite struct ThreatCallsTests {
    static let notify: UInt32 = 0x7FC0_0000
    static let refuse: UInt32 = 0x0005_0001

    @Test(arguments: 1...25)
    func refusesWhatIsListedAndNothingElse(_ seed: UInt64) throws {
        var random = SplitMix(state: seed)
        let policy = try #require(SeccompPolicy.embedded.randomElement(using: &random))
        func some(_ limit: UInt32) -> [UInt32] {
            (0..<Int.random(in: 0..<40, using: &random)).map { _ in UInt32.random(in: 0..<limit, using: &random) }
        }
        let threats = ThreatCalls(calls: some(480), families: some(46), ioctls: some(256))
        let plain = try SeccompFilters.filter(for: policy)
        let filter = try plain.refusing(threats)
        #expect(filter.needsListener == plain.needsListener)
        var before = FilterMachine(plain.instructions)
        var after = FilterMachine(filter.instructions)
        let makers = ["socket", "socketpair"].compactMap(SyscallName.number)
        let ioctl = try #require(SyscallName.number("ioctl"))
        let refusal = plain.needsListener ? Self.notify : Self.refuse
        var refused = 0
        for turn in 0..<20_000 {
            var call = CallData(number: UInt32.random(in: 0..<500, using: &random))
            switch turn % 5 {
            case 0: call.number = makers.randomElement(using: &random) ?? 0
            case 1: call.number = ioctl
            case 2 where turn % 20 == 2: call.architecture = 0x4000_0003
            case 3 where turn % 20 == 3: call.number |= 0x4000_0000
            default: break
            }
            // What stands above 32 bits is ignored by the kernel, and must be here.
            call.arguments[0] = UInt64.random(in: 0..<48, using: &random) | UInt64(turn % 2) << 40
            call.arguments[1] = UInt64.random(in: 0..<0x1_0000, using: &random) | UInt64(turn % 3) << 32
            let isListed =
                call.architecture == FilterMachine.nativeArchitecture
                && (threats.calls.contains(call.number)
                    || makers.contains(call.number)
                        && threats.families.contains(UInt32(truncatingIfNeeded: call.arguments[0]))
                    || call.number == ioctl
                        && threats.ioctls.contains(UInt32(truncatingIfNeeded: call.arguments[1] >> 8) & 0xFF))
            #expect(try after.run(call) == (isListed ? refusal : before.run(call)), "\(call)")
            refused += isListed ? 1 : 0
        }
        #expect(refused > 0 || threats.calls.isEmpty)
    }

    @Test func tooMuchIsAnError() throws {
        let plain = try SeccompFilters.filter(for: SeccompPolicy())
        #expect(throws: SeccompError.self) {
            try plain.refusing(ThreatCalls(calls: Array(0..<2100), families: [], ioctls: []))
        }
        // All there are fit.
        #expect(throws: Never.self) {
            try plain.refusing(
                ThreatCalls(calls: Array(0..<1024), families: Array(0..<64), ioctls: Array(0..<256)))
        }
    }
}
