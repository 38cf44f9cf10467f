import Testing

@testable import ThreatPolicy

@Suite struct BundleTests {
    static func keys(_ count: Int, seed: UInt64 = 5) -> [PolicyKey] {
        var random = Generator(seed)
        return Array(Set((0..<(count * 2)).map { _ in Sample.key(&random) }).prefix(count))
    }

    @Test(arguments: BundleKind.allCases)
    func readsWhatItWrote(_ kind: BundleKind) throws {
        let keys = Self.keys(100)
        let bundle = try Sample.bundle(kind, keys, serial: 12)
        try bundle.checkConsistency()
        #expect(bundle.header.kind == kind)
        #expect(bundle.header.serial == 12)
        #expect(bundle.header.title == "sample")
        #expect(bundle.header.kinds == Set(keys.map(\.kind)))
        #expect(bundle.header.operations == Set(keys.map(\.operation)))
        #expect(bundle.header.entries == keys.count)
        let found = Set((0..<bundle.header.entries).compactMap { bundle.threat(at: $0)?.key })
        #expect(found == Set(keys))
        #expect(bundle.threat(at: 0)?.cve == "CVE-2026-1")
        #expect(bundle.threat(at: 0)?.score == 98)
        #expect(bundle.threat(at: keys.count) == nil)
        #expect(bundle.header.filterBytes == (kind == .base ? 2 << 20 : 512 << 10))
    }

    @Test func theSameThreatsGiveTheSameBytes() throws {
        let keys = Self.keys(50)
        #expect(try Sample.bytes(.hotfix, keys) == Sample.bytes(.hotfix, keys))
        #expect(try Sample.bytes(.hotfix, keys, seed: 8) != Sample.bytes(.hotfix, keys, seed: 9))
    }

    @Test func keepsTheHighestScoreOfAKey() throws {
        let key = PolicyKey(.execute, .name(Array("nc".utf8)))!
        let about = BundleBuilder.Description(kind: .base, serial: 1, created: 1, expires: 2, title: "t")
        let bytes = try BundleBuilder.build(
            [
                Threat(key: key, reason: "low", score: 10), Threat(key: key, reason: "high", score: 90),
                Threat(key: key, reason: "none"),
            ], about)
        let bundle = try Bundle(PolicyBytes(bytes), trust: .anyone)
        #expect(bundle.header.entries == 1)
        #expect(bundle.threat(at: 0)?.reason == "high")
    }

    /// What a full hotfix hits by chance is never a system call, family or ioctl type that nobody listed.
    @Test func aHotfixDeniesNoCallByChance() throws {
        let listed = [KeyValue.call(59), .family(1)].map { PolicyKey(.call, $0)! }
        let many = (listed.count..<BundleKind.hotfix.capacity).map {
            PolicyKey(.read, .inode(major: 1, minor: 1, inode: UInt64($0)))!
        }
        func build(_ keys: [PolicyKey]) throws -> Bundle {
            let about = BundleBuilder.Description(
                kind: .hotfix, serial: 1, created: 1, expires: 2, title: "t", secret: KeySecret(low: 5, high: 6))
            let bytes = try BundleBuilder.build(keys.map { Threat(key: $0, reason: "r") }, about)
            return try Bundle(PolicyBytes(bytes), trust: .anyone)
        }
        func denied(_ bundle: Bundle) -> [PolicyKey] {
            let policy = ThreatPolicy(hotfix: bundle)
            return [KeyKind.call, .family, .ioctl].flatMap { kind in
                (0..<kind.numbers).map { PolicyKey(.call, KeyValue(kind, number: $0)!)! }
            }
            .filter { policy.verdict($0, now: 0).isDenied }
        }
        let bundle = try build(many + listed)
        try bundle.checkConsistency()
        #expect(denied(bundle) == listed)
        // Its first secret would have hit some; the same one follows from it each time.
        #expect(bundle.header.secret != KeySecret(low: 5, high: 6))
        #expect(try build(many + listed).header == bundle.header)
        // Who is not asked about calls has no reason to draw again.
        #expect(try build(many).header.secret == KeySecret(low: 5, high: 6))
    }

    @Test func refusesTooMuch() throws {
        let about = BundleBuilder.Description(kind: .hotfix, serial: 1, created: 1, expires: 2, title: "t")
        let many = (0..<(BundleKind.hotfix.capacity + 1)).map {
            Threat(key: PolicyKey(.read, .inode(major: 1, minor: 1, inode: UInt64($0)))!, reason: "r")
        }
        #expect(throws: BundleBuilder.Failure.tooMany(BundleKind.hotfix.capacity + 1, .hotfix)) {
            try BundleBuilder.build(many, about)
        }
        // What could not be read back.
        var other = about
        other.serial = 0
        #expect(throws: BundleBuilder.Failure.serial) { try BundleBuilder.build([many[0]], other) }
        other = about
        other.expires = 1 << 40
        #expect(throws: BundleBuilder.Failure.times) { try BundleBuilder.build([many[0]], other) }
        other.expires -= 1
        _ = try Bundle(PolicyBytes(try BundleBuilder.build([many[0]], other)), trust: .anyone)
        let shapes = (100..<117).map {
            Threat(
                key: PolicyKey(.connect, .address(AddressRange(SocketAddress(high: 0, low: 0), prefix: UInt8($0))))!,
                reason: "r")
        }
        #expect(throws: BundleBuilder.Failure.tooManyShapes(17)) { try BundleBuilder.build(shapes, about) }
        let long = Threat(key: many[0].key, reason: String(repeating: "x", count: 65_536))
        #expect(throws: BundleBuilder.Failure.tooLong(long.key)) { try BundleBuilder.build([long], about) }
    }

    // MARK: What must be refused

    private static func refusal(_ bytes: [UInt8]) -> BundleError? {
        do {
            _ = try Bundle(PolicyBytes(bytes), trust: Sample.trust)
            return nil
        } catch {
            return error
        }
    }

    @Test func refusesStrangersAndOtherFiles() throws {
        let keys = Self.keys(20)
        let good = try Sample.bytes(.hotfix, keys)
        #expect(Self.refusal(good) == nil)
        #expect(Self.refusal([]) == .truncated(0))
        #expect(Self.refusal(Array(good.prefix(511))) == .truncated(511))
        #expect(Self.refusal(Array(good.dropLast())) == .length(said: UInt64(good.count), found: good.count - 1))
        #expect(Self.refusal(good + [0]) == .length(said: UInt64(good.count), found: good.count + 1))
        #expect(Self.refusal(Array(repeating: 0x41, count: 5000)) == .magic)
        let strange = try Sample.bytes(.hotfix, keys, signer: Sample.stranger)
        #expect(Self.refusal(strange) == .unknownSigner(Sample.stranger.publicKey.short))
        // The stranger's signature under our name.
        var forged = good
        forged.replaceSubrange(448..<512, with: strange[448..<512])
        #expect(Self.refusal(forged) == .signature)
        let about = BundleBuilder.Description(kind: .hotfix, serial: 1, created: 1, expires: 2, title: "t")
        let unsigned = try BundleBuilder.build(Sample.threats(keys), about)
        #expect(Self.refusal(unsigned) == .unknownSigner("0000000000000000"))
    }

    @Test func refusesByTimeAndSerial() throws {
        let bundle = try Sample.bundle(.hotfix, Self.keys(3), serial: 7)
        #expect(throws: Never.self) { try bundle.check(kind: .hotfix, now: Sample.now, after: 6) }
        #expect(throws: BundleError.older(serial: 7, than: 7)) { try bundle.check(now: Sample.now, after: 7) }
        #expect(throws: BundleError.expired(Sample.now + 1000)) { try bundle.check(now: Sample.now + 1000, after: 0) }
        #expect(throws: BundleError.wrongKind(.hotfix)) { try bundle.check(kind: .base, now: Sample.now, after: 0) }
        // Made by a clock that goes before ours: the serial decides.
        #expect(throws: Never.self) { try bundle.check(now: 5, after: 0) }
    }

    @Test func everyByteOfTheHeaderCounts() throws {
        let good = try Sample.bytes(.hotfix, Self.keys(20))
        for offset in 0..<BundleHeader.size {
            for bit in [0, 3, 7] {
                var bad = good
                bad[offset] ^= 1 << bit
                #expect(Self.refusal(bad) != nil, "byte \(offset)")
            }
        }
    }

    /// Fields that cannot be, signed all the same: the parser must hold without the signature's help.
    @Test func everyFieldIsChecked() throws {
        let good = try Sample.bytes(.hotfix, Self.keys(20))
        // Where, how many bytes.
        let fields = [
            (12, 4), (24, 8), (32, 8), (56, 4), (60, 4), (64, 4), (68, 4), (72, 8), (88, 4), (92, 4),
            (96, 2), (126, 2), (128, 1), (190, 1), (192, 32), (224, 8), (408, 8),
        ]
        for (offset, size) in fields {
            for value in [UInt8(0xFF), 0x80] {
                var bad = good
                for index in offset..<(offset + size) { bad[index] = value }
                let message = BundleHeader.signingContext + bad[0..<448]
                bad.replaceSubrange(448..<512, with: Sample.signer.sign(message))
                #expect(Self.refusal(bad) != nil, "field at \(offset)")
            }
        }
    }

    /// What is said of kinds and operations decides what a tier calls a gap.
    @Test func kindsAndOperationsFit() throws {
        let good = try Sample.bytes(.hotfix, [PolicyKey(.write, .name(Array("nc".utf8)))!])
        let write = UInt8(1) << PolicyOperation.write.rawValue
        #expect(Self.refusal(good) == nil && good[92] == write)
        // None; one of another kind; one more of another kind.
        for operations in [0, 1 << PolicyOperation.bind.rawValue, write | 1 << PolicyOperation.call.rawValue] {
            var bad = good
            bad[92] = operations
            let message = BundleHeader.signingContext + bad[0..<448]
            bad.replaceSubrange(448..<512, with: Sample.signer.sign(message))
            #expect(Self.refusal(bad) == .field("kinds and operations"))
        }
        // One that fits and is not true: the tools find it.
        var untrue = good
        untrue[92] = write | 1 << PolicyOperation.read.rawValue
        untrue.replaceSubrange(448..<512, with: Sample.signer.sign(BundleHeader.signingContext + untrue[0..<448]))
        let bundle = try Bundle(PolicyBytes(untrue), trust: Sample.trust)
        #expect(throws: BundleError.field("kinds, operations or address shapes")) { try bundle.checkConsistency() }
    }

    /// A hotfix denies by its filter alone, so one bit more is strangers denied: the tools find it.
    @Test func aFilterHoldsItsKeysAndNothingElse() throws {
        for kind in BundleKind.allCases {
            var bad = try Sample.bytes(kind, Self.keys(20))
            let filter = BundleHeader.size..<(BundleHeader.size + 100_000)
            let place = try #require(filter.first { bad[$0] == 0 })
            bad[place] = 1
            let bundle = try Bundle(PolicyBytes(bad), trust: Sample.trust, isStored: true)
            #expect(throws: BundleError.strangeBits) { try bundle.checkConsistency() }
        }
    }

    @Test func tenThousandMutationsAreRefused() throws {
        let good = try Sample.bytes(.hotfix, Self.keys(40))
        var random = Generator(2026)
        var refused = 0
        for _ in 0..<10_000 {
            var bad = good
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bad[Int.random(in: 0..<bad.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bad.removeLast(Int.random(in: 1...bad.count, using: &random))
            case 2:
                bad += (0..<Int.random(in: 1...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random)
                }
            case 3:
                let at = Int.random(in: 0..<600, using: &random)
                for index in at..<min(at + 8, bad.count) { bad[index] = UInt8.random(in: 0...255, using: &random) }
            default:
                let at = Int.random(in: 0..<(bad.count - 64), using: &random)
                bad.removeSubrange(at..<(at + Int.random(in: 1...64, using: &random)))
            }
            if bad != good, Self.refusal(bad) != nil { refused += 1 }
        }
        #expect(refused == 10_000)
    }

    /// What a signer's own mistake would look like: the tools find it, and no look-up runs out of the file.
    @Test func mutationsUnderAGoodSignatureDoNoHarm() throws {
        let good = try Sample.bytes(.hotfix, Self.keys(40))
        let header = try Bundle(PolicyBytes(good), trust: Sample.trust).header
        var random = Generator(77)
        var inconsistent = 0
        for _ in 0..<2000 {
            var bad = good
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: header.keysOffset..<bad.count, using: &random)
                bad[at] = UInt8.random(in: 0...255, using: &random)
            }
            guard bad != good else { continue }
            let bundle = try Bundle(PolicyBytes(bad), trust: Sample.trust, isStored: true)
            do { try bundle.checkConsistency() } catch { inconsistent += 1 }
            for place in 0..<header.entries { _ = bundle.threat(at: place) }
            let policy = ThreatPolicy(hotfix: bundle)
            for key in Self.keys(20, seed: 9) { _ = policy.reason(policy.verdict(key, now: 0)) }
        }
        // The rest changed a reason's text only.
        #expect(inconsistent > 1000)
    }
}
