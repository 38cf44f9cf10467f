import Testing

@testable import ThreatPolicy

/// P(k) against a model that holds plain sets and counts the filter's bits itself.
@Suite struct VerdictTests {
    /// The lists as a person thinks of them.
    struct Model {
        var whitelist: [PolicyKey: Int64] = [:]
        var hotfix: Set<PolicyKey> = []
        var base: Set<PolicyKey> = []
        let hotfixSecret: KeySecret
        var hotfixBits: Set<UInt64> = []

        /// A range's list of keys that an address is in.
        private func matches(_ listed: PolicyKey, _ asked: PolicyKey) -> Bool {
            guard case .address(let range) = listed.value, case .address(let wanted) = asked.value else {
                return listed == asked
            }
            guard listed.operation == asked.operation else { return false }
            let cut = AddressRange(wanted.address, prefix: range.prefix)
            return cut.address.high == range.address.high && cut.address.low == range.address.low
                && (range.address.port == 0 || range.address.port == wanted.address.port)
                && (range.address.protocolNumber == 0
                    || range.address.protocolNumber == wanted.address.protocolNumber)
        }

        private func bits(_ hash: KeyHash) -> [UInt64] {
            (0..<10).map { (hash.low &+ $0 &* (hash.high | 1)) % (1 << 22) }
        }

        mutating func fillFilter() {
            for key in hotfix { hotfixBits.formUnion(bits(key.hash(hotfixSecret)!)) }
        }

        func layer(_ key: PolicyKey) -> PolicyLayer {
            if whitelist.contains(where: { matches($0.key, key) && $0.value > Sample.now }) { return .whitelist }
            if hotfix.contains(where: { matches($0, key) }) { return .hotfix }
            // By chance, but only where the filter holds keys of the kind at all.
            if hotfix.contains(where: { $0.kind == key.kind }), case .address = key.value {
            } else if hotfix.contains(where: { $0.kind == key.kind }),
                bits(key.hash(hotfixSecret)!).allSatisfy(hotfixBits.contains)
            {
                return .hotfix
            }
            if base.contains(where: { matches($0, key) }) { return .base }
            return .trace
        }
    }

    @Test(arguments: 1...60)
    func answersAsTheModel(_ seed: UInt64) throws {
        var random = Generator(seed)
        var model = Model(hotfixSecret: KeySecret(low: seed, high: ~seed))
        for _ in 0..<Int.random(in: 0..<60, using: &random) { model.hotfix.insert(Sample.key(&random)) }
        for _ in 0..<Int.random(in: 0..<120, using: &random) { model.base.insert(Sample.key(&random)) }
        for _ in 0..<Int.random(in: 0..<40, using: &random) {
            model.whitelist[Sample.key(&random)] = Sample.now + (Bool.random(using: &random) ? 10 : -10)
        }
        model.fillFilter()
        let policy = ThreatPolicy(
            whitelist: Whitelist(
                model.whitelist.map {
                    WhitelistEntry(keys: [$0.key], reason: "r", author: "a", expires: $0.value, origin: "o")
                }),
            hotfix: model.hotfix.isEmpty ? nil : try Sample.bundle(.hotfix, model.hotfix, seed: seed),
            base: model.base.isEmpty ? nil : try Sample.bundle(.base, model.base, seed: seed &+ 99))
        var seen: Set<String> = []
        for _ in 0..<400 {
            let key = Sample.key(&random)
            let answer = policy.verdict(key, now: Sample.now)
            #expect(answer.layer == model.layer(key), "\(key)")
            #expect((policy.reason(answer) == nil) == (answer.layer == .trace))
            seen.insert(answer.layer.rawValue)
        }
        #expect(!seen.isEmpty)
    }

    @Test func theModelsCasesAreAllMet() throws {
        // Otherwise the test above could pass over worlds in which nothing is listed.
        var random = Generator(3)
        let keys = Set((0..<200).map { _ in Sample.key(&random) })
        let list = Array(keys)
        let third = list.count / 3
        let policy = ThreatPolicy(
            whitelist: Whitelist(
                list.prefix(third / 2).map {
                    WhitelistEntry(keys: [$0], reason: "r", author: "a", expires: Sample.now + 1, origin: "o")
                }), hotfix: try Sample.bundle(.hotfix, list.prefix(third)),
            base: try Sample.bundle(.base, list.prefix(2 * third)))
        let layers = Set(list.map { policy.verdict($0, now: Sample.now).layer })
        #expect(layers == [.whitelist, .hotfix, .base, .trace])
    }

    @Test func baseDeniesOnlyWhatTheExactKeysHold() throws {
        // A filter with every bit set hits always; the exact keys still decide, and the hotfix has nobody to ask.
        let listed = PolicyKey(.execute, .name(Array("bad".utf8)))!
        let other = PolicyKey(.execute, .name(Array("good".utf8)))!
        func saturated(_ kind: BundleKind) throws -> Bundle {
            var bytes = try Sample.bytes(kind, [listed])
            let about = try Bundle(PolicyBytes(bytes), trust: Sample.trust).header
            for index in 0..<about.filterBytes { bytes[about.filterOffset + index] = 0xFF }
            var header = about
            let contents = Array(bytes[BundleHeader.size...])
            header.digest = PolicySignature.digest(contents.span)
            bytes.replaceSubrange(0..<BundleHeader.signedSize, with: header.encoded())
            return try Bundle(PolicyBytes(try BundleBuilder.sign(bytes, by: Sample.signer)), trust: Sample.trust)
        }
        let base = ThreatPolicy(base: try saturated(.base))
        #expect(base.verdict(listed, now: 0).layer == .base)
        #expect(base.verdict(other, now: 0).layer == .trace)
        let hotfix = ThreatPolicy(hotfix: try saturated(.hotfix))
        #expect(hotfix.verdict(other, now: 0).layer == .hotfix)
        #expect(hotfix.reason(hotfix.verdict(other, now: 0))?.contains("by chance") == true)
        #expect(hotfix.reason(hotfix.verdict(listed, now: 0)) == "known as execute name:bad, CVE-2026-1, CVSS 9.8")
    }

    @Test func anEntryOfTheWhitelistExcusesItsOwnKeyOnly() throws {
        let name = PolicyKey(.execute, .name(Array("tool".utf8)))!
        let digest = PolicyKey(.execute, .digest(Array(repeating: 9, count: 32)))!
        let policy = ThreatPolicy(
            whitelist: Whitelist([
                WhitelistEntry(keys: [name], reason: "ours", author: "me", expires: Sample.now + 1, origin: "w:1")
            ]), hotfix: try Sample.bundle(.hotfix, [name, digest]))
        #expect(policy.verdict(name, now: Sample.now).layer == .whitelist)
        #expect(policy.verdict(name, now: Sample.now + 1).layer == .hotfix)
        #expect(policy.verdict(digest, now: Sample.now).layer == .hotfix)
    }

    @Test func questionsAndKeysAgree() throws {
        var random = Generator(11)
        let keys = (0..<300).map { _ in Sample.key(&random) }
        let policy = ThreatPolicy(hotfix: try Sample.bundle(.hotfix, keys.prefix(100)))
        for key in keys {
            let expected = policy.verdict(key, now: 0)
            let answer: PolicyAnswer? =
                switch key.value {
                case .digest(let bytes): policy.verdict(digest: bytes.span, now: 0)
                case .path(let bytes): policy.verdict(path: bytes.span, key.operation, now: 0)
                case .name(let bytes): policy.verdict(name: bytes.span, key.operation, now: 0)
                case .inode(let major, let minor, let inode):
                    policy.verdict(major: major, minor: minor, inode: inode, key.operation, now: 0)
                default: nil
                }
            if let answer { #expect(answer == expected) }
        }
    }
}
