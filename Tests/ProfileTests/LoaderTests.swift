import Testing

@testable import Profile

@Suite struct LoaderTests {
    @Test func scalarsLaterWinsListsAppend() throws {
        let profile = try load(
            """
            name = "mine"
            extends = ["one", "two"]
            [filesystem]
            read = ["/c"]
            [limits]
            pids = 30
            """,
            and: [
                "one": "description = \"first\"\n[filesystem]\nread = [\"/a\"]\n[limits]\npids = 10\nfiles = 100",
                "two": "[filesystem]\nread = [\"/b\"]\n[limits]\npids = 20\nfiles = 200\nio_weight = 7",
            ])
        #expect(profile.name == "mine")
        #expect(profile.description == "")
        #expect(profile.filesystem.rules.map(\.text) == ["/a", "/b", "/c"])
        #expect(profile.limits.pids == 30)
        #expect(profile.limits.files == 200)
        #expect(profile.limits.ioWeight == 7)
    }

    @Test func aBaseReachedTwiceCountsOnce() throws {
        let profile = try load(
            "extends = [\"one\", \"two\"]",
            and: [
                "base": "[filesystem]\nread = [\"/base\"]\n[limits]\npids = 10",
                "one": "extends = [\"base\"]\n[limits]\npids = 20", "two": "extends = [\"base\"]",
            ])
        #expect(profile.filesystem.rules.map(\.text) == ["/base"])
        #expect(profile.limits.pids == 20)
    }

    @Test func longChainsAndWideTreesAreRefused() throws {
        func chain(_ length: Int) -> [String: String] {
            var texts: [String: String] = ["c0": ""]
            for index in 1..<length { texts["c\(index)"] = "extends = [\"c\(index - 1)\"]" }
            return texts
        }
        #expect(mistakes("extends = [\"c14\"]", and: chain(15)) == [])
        #expect(mistakes("extends = [\"c15\"]", and: chain(16)).count == 1)
        let many = Dictionary(uniqueKeysWithValues: (0..<70).map { ("w\($0)", "") })
        let names = many.keys.sorted().map { "\"\($0)\"" }
        #expect(mistakes("extends = [\(names.prefix(63).joined(separator: ","))]", and: many) == [])
        #expect(!mistakes("extends = [\(names.joined(separator: ","))]", and: many).isEmpty)
    }

    @Test func memoryAloneTakesItsSoftLimitAlong() throws {
        let profile = try load("extends = [\"default\"]\n[limits]\nmemory = \"1000M\"")
        #expect(profile.limits.memoryHigh == .bytes(900 << 20))
        #expect(profile.watchdog.memory == .bytes(1000 << 20))
        let share = try load("extends = [\"default\"]\n[limits]\nmemory = \"50%\"")
        #expect(share.limits.memoryHigh == .percentOfMemory(45))
        let both = try load("extends = [\"default\"]\n[limits]\nmemory = \"8G\"\nmemory_high = \"1G\"")
        #expect(both.limits.memoryHigh == .bytes(1 << 30))
        let watched = try load("extends = [\"default\"]\n[limits]\nmemory = \"8G\"\n[watchdog]\nmemory = \"4G\"")
        #expect(watched.watchdog.memory == .bytes(4 << 30))
    }

    @Test func noneLiftsALimit() throws {
        let profile = try load("extends = [\"default\"]\n[limits]\npids = \"none\"\nmemory = \"none\"\ncpu = \"none\"")
        #expect(profile.limits.pids == nil)
        #expect(profile.limits.memory == nil)
        #expect(profile.limits.memoryHigh == nil)
        #expect(profile.watchdog.cpuPercent == nil)
    }

    @Test func everyKeyArrives() throws {
        let profile = try load(
            """
            name = "full"
            description = 'all keys'
            [enforcement]
            require = "fanotify"
            unknown = "trace"
            gaps = "refuse"
            [filesystem]
            read = ["/r"]
            write = ["/w"]
            execute = ["/x"]
            deny = ["**/.env"]
            protect = ["/p"]
            tmpfs = ["/t"]
            [process]
            user = "nobody"
            capabilities = ["CAP_NET_BIND_SERVICE"]
            seccomp = ["io_uring_setup"]
            nested = true
            environment = ["PATH", "A=b", "LC_*"]
            [limits]
            memory = "4G"
            memory_high = "3G"
            cpu = "150%"
            cpu_weight = 50
            pids = 1_024
            io_weight = 0x64
            files = 1024
            file_size = "1G"
            tmp_size = "10%"
            timeout = "90m"
            [network]
            mode = "host"
            [watchdog]
            interval = "1s"
            cpu = "200%"
            cpu_for = "10s"
            memory = "2G"
            [escalation]
            kill = 3
            window = "5s"
            [streams]
            trace = true
            reasoning = false
            on_failure = "stop"
            limit = "\\u0031G"
            [policy]
            bundles = "hotfix"
            revoke = true
            [cache]
            open = "0s"
            execute = "10m"
            use = "1s"
            """)
        var expected = Profile(name: "full", description: "all keys")
        expected.enforcement.require = .fanotify
        expected.enforcement.unknown = .trace
        expected.enforcement.gaps = .refuse
        expected.filesystem = profile.filesystem
        expected.process.user = "nobody"
        expected.process.capabilities = ["CAP_NET_BIND_SERVICE"]
        expected.process.seccomp = ["io_uring_setup"]
        expected.process.nested = true
        expected.process.environment = ["PATH", "A=b", "LC_*"]
        expected.limits.memory = .bytes(4 << 30)
        expected.limits.memoryHigh = .bytes(3 << 30)
        expected.limits.cpuPercent = 150
        expected.limits.cpuWeight = 50
        expected.limits.pids = 1024
        expected.limits.ioWeight = 100
        expected.limits.files = 1024
        expected.limits.fileSize = .bytes(1 << 30)
        expected.limits.tmpSize = .percentOfMemory(10)
        expected.limits.timeoutMilliseconds = 5_400_000
        expected.network.mode = .host
        expected.watchdog.intervalMilliseconds = 1000
        expected.watchdog.cpuPercent = 200
        expected.watchdog.cpuForMilliseconds = 10_000
        expected.watchdog.memory = .bytes(2 << 30)
        expected.escalation.kill = 3
        expected.escalation.windowMilliseconds = 5000
        expected.streams.trace = true
        expected.streams.reasoning = false
        expected.streams.onFailure = .stop
        expected.streams.limit = 1 << 30
        expected.policy.bundles = .hotfix
        expected.policy.revoke = true
        expected.cache.open = 0
        expected.cache.execute = 600
        expected.cache.use = 1
        #expect(profile == expected)
        #expect(profile.filesystem.rules.map(\.access) == [.read, .write, .execute, .deny, .protect, .tmpfs])
        #expect(profile.filesystem.rules.first?.origin == .file(name: "p.toml", line: 8, column: 9))
    }

    @Test func timesToLiveAreWholeSeconds() {
        for wrong in ["1500ms", "2d", "5", "-1s", ""] {
            #expect(!mistakes("[cache]\nopen = \"\(wrong)\"").isEmpty, "\(wrong)")
        }
        #expect(mistakes("[cache]\nopen = \"24h\"") == [])
    }

    @Test func levelsMayDisagreeOneFileMayNot() throws {
        let profile = try load(
            "extends = [\"base\"]\n[filesystem]\ndeny = [\"/a\"]", and: ["base": "[filesystem]\nwrite = [\"/a\"]"])
        #expect(RuleSet(profile.filesystem.rules).access(for: "/a/b").access == .deny)
        #expect(!mistakes("[filesystem]\nwrite = [\"/a\"]\ndeny = [\"/a\"]").isEmpty)
        #expect(mistakes("[filesystem]\nread = [\"/a\"]\nexecute = [\"/a\"]\nprotect = [\"/a\"]") == [])
        #expect(!mistakes("[filesystem]\nread = [\"~/a\"]\nwrite = [\"${HOME}/b/../a\"]").isEmpty)
    }

    @Test func theResolvedTextReadsBackTheSame() throws {
        for name in BuiltinProfiles.names {
            let loader = ProfileLoader(sources: .builtIn, variables: variables)
            let loaded = try loader.load(name)
            let again = try load(loaded.resolvedText)
            #expect(again.limits == loaded.profile.limits)
            #expect(again.enforcement == loaded.profile.enforcement)
            #expect(again.process == loaded.profile.process)
            #expect(again.watchdog == loaded.profile.watchdog)
            #expect(again.escalation == loaded.profile.escalation)
            #expect(again.streams == loaded.profile.streams)
            #expect(again.policy == loaded.profile.policy)
            #expect(again.cache == loaded.profile.cache)
            #expect(again.name == loaded.profile.name)
            for access in PathRule.Access.allCases {
                let before = loaded.profile.filesystem.rules.filter { $0.access == access }.map(\.pattern)
                #expect(again.filesystem.rules.filter { $0.access == access }.map(\.pattern) == before)
            }
            #expect(loaded.resolvedText.contains("# built-in default:"))
        }
    }

    @Test func theCatalogTellsTheUsedFromTheHidden() {
        let catalog = ProfileCatalog(
            sources: sources(["job": "description = \"ours\"", "bad": "x = 1"]), variables: variables)
        let list = catalog.list()
        #expect(list.map(\.name) == ["agent", "bad", "default", "job", "job"])
        #expect(list.map(\.isHidden) == [false, false, false, false, true])
        #expect(list[3].description == "ours")
        #expect(list[1].mistakes.count == 1)
        #expect(list[0].place == .builtIn)
    }
}
