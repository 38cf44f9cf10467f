import Testing

@testable import Profile

@Suite struct RuleSetTests {
    private func rule(_ access: PathRule.Access, _ text: String) throws -> PathRule {
        try PathRule(access: access, text: text, option: "test", variables: variables)
    }

    private func rules(_ list: [(PathRule.Access, String)]) throws -> RuleSet {
        RuleSet(try list.map { try rule($0.0, $0.1) })
    }

    @Test func theNearestRuleWins() throws {
        let set = try rules([(.read, "/a"), (.deny, "/a/b"), (.write, "/a/b/c"), (.protect, "/a/b/c/d")])
        #expect(set.access(for: "/a").access == .read)
        #expect(set.access(for: "/a/x/y").access == .read)
        #expect(set.access(for: "/a/b").access == .deny)
        #expect(set.access(for: "/a/b/x").access == .deny)
        #expect(set.access(for: "/a/b/c/x").access == .write)
        #expect(set.access(for: "/a/b/c/d/e/f").access == .protect)
        #expect(set.access(for: "/a/b/c/d").rule == 3)
        #expect(set.access(for: "/b").access == nil)
        #expect(set.access(for: "/").access == nil)
    }

    @Test func atOnePlaceTheStrictestWins() throws {
        let order: [PathRule.Access] = [.deny, .protect, .write, .tmpfs, .read]
        for (index, strong) in order.enumerated() {
            for weak in order[(index + 1)...] {
                #expect(try rules([(strong, "/a"), (weak, "/a")]).access(for: "/a/b").access == strong)
                #expect(try rules([(weak, "/a"), (strong, "/a")]).access(for: "/a/b").access == strong)
            }
        }
    }

    @Test func ofEqualsTheLastIsNamed() throws {
        #expect(try rules([(.deny, "/a"), (.deny, "/a")]).access(for: "/a").rule == 1)
        #expect(try rules([(.deny, "**/a"), (.deny, "/a")]).access(for: "/a").rule == 1)
        #expect(try rules([(.deny, "/a"), (.deny, "**/a")]).access(for: "/a").rule == 1)
    }

    /// Names that only look alike are other names.
    @Test func namesMatchWhole() throws {
        let set = try rules([(.write, "/srv/project"), (.deny, "**/.env"), (.deny, "/home/dev/.ssh")])
        for path in ["/srv/project-evil", "/srv/projec", "/srv/Project", "/srv/project\u{200B}", "/", "/x/srv/project"]
        {
            #expect(set.access(for: path).access == nil, "\(path)")
        }
        for path in ["/srv/project/.envrc", "/srv/project/x.env", "/srv/project/.ENV", "/srv/project/.en"] {
            #expect(set.access(for: path).access == .write, "\(path)")
        }
        #expect(set.access(for: "/srv/project").access == .write)
        #expect(set.access(for: "/srv/project/.env").access == .deny)
        #expect(set.access(for: "/home/dev/.ssh/id").access == .deny)
        #expect(set.access(for: "/home/dev/.sshx").access == nil)
        // Two spellings of one letter are two names to the kernel.
        let accents = try rules([(.deny, "/\u{E9}")])
        #expect(accents.access(for: "/\u{E9}").access == .deny)
        #expect(accents.access(for: "/e\u{301}").access == nil)
    }

    @Test func patternsStandWhereTheyMatch() throws {
        let set = try rules([
            (.write, "/w"), (.deny, "**/.env"), (.read, "/w/a/.env/open"), (.protect, "**/.git/hooks"),
            (.deny, "/etc/k_*"),
        ])
        #expect(set.access(for: "/w/a/.env").access == .deny)
        #expect(set.access(for: "/w/a/.env/b/c").access == .deny)
        #expect(set.access(for: "/.env").access == .deny)
        // Below the pattern's place a nearer rule decides.
        #expect(set.access(for: "/w/a/.env/open/x").access == .read)
        #expect(set.access(for: "/w/.git/hooks/pre-commit").access == .protect)
        #expect(set.access(for: "/w/.git/x/hooks").access == .write)
        #expect(set.access(for: "/hooks").access == nil)
        #expect(set.access(for: "/etc/k_rsa").access == .deny)
        #expect(set.access(for: "/etc/k_rsa/x").access == .deny)
        #expect(set.access(for: "/etc/x/k_rsa").access == nil)
    }

    @Test func executeIsARightOfItsOwn() throws {
        let set = try rules([(.read, "/usr"), (.execute, "/usr/bin"), (.write, "/w"), (.deny, "/usr/bin/su")])
        #expect(set.access(for: "/usr/bin/ls").mayExecute)
        #expect(set.access(for: "/usr/bin/ls").mayRead)
        #expect(set.access(for: "/usr/bin/ls").executeRule == 1)
        #expect(!set.access(for: "/usr/share/x").mayExecute)
        #expect(!set.access(for: "/w/x").mayExecute)
        #expect(set.access(for: "/w/x").mayWrite)
        #expect(!set.access(for: "/usr/bin/su").mayExecute)
        #expect(!set.access(for: "/usr/bin/ls").mayWrite)
    }

    @Test func bytesThatAreNoText() throws {
        let set = try rules([(.write, "/w"), (.deny, "**/?env")])
        let path: [UInt8] = [0x2F, 0x77, 0x2F, 0xFF, 0x65, 0x6E, 0x76]
        #expect(set.decide(path: path.span).access == .deny)
        let other: [UInt8] = [0x2F, 0x77, 0x2F, 0xFF, 0xFF]
        #expect(set.decide(path: other.span).access == .write)
        let empty: [UInt8] = []
        #expect(set.decide(path: empty.span).access == nil)
        let slashes = Array("//w//x//".utf8)
        #expect(set.decide(path: slashes.span).access == .write)
    }

    /// Against the rule as DESIGN states it, written down as plainly as can be: look at every place from the object
    /// upwards; the first place where a rule stands decides, by strength.
    @Test func agreesWithThePlainModel() throws {
        var numbers = Numbers(state: 42)
        let names = ["a", "b", "ab", ".env", "c", "é"]
        let globs = ["a*", "*", "?", "*b", ".e?v", "a?"]
        func path(_ longest: Int) -> [String] { (0..<numbers.below(longest + 1)).map { _ in numbers.pick(names) } }
        for _ in 0..<600 {
            var list: [PathRule] = []
            for _ in 0..<(1 + numbers.below(14)) {
                var access = numbers.pick(PathRule.Access.allCases)
                let pattern: PathPattern
                switch numbers.below(4) {
                case 0: pattern = .glob(folder: "/" + path(2).joined(separator: "/"), name: numbers.pick(globs))
                case 1:
                    if access == .tmpfs { access = .deny }
                    pattern = .suffix(path(1) + [numbers.pick(names + globs)])
                default: pattern = .path("/" + path(3).joined(separator: "/"))
                }
                list.append(PathRule(access: access, pattern: pattern, text: "", origin: .commandLine(option: "")))
            }
            let set = RuleSet(list)
            for _ in 0..<40 {
                let object = path(5)
                let decision = set.access(for: "/" + object.joined(separator: "/"))
                let expected = plainModel(list, object)
                #expect(decision == expected, "\(object) \(list.map { "\($0.access) \($0.pattern)" })")
            }
        }
    }

    private func plainModel(_ rules: [PathRule], _ object: [String]) -> Decision {
        func stands(_ rule: PathRule, at place: [String]) -> Bool {
            switch rule.pattern {
            case .path(let path):
                return path == "/" + place.joined(separator: "/")
            case .glob(let folder, let name):
                guard let last = place.last else { return false }
                return folder == "/" + place.dropLast().joined(separator: "/")
                    && plainGlob(Array(name.utf8), Array(last.utf8))
            case .suffix(let names):
                return place.count >= names.count
                    && zip(place.suffix(names.count), names).allSatisfy { plainGlob(Array($1.utf8), Array($0.utf8)) }
            case .unavailable:
                return false
            }
        }
        let strength: [PathRule.Access] = [.read, .tmpfs, .write, .protect, .deny]
        var decision = Decision()
        for depth in stride(from: object.count, through: 0, by: -1) {
            let place = Array(object.prefix(depth))
            let here = rules.indices.filter { stands(rules[$0], at: place) }
            if decision.access == nil {
                for level in strength.reversed() where decision.access == nil {
                    if let index = here.last(where: { rules[$0].access == level }) {
                        decision.access = level
                        decision.rule = index
                    }
                }
            }
            if decision.executeRule == nil { decision.executeRule = here.last { rules[$0].access == .execute } }
        }
        return decision
    }

    private func plainGlob(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
        guard let first = pattern.first else { return name.isEmpty }
        let rest = Array(pattern.dropFirst())
        if first == UInt8(ascii: "*") { return (0...name.count).contains { plainGlob(rest, Array(name[$0...])) } }
        guard let byte = name.first else { return false }
        return (first == UInt8(ascii: "?") || first == byte) && plainGlob(rest, Array(name.dropFirst()))
    }

    @Test func thousandsOfRules() throws {
        let set = RuleSet(
            (0..<5000).map {
                PathRule(
                    access: $0 % 2 == 0 ? .read : .deny, pattern: .path("/d\($0 % 70)/e\($0)"), text: "",
                    origin: .commandLine(option: ""))
            })
        for index in 0..<5000 {
            #expect(set.access(for: "/d\(index % 70)/e\(index)/x").rule == index)
        }
        #expect(set.access(for: "/d1/e2").rule == nil)
    }
}
