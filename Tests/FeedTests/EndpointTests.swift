import Testing

@testable import Feed

@Suite struct EndpointTests {
    @Test(arguments: [
        ("https://policy.example.org/base.mip", "policy.example.org", 443, "/base.mip"),
        ("HTTPS://a:8443", "a", 8443, ""),
        ("https://[2001:db8::1]:444/x?y", "2001:db8::1", 444, "/x?y"),
        ("https://10.0.0.1/a#b", "10.0.0.1", 443, "/a#b"),
    ])
    func webAddresses(text: String, host: String, port: Int, path: String) throws {
        let endpoint = try WebAddress(text).endpoint
        #expect(endpoint.host == host && Int(endpoint.port) == port && endpoint.path == path)
    }

    @Test(arguments: [
        "http://a/b", "HTTP://localhost/b", "ftp://a", "https:/a", "a", "", "https://", "https://user:pw@a/",
        "https://a b",
        "https://a:0", "https://a:70000", "https://a:x", "https://a:", "https://[::1", "https://[x]", "https://[::1]x",
        "https://a\r\nHost: b", "https://\u{e4}", "https://a/\u{0}", "file:///etc/passwd",
        "https://" + String(repeating: "a", count: 254),
    ])
    func webAddressesRefused(text: String) {
        #expect(throws: EndpointError.self) { try WebAddress(text) }
    }

    @Test func brokers() throws {
        #expect(try BrokerAddress("mqtts://broker.example.org").endpoint.port == 8883)
        #expect(try BrokerAddress("mqtts://broker.example.org").usesTLS)
        for text in ["mqtt://127.0.0.1", "mqtt://127.8.0.1:1", "mqtt://localhost/", "mqtt://[::1]:1884"] {
            #expect(try !BrokerAddress(text).usesTLS)
        }
        for text in [
            "mqtt://broker.example.org", "mqtt://127.0.0.1.example.org", "mqtt://10.0.0.1", "mqtts://a/topic",
            "tcp://a",
            "mqtt://127.0.0.256", "mqtt://[127.0.0.1::]",
        ] {
            #expect(throws: EndpointError.self) { try BrokerAddress(text) }
        }
    }

    @Test(arguments: [
        ("https://10.0.0.1", true), ("https://[2001:db8::1]", true), ("https://10.0.0.example", false),
        ("https://10.0.0.256", false), ("https://a", false), ("https://1.2.3", false),
    ])
    func addressesNeedNoResolver(text: String, isNumeric: Bool) throws {
        #expect(try WebAddress(text).endpoint.isNumeric == isNumeric)
    }

    @Test func randomTextsAreReadOrRefused() {
        var generator = SystemRandomNumberGenerator()
        let pieces = [
            "https", "mqtt", "://", ":", "[", "]", "@", "/", "127.0.0.1", "::1", "a", "443", "\u{e4}", " ", "?",
        ]
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 0...8, using: &generator)).map { _ in pieces.randomElement() ?? "" }.joined()
            if let web = try? WebAddress(text) {
                // Behind the authority an "@" is a character like others.
                let authority = text.dropLast(web.endpoint.path.count)
                #expect(authority.lowercased().hasPrefix("https://") && !authority.contains("@"))
                #expect(!web.endpoint.host.isEmpty)
            }
            if let broker = try? BrokerAddress(text) { #expect(broker.usesTLS || broker.endpoint.isLoopback) }
        }
    }
}

@Suite struct RetryStepsTests {
    @Test func thePapersStepsAndThenLongerOnes() {
        var steps = RetrySteps()
        #expect((0..<5).map { _ in steps.next() } == [100, 200, 500, 1000, 2000])
        var later: [Int] = []
        for _ in 0..<500 { later.append(steps.next()) }
        #expect(later.allSatisfy { $0 >= 2000 && $0 <= 10_000 })
        #expect(Set(later).count > 100, "they are drawn")
        steps.reset()
        #expect(steps.next() == 100)
    }

    @Test func pullsKeepTheirInterval() {
        for _ in 0..<500 {
            #expect((810_000...990_000).contains(PullSchedule.afterSuccess(interval: 900_000)))
            #expect((11_250...15_000).contains(PullSchedule.afterFailure(1, interval: 900_000)))
            #expect((675_000...900_000).contains(PullSchedule.afterFailure(Int.max, interval: 900_000)))
            #expect((750...1000).contains(PullSchedule.afterFailure(3, interval: 1000)))
        }
    }
}
