import Testing

@testable import Feed

@Suite struct ValidatorsTests {
    private func after(_ lines: String...) -> Validators {
        var validators = Validators()
        for line in lines { validators.take(Array(line.utf8)) }
        return validators
    }

    @Test func whatAServerSaidIsToldBack() {
        let found = after(
            "HTTP/1.1 200 OK\r\n", "ETag:  \"abc-1\" \r\n", "LAST-MODIFIED: Wed, 21 Oct 2026 07:28:00 GMT\r\n", "\r\n")
        #expect(
            found.requestLines == [
                "If-None-Match: \"abc-1\"", "If-Modified-Since: Wed, 21 Oct 2026 07:28:00 GMT",
            ])
        #expect(after("etag: W/\"x\"\r\n").entityTag == "W/\"x\"")
        #expect(after("etag: \"x\"\r\n", "HTTP/2 200\r\n").isEmpty, "a redirect's tag is not the file's")
    }

    @Test(arguments: [
        "x", "\"a", "\"a\"b", "\"a\"\"", "\"a b\"", "\"\u{7f}\"", "\"a\r\nX: y\"", "w/\"a\"", "\"\u{e4}\"", "\"", "",
        "\"" + String(repeating: "a", count: 255) + "\"",
    ])
    func tagsThatAreNotKept(tag: String) {
        #expect(after("etag: \(tag)").entityTag == nil)
        #expect(Validators(entityTag: tag, lastModified: nil).isEmpty)
    }

    @Test func nothingBreaksOutOfALine() {
        var generator = SystemRandomNumberGenerator()
        let pieces: [[UInt8]] = ["ETag", "Last-Modified", ":", "\"", "W/", "\r", "\n", "HTTP/", " ", "a", "\0"].map {
            Array($0.utf8)
        }
        for _ in 0..<20_000 {
            var validators = Validators()
            for _ in 0..<3 {
                var line: [UInt8] = Bool.random(using: &generator) ? Array("ETag:\"".utf8) : []
                for _ in 0..<Int.random(in: 0...9, using: &generator) {
                    line += pieces.randomElement() ?? []
                    line.append(UInt8.random(in: 0...255, using: &generator))
                }
                validators.take(line)
            }
            for line in validators.requestLines {
                #expect(line.utf8.allSatisfy { $0 >= 32 && $0 < 127 } && line.utf8.count < 300)
            }
            #expect(
                Validators(entityTag: validators.entityTag, lastModified: validators.lastModified) == validators)
        }
    }

    @Test func aStatusIsReadBackAndDamageIsNot() throws {
        var status = FeedStatus()
        status.started = 5
        status.confined = ["landlock"]
        var source = FeedStatus.Source(name: "https://a/\u{1b}\"\n")
        source.hotfix = .max
        source.lastFailure = "x"
        source.validators = Validators(entityTag: "\"t\"", lastModified: nil)
        source.validated = "hotfix 3"
        status.sources = [source, .init(name: "b")]
        #expect(FeedStatus(status.text) == status)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<3000 {
            var text = status.text
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: text.indices, using: &generator)
                text[place] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) { text.removeLast(Int.random(in: 0..<text.count, using: &generator)) }
            // Any answer will do; there must be one.
            if let found = FeedStatus(text) { #expect(found.sources.count <= 2) }
        }
    }
}
