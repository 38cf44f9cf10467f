import Testing

@testable import ThreatPolicy

@Suite struct TextTests {
    @Test func readsKeysAsWritten() throws {
        #expect(try KeyText.parse("path:/usr/bin/nc").count == 3)
        #expect(try KeyText.parse("execute path:/usr/bin/nc").map(\.description) == ["execute path:/usr/bin/nc"])
        #expect(try KeyText.parse("name:a file").first?.value == .name(Array("a file".utf8)))
        #expect(try KeyText.parse("inode:8:1:77").first?.value == .inode(major: 8, minor: 1, inode: 77))
        #expect(try KeyText.parse("call:ptrace", calls: { $0 == "ptrace" ? 101 : nil }).first?.value == .call(101))
        #expect(try KeyText.parse("family:AF_PACKET").first?.value == .family(17))
        #expect(try KeyText.parse("ioctl:T").first?.value == .ioctl(0x54))
        #expect(try KeyText.parse("ioctl:0x54").first?.value == .ioctl(0x54))
        let digits = String(repeating: "0a", count: 32)
        #expect(try KeyText.parse("digest:sha256:" + digits) == KeyText.parse("digest:" + digits.uppercased()))
    }

    @Test(arguments: [
        "", "nc", "file:/x", "path:x", "path:/x/", "path:/a/../b", "path:/a/./b", "path://", "name:", "name:a/b",
        "digest:00", "digest:zz", "inode:1:2", "inode:a:b:c", "call:nothing", "family:AF_NONE", "family:64", "ioctl:",
        "ioctl:256", "connect path:/x", "execute address:1.2.3.4", "address:1.2.3", "address:1.2.3.4/33",
        "address:1.2.3.4:0", "address:1.2.3.4:65536", "address:[::1", "address:[1::2::3]",
        "address:[1:2:3:4:5:6:7:8:9]",
        "address:[12345::]", "address:foo/1.2.3.4", "address:[::]/129", "address:256.1.1.1",
        "address:[1:2:3:4:5:6:7::8]:",
    ])
    func refusesWhatIsNoKey(_ text: String) {
        #expect(throws: KeyTextError.self) { try KeyText.parse(text) }
    }

    @Test(arguments: [
        ("tcp/192.0.2.9/24:443", "tcp/192.0.2.0/24:443"), ("10.0.0.1", "10.0.0.1/32"), ("0.0.0.0/0", "0.0.0.0/0"),
        ("udp/[2001:db8::ff]/32:53", "udp/[2001:db8::]/32:53"), ("[::1]", "[::1]/128"),
        ("[::]/0", "[::]/0"), ("[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]/128"),
        ("[::ffff:1.2.3.4]", "1.2.3.4/32"), ("[fe80::]/10", "[fe80::]/10"),
    ])
    func readsAddresses(_ text: String, _ normal: String) throws {
        let key = try #require(try KeyText.parse("connect address:" + text).first)
        #expect(KeyText.text(key.value) == "address:" + normal)
        #expect(try KeyText.parse("connect address:" + normal) == [key])
    }

    @Test func keysSurviveTheirText() throws {
        var random = Generator(1)
        for _ in 0..<2000 {
            let key = Sample.key(&random)
            #expect(try KeyText.parse(key.description) == [key])
        }
    }

    /// The vectors again, through the whole of Swift's side.
    @Test(arguments: KeyVector.all)
    func hashesAsLibsodium(_ vector: KeyVector) throws {
        guard vector.kind != 5 else { return }
        let kind = try #require(KeyKind(rawValue: UInt8(vector.kind)))
        let operation = try #require(PolicyOperation(rawValue: UInt8(vector.operation)))
        let secret = KeySecret(low: vector.secret[0], high: vector.secret[1])
        let bytes = Hexadecimal.bytes(Array(vector.value.utf8).span) ?? []
        let value: KeyValue =
            switch kind {
            case .path: .path(Array(vector.value.utf8))
            case .name: .name(Array(vector.value.utf8))
            case .inode:
                .inode(
                    major: UInt32(vector.message[1] >> 32), minor: UInt32(truncatingIfNeeded: vector.message[1]),
                    inode: vector.message[2])
            case .digest: .digest(bytes)
            case .call: .call(UInt32(vector.message[1]))
            case .family: .family(UInt32(vector.message[1]))
            default: .ioctl(UInt8(vector.message[1]))
            }
        let key = try #require(PolicyKey(operation, value))
        #expect(key.hash(secret) == KeyHash(low: vector.key[0], high: vector.key[1]))
    }

    @Test func readsTimes() {
        #expect(UTCTime.parse("1970-01-01") == 0)
        #expect(UTCTime.parse("2026-11-23T15:45:00Z") == 1_795_448_700)
        #expect(UTCTime.text(1_795_448_700) == "2026-11-23T15:45:00Z")
        #expect(UTCTime.parse("2024-02-29") == 1_709_164_800)
        #expect(UTCTime.text(-1) == "1969-12-31T23:59:59Z")
        for text in ["2026-02-29", "2026-13-01", "2026-11-23T24:00:00Z", "2026-11-23 15:45:00", "x", "2026-1-1"] {
            #expect(UTCTime.parse(text) == nil)
        }
        for day in stride(from: Int64(0), to: 40_000, by: 13) {
            #expect(UTCTime.parse(UTCTime.text(day * 86_400 + 17)) == day * 86_400 + 17)
        }
    }

    @Test func readsScores() {
        #expect(Threat.score("9.8") == 98)
        #expect(Threat.score("10") == 100)
        #expect(Threat.score("10.0") == 100)
        for text in ["10.1", "11", "9.85", "-1", "", ".", "9."] { #expect(Threat.score(text) == nil) }
    }
}
