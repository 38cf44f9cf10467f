import PolicyFiles
import Testing
import ThreatPolicy

/// Lists and whitelists come from anybody: whatever they hold, they are read to an end, and what is read is keys.
@Suite struct ListFuzzTests {
    static let seeds: [ThreatListFormat: String] = [
        .toml:
            "[[threat]]\nkey = \"path:/usr/bin/nc\"\noperation = \"execute\"\ncvss = 9.8\n[[threat]]\nkey = \"name:x\"\n",
        .csv: "key,operation,reason,cve,cvss\n\"name:a,b\",execute,\"say \"\"x\"\"\",CVE-1,9\naddress:[::1]/64:7,,,,\n",
        .jsonLines: "{\"key\":\"call:1\",\"reason\":\"r\",\"cvss\":9.1}\n{\"key\":\"inode:1:2:3\"}\n",
        .osv:
            "{\"id\":\"A\",\"affected\":[{\"database_specific\":{\"f\":[{\"sha256\":\"00\"}]}}],"
            + "\"database_specific\":{\"iocs\":{\"ips\":[\"192.0.2.1\",\"2001:db8::1\"]}}}\n",
        .digests: String(repeating: "0a", count: 32) + "  file\n# x\n" + String(repeating: "FF", count: 32) + "\n",
    ]

    private static func mutated(_ text: [UInt8], _ random: inout Generator) -> [UInt8] {
        var text = text
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let at = Int.random(in: 0...text.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0 where at < text.count: text[at] = UInt8.random(in: 0...255, using: &random)
            case 1: text.insert(Array("\"[]{}=,:\n\\/.".utf8).randomElement(using: &random)!, at: at)
            case 2 where at < text.count: text.removeSubrange(at..<min(at + 5, text.count))
            default: text.insert(contentsOf: text.prefix(at).suffix(20), at: at)
            }
        }
        return text
    }

    @Test(arguments: ThreatListFormat.allCases)
    func listsAreReadToAnEnd(_ format: ThreatListFormat) throws {
        let seed = Array(try #require(Self.seeds[format]).utf8)
        let whole = ThreatList.read(seed, format: format, name: "s", reason: "r")
        #expect(format == .osv || whole.mistakes.isEmpty && !whole.threats.isEmpty)
        var random = Generator(5)
        var mistaken = 0
        for _ in 0..<3000 {
            let list = ThreatList.read(Self.mutated(seed, &random), format: format, name: "f", reason: "r")
            if !list.mistakes.isEmpty { mistaken += 1 }
            #expect(list.mistakes.count <= 200)
            for threat in list.threats { #expect(threat.key.hash(KeySecret(low: 1, high: 2)) != nil) }
        }
        #expect(mistaken > 100)
    }

    @Test func whitelistsAreReadToAnEnd() throws {
        let seed = Array(
            "[[allow]]\nkey = \"name:x\"\nreason = \"r\"\nauthor = \"a\"\nexpires = \"2027-01-01\"\n".utf8)
        #expect(try WhitelistFile.read(seed, name: "w").count == 1)
        var random = Generator(6)
        var refused = 0
        for _ in 0..<3000 {
            do { _ = try WhitelistFile.read(Self.mutated(seed, &random), name: "w") } catch { refused += 1 }
        }
        #expect(refused > 1000)
    }
}
