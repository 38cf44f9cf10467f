import Foundation
import JSONText
import Testing

@Suite struct JSONWriterTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private func sample(pretty: Bool) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.object { writer in
            writer.member("text", "a")
            writer.member("none", nil as String?)
            writer.member("int", Int64.min)
            writer.member("uint", UInt64.max)
            writer.member("small", UInt8(7))
            writer.member("yes", true)
            writer.member("half", 0.5)
            writer.member("nan", Double.nan)
            writer.member("list", ["x", "y"])
            writer.array("empty") { _ in }
            writer.object("inner") { writer in
                writer.array("deep") { writer in
                    writer.object { _ in }
                    writer.null()
                }
            }
        }
        return writer.bytes
    }

    @Test func compactIsOneLine() {
        let expected =
            #"{"text":"a","none":null,"int":-9223372036854775808,"uint":18446744073709551615,"small":7,"yes":true,"#
            + #""half":0.5,"nan":null,"list":["x","y"],"empty":[],"inner":{"deep":[{},null]}}"#
        #expect(text(sample(pretty: false)) == expected)
    }

    @Test func prettyIndentsByTwo() throws {
        let pretty = sample(pretty: true)
        #expect(try JSONReader.read(pretty) == JSONReader.read(sample(pretty: false)))
        let expected = """
            {
              "a": [
                1,
                {
                  "b": []
                }
              ],
              "c": {}
            }
            """
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.array("a") { writer in
                writer.integer(1)
                writer.object { writer in writer.array("b") { _ in } }
            }
            writer.object("c") { _ in }
        }
        #expect(text(writer.bytes) == expected)
    }

    @Test func everyByteValueStaysOneValidLine() throws {
        for byte in UInt8.min...UInt8.max {
            var writer = JSONWriter()
            writer.object { $0.member("name", bytes: [0x61, byte, 0x62]) }
            let line = writer.bytes
            #expect(!line.contains { $0 < 0x20 || $0 == 0x7F })
            let value = try JSONReader.read(line)
            if byte < 0x80 {
                #expect(value["name"]?.string.map { Array($0.utf8) } == [0x61, byte, 0x62])
                #expect(value["name_hex"] == nil)
            } else {
                #expect(value["name"]?.string == "a\u{FFFD}b")
                let digits = try #require(value["name_hex"]?.string)
                #expect(Hexadecimal.bytes(of: digits.utf8.span) == [0x61, byte, 0x62])
            }
            // A reader we did not write agrees.
            #expect(try JSONSerialization.jsonObject(with: Data(line)) is [String: Any])
        }
    }

    @Test func randomBytesRoundTrip() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let count = Int.random(in: 0..<64, using: &random)
            let bytes = (0..<count).map { _ in
                // Mostly bytes that mean something to JSON or to UTF-8.
                [0x22, 0x5C, 0x0A, 0x00, 0xC2, 0x85, 0xE2, 0x80, 0xA8, 0xED, 0xA0, 0xF4, UInt8.random(in: 0...255)]
                    .randomElement(using: &random) ?? 0
            }
            var writer = JSONWriter()
            writer.object { $0.member("v", bytes: bytes) }
            let value = try JSONReader.read(writer.bytes)
            let plain = value["v"]?.string.map { Array($0.utf8) }
            let whole = value["v_hex"]?.string.flatMap { Hexadecimal.bytes(of: $0.utf8.span) }
            #expect((whole ?? plain) == bytes)
            #expect((whole == nil) == (String(validating: bytes, as: UTF8.self) != nil))
            #expect(!writer.bytes.contains(0x0A))
        }
    }

    @Test func separatorsAndBidirectionalControlsAreEscaped() {
        var writer = JSONWriter()
        writer.string("a\u{2028}\u{2029}\u{85}\u{9B}\u{202E}é\u{1F600}")
        #expect(text(writer.bytes) == #""a\u2028\u2029\u0085\u009b\u202eé😀""#)
    }

    @Test func aListOfArgumentsKeepsWrongBytes() throws {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("good", byteStrings: [[0x61], [0x62]])
            writer.member("bad", byteStrings: [[0x61], [0xFF]])
        }
        let value = try JSONReader.read(writer.bytes)
        #expect(value["good"] == .array([.string("a"), .string("b")]))
        #expect(value["good_hex"] == nil)
        #expect(value["bad"] == .array([.string("a"), .string("\u{FFFD}")]))
        #expect(value["bad_hex"] == .array([.string("61"), .string("ff")]))
    }

    @Test func fragmentsShareABuffer() {
        var writer = JSONWriter()
        writer.member("a", 1)
        writer.member("b", 2)
        let end = writer.bytes.count
        writer.beginFragment()
        writer.member("c", 3)
        #expect(text(Array(writer.bytes[end...])) == #""c":3"#)
        writer.truncate(to: end)
        writer.member("d", 4)
        #expect(text(writer.bytes) == #""a":1,"b":2"d":4"#)
        #expect(writer.isComplete)
        writer.key("e")
        #expect(!writer.isComplete)
        writer.truncate(to: end)
        #expect(writer.isComplete)
    }

    @Test func doublesReadBackTheSame() throws {
        for value in [
            0.1, -0.0, 1e300, .leastNonzeroMagnitude, 1e16, 123456789.123, Double.pi, Double.greatestFiniteMagnitude,
        ] {
            var writer = JSONWriter()
            writer.double(value)
            guard case .number(let back) = try JSONReader.read(writer.bytes) else {
                Issue.record("\(value) did not come back as a number")
                continue
            }
            #expect(back.bitPattern == value.bitPattern)
        }
    }
}

@Suite struct TerminalTextTests {
    @Test func whatActsOnATerminalIsShown() {
        #expect(TerminalText.escaped("plain é 😀 name") == "plain é 😀 name")
        #expect(TerminalText.escaped("\u{1B}[2Jx\r\n\t\u{7F}") == #"\x1b[2Jx\x0d\x0a\x09\x7f"#)
        #expect(TerminalText.escaped("\u{9B}31m") == #"\xc2\x9b31m"#)
        #expect(TerminalText.escaped("a\u{202E}b\u{2028}") == #"a\xe2\x80\xaeb\xe2\x80\xa8"#)
        #expect(TerminalText.escaped([0x61, 0xFF, 0xC3] as [UInt8]) == #"a\xff\xc3"#)
        #expect(TerminalText.escaped(#"\x1b"#) == #"\\x1b"#)
    }
}
