import CPolicyKey
import Testing

@testable import ThreatPolicy

/// What goes into the kernel says the same as what is asked here.
@Suite struct KernelFormTests {
    private func filter(_ form: KernelForm) -> policy_filter {
        #expect(form.filter.count == MemoryLayout<policy_filter>.size)
        return unsafe form.filter.withUnsafeBytes { unsafe $0.loadUnaligned(as: policy_filter.self) }
    }

    @Test func aWhitelistGivesTheKeysThatHold() throws {
        let good = try #require(PolicyKey(.read, .name(Array("good".utf8))))
        let late = try #require(PolicyKey(.read, .name(Array("late".utf8))))
        let secret = KeySecret(low: 0x0123_4567_89ab_cdef, high: 0xfedc_ba98_7654_3210)
        let whitelist = Whitelist(
            [
                WhitelistEntry(keys: [good], reason: "r", author: "a", expires: 100, origin: "w:1"),
                WhitelistEntry(keys: [late], reason: "r", author: "a", expires: 50, origin: "w:2"),
            ], secret: secret)
        let form = whitelist.kernelForm(now: 60)
        let filter = filter(form)
        #expect(filter.secret.0 == secret.low)
        #expect(filter.secret.1 == secret.high)
        #expect(filter.entries == 1)
        #expect(filter.kinds == 1 << KeyKind.name.rawValue)
        let hash = try #require(good.hash(secret))
        var bytes: [UInt8] = []
        for word in [hash.low, hash.high] {
            for byte in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * byte))) }
        }
        #expect(form.keys == bytes)
        #expect(whitelist.kernelForm(now: 10).keys.count == 32)
        #expect(whitelist.nextExpiry(after: 60) == 100)
        #expect(whitelist.nextExpiry(after: 100) == nil)
    }

    /// What names a policy in the kernel must be the same for every supervisor, and other as soon as less is excused.
    @Test func aWhitelistIsNamedByWhatHoldsAndNotByItsSecret() throws {
        func whitelist(_ ends: Int64) throws -> Whitelist {
            Whitelist(
                try [("good", 100), ("late", ends)].map { name, expires in
                    let key = try #require(PolicyKey(.read, .name(Array(name.utf8))))
                    return WhitelistEntry(keys: [key], reason: "r", author: "a", expires: expires, origin: "w:1")
                })
        }
        let (one, same, longer) = (try whitelist(50), try whitelist(50), try whitelist(200))
        #expect(one.kernelForm(now: 10).filter != same.kernelForm(now: 10).filter)
        #expect(one.identity(now: 10) == same.identity(now: 10))
        #expect(one.identity(now: 10) == longer.identity(now: 10))
        #expect(one.identity(now: 50) != one.identity(now: 10))
        #expect(one.identity(now: 50) != longer.identity(now: 50))
        #expect(one.identity(now: 100) == Whitelist([]).identity(now: 0))
    }

    @Test(arguments: BundleKind.allCases)
    func aBundleGivesItsFilterAndOnlyABaseItsKeys(_ kind: BundleKind) throws {
        let keys = BundleTests.keys(60)
        let bundle = try Sample.bundle(kind, keys, serial: 9)
        let form = bundle.kernelForm
        let filter = filter(form)
        #expect(filter.serial == 9)
        #expect(filter.bits_log2 == kind.bitsLog2)
        #expect(filter.hashes == kind.hashes)
        #expect(filter.entries == 60)
        #expect(Int(filter.shapes) == bundle.header.shapes.count)
        #expect(form.keys.count == (kind == .base ? 16 * 60 : 0))
        let bits = bundle.filterBits
        #expect(bits.count == 1 << Int(kind.bitsLog2 - 3))
        for key in keys {
            let hash = try #require(key.hash(bundle.header.secret))
            let holds = unsafe bits.withUnsafeBufferPointer { bits in
                guard let start = bits.baseAddress else { return false }
                return unsafe policy_filter_holds(start, filter.bits_log2, filter.hashes, hash.key) == 1
            }
            #expect(holds)
        }
    }
}
