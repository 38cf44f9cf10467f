import Foundation
import JSONText
import Testing

@Suite struct JSONReaderTests {
    private func read(_ text: String, _ limits: JSONReader.Limits = .init()) throws(JSONError) -> JSONValue {
        try JSONReader.read(Array(text.utf8), limits: limits)
    }

    @Test func valuesAreRead() throws {
        let value = try read(
            #" {"a":[1,-2,18446744073709551615,1.5e2,true,false,null],"b":{"c":"\u00e9\ud83d\ude00\n\/"},"d":""} "#)
        #expect(value["a"]?.array?.count == 7)
        #expect(value["a"]?.array?[2].uint64 == UInt64.max)
        #expect(value["a"]?.array?[3] == .number(150))
        #expect(value["b"]?["c"]?.string == "é😀\n/")
        #expect(value["d"]?.string == "")
        #expect(value["e"] == nil)
    }

    @Test(arguments: [
        "", " ", "{", "}", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "[1 2]", "01", "-", "1.", ".5", "1e", "+1",
        "tru",
        "nul", "\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"",
        "\"\n\"",
        "1 2", "{\"a\":1}{}", "1e999", "{\"a\":1,\"a\":2}", "'a'", "NaN", "[1]//", "\u{FEFF}1",
    ])
    func wrongTextIsRefused(text: String) {
        #expect(throws: JSONError.self) { try read(text) }
    }

    @Test func invalidUTF8IsRefused() {
        for bytes: [UInt8] in [[0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22]] {
            #expect(throws: JSONError.self) { try JSONReader.read(bytes) }
        }
        #expect(throws: Never.self) { try JSONReader.read([0x22, 0xC3, 0xA9, 0x22]) }
    }

    @Test func limitsHold() throws {
        let limits = JSONReader.Limits(depth: 4, bytes: 20)
        #expect(throws: Never.self) { try read("[[[[]]]]", limits) }
        #expect(throws: JSONError.self) { try read("[[[[[]]]]]", limits) }
        #expect(throws: Never.self) { try read("\"123456789012345678\"", limits) }
        #expect(throws: JSONError.self) { try read("\"1234567890123456789\"", limits) }
        // Depth counts what is open at once, not how many there are.
        #expect(throws: Never.self) { try read("[[],[],[],[],[],[]]", .init(depth: 2, bytes: 100)) }
        // A text made of brackets ends in an error, not in an overflowing stack.
        #expect(throws: JSONError.self) { try read(String(repeating: "[", count: 1_000_000)) }
    }

    @Test func manyMembersAreFoundAndStandOnce() throws {
        let members = (0..<5000).map { "\"k\($0)\":\($0)" }
        let value = try read("{" + members.joined(separator: ",") + "}")
        for place in [0, 15, 16, 17, 4999] { #expect(value["k\(place)"]?.int64 == Int64(place)) }
        #expect(throws: JSONError.self) { try read("{" + members.joined(separator: ",") + ",\"k4000\":1}") }
    }

    @Test func theErrorNamesThePlace() {
        #expect(throws: JSONError(offset: 3, problem: "a value should stand here")) { try read("[1,]") }
    }

    /// Random damage to a valid text: the reader returns or throws, and what it accepts Foundation reads too.
    @Test func damagedTextNeverCrashes() throws {
        let seed = Array(#"{"seq":1,"a":["x\n\u00e9é",-1.5e3,true,null,{"b":{}}],"big":18446744073709551615}"#.utf8)
        var random = SystemRandomNumberGenerator()
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: place)
                }
            }
            guard let value = try? JSONReader.read(bytes) else { continue }
            accepted += 1
            #expect((try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)) != nil)
            // And it writes back to the same value.
            #expect(try JSONReader.read(JSONWriter.text(of: value)) == value)
        }
        #expect(accepted > 0)
    }
}
