import Testing

@testable import Profile

@Suite struct AmountTests {
    @Test(
        arguments: [
            ("2G", 2 << 30), ("512M", 512 << 20), ("64K", 64 << 10), ("1T", 1 << 40), ("4096", 4096), ("0", 0),
            ("1.8G", 1_932_735_283), ("0.5k", 512), ("2GiB", 2 << 30), ("1.5m", 3 << 19),
        ] as [(String, UInt64)])
    func sizes(text: String, bytes: UInt64) throws {
        #expect(try SizeText.parse(text) == .bytes(bytes))
    }

    @Test(arguments: [
        "", "G", "2X", "2 G", " 2G", "-1G", "+1G", "1e9", "nan", "inf", "1..5G", ".5G", "5.G", "0x10", "9999999999T",
        "99999999999999999999", "1.12345678G", "2GB2", "²G",
    ])
    func noSizes(text: String) {
        #expect(throws: AmountError.self) { try SizeText.parse(text) }
    }

    @Test func shares() throws {
        #expect(try SizeText.parse("75%") == .percentOfMemory(75))
        #expect(try SizeText.parse("100%") == .percentOfMemory(100))
        for text in ["0%", "101%", "%", "1.5%", "-1%", "x%"] {
            #expect(throws: AmountError.self) { try SizeText.parse(text) }
        }
        #expect(throws: AmountError.self) { try SizeText.parseBytes("75%") }
    }

    @Test func durations() throws {
        for (text, milliseconds) in [
            ("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("1h", 3_600_000), ("2d", 172_800_000),
            ("1h30m", 5_400_000), ("1.5s", 1500), ("0s", 0), ("1m0.25s", 60_250),
        ] {
            #expect(try DurationText.parse(text) == milliseconds)
        }
        for text in [
            "", "30", "s", "30x", "30 s", "-1s", "30s1h", "1s1s", "nan", "1e3s", "9999999999d", "1h-1m", "10sec",
        ] {
            #expect(throws: AmountError.self, "\(text)") { try DurationText.parse(text) }
        }
    }

    @Test func processors() throws {
        for (text, percent) in [("80%", 80), ("150%", 150), ("1.5", 150), ("2", 200), ("0.25", 25)] {
            #expect(try ProcessorText.parse(text) == percent)
        }
        for text in ["", "0", "0%", "%", "-1", "nan", "12.5%", "5000", "two", "1.5x"] {
            #expect(throws: AmountError.self, "\(text)") { try ProcessorText.parse(text) }
        }
    }

    @Test func whatIsDescribedParsesToTheSame() throws {
        var numbers = Numbers(state: 1)
        for _ in 0..<2000 {
            let bytes = numbers.next() >> UInt64(1 + numbers.below(60))
            #expect(try SizeText.parseBytes(SizeText.describe(bytes: bytes)) == bytes)
            let milliseconds = Int(numbers.next() >> UInt64(30 + numbers.below(30)))
            #expect(try DurationText.parse(DurationText.describe(milliseconds: milliseconds)) == milliseconds)
        }
        #expect(SizeText.describe(bytes: 1_932_735_283) == "1.8G")
        #expect(SizeText.describe(.percentOfMemory(75)) == "75%")
        #expect(DurationText.describe(milliseconds: 5_400_000) == "90m")
    }

    @Test func limitsOfTheCommandLine() throws {
        var limits = Profile.Limits()
        try limits.set(key: "memory", value: "4G")
        try limits.set(key: "memory-high", value: "3.6G")
        try limits.set(key: "cpu", value: "1.5")
        try limits.set(key: "pids", value: "64")
        try limits.set(key: "io_weight", value: "200")
        try limits.set(key: "file-size", value: "1G")
        try limits.set(key: "timeout", value: "10m")
        #expect(limits.memory == .bytes(4 << 30))
        #expect(limits.cpuPercent == 150)
        #expect(limits.pids == 64)
        #expect(limits.ioWeight == 200)
        #expect(limits.fileSize == .bytes(1 << 30))
        #expect(limits.timeoutMilliseconds == 600_000)
        try limits.set(key: "memory-high", value: "none")
        #expect(limits.memoryHigh == nil)
    }

    @Test(arguments: [
        ("memroy", "1G", "unknown limit \"memroy\"; did you mean \"memory\"?"),
        ("memory", "2", "\"2\" is less than 1M; is its unit missing?"),
        ("pids", "0", "0 is out of range; write a whole number from 2 to 4194304"),
        ("pids", "many", "\"many\" is no whole number; write a whole number from 2 to 4194304"),
        ("timeout", "0s", "\"0s\" leaves no time; write \"none\" for no limit"),
    ])
    func mistakesOfTheCommandLine(key: String, value: String, message: String) {
        var limits = Profile.Limits()
        let error = #expect(throws: AmountError.self) { try limits.set(key: key, value: value) }
        #expect(error?.description == message)
        #expect(limits == Profile.Limits())
    }

    @Test func whatHangsOnALimitFollowsIt() throws {
        var profile = try load("extends = [\"default\"]")
        try profile.setLimits([("memory", "1G"), ("cpu", "200%")], source: "--limit")
        #expect(profile.limits.memoryHigh == .bytes(966_367_641))
        #expect(profile.watchdog.memory == .bytes(1 << 30))
        #expect(profile.watchdog.cpuPercent == 250)
        // Given as well, it is taken as given, in either order.
        try profile.setLimits([("memory-high", "512M"), ("memory", "2G")], source: "--limit")
        #expect(profile.limits.memoryHigh == .bytes(512 << 20))
    }

    @Test func allMistakesOfTheCommandLineAtOnceAndNothingDone() throws {
        var profile = try load("extends = [\"default\"]")
        let before = profile
        let errors = #expect(throws: ProfileErrors.self) {
            try profile.setLimits([("memory", "x"), ("pids", "8"), ("disk", "1G")], source: "--limit")
        }
        #expect(errors?.mistakes.count == 2)
        #expect(errors?.mistakes.first?.description.hasPrefix("--limit memory=x: \"x\" is no size") == true)
        #expect(profile == before)
        #expect(throws: ProfileErrors.self) {
            try profile.setLimits([("memory", "1G"), ("memory-high", "2G")], source: "--limit")
        }
    }
}
