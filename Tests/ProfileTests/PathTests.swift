import Testing

@testable import Profile

@Suite struct PathTests {
    @Test(arguments: [
        ("/usr/lib", PathPattern.path("/usr/lib")), ("/", .path("/")), ("//usr//lib/", .path("/usr/lib")),
        ("/usr/./lib/.", .path("/usr/lib")), ("/usr/../etc", .path("/etc")), ("/../..", .path("/")),
        ("~", .path("/home/dev")), ("~/.config/x", .path("/home/dev/.config/x")), ("~/../x", .path("/home/x")),
        ("${HOME}/a", .path("/home/dev/a")), ("${WORKSPACE}", .path("/srv/project")),
        ("${WORKSPACE}/.git/hooks", .path("/srv/project/.git/hooks")), ("${WORKSPACE}/..", .path("/srv")),
        ("${GIT_COMMON_DIR}/hooks", .path("/srv/project/.git/hooks")),
        ("/run/user/${UID}/x", .path("/run/user/1000/x")),
        ("/x/u${UID}-${UID}", .path("/x/u1000-1000")), ("~/.aider*", .glob(folder: "/home/dev", name: ".aider*")),
        ("/etc/ssh/ssh_host_*", .glob(folder: "/etc/ssh", name: "ssh_host_*")), ("/?", .glob(folder: "/", name: "?")),
        ("/a/*/", .glob(folder: "/a", name: "*")), ("**/.env", .suffix([".env"])),
        ("**/.config/gh*/t?ken", .suffix([".config", "gh*", "t?ken"])), ("**//a/./b", .suffix(["a", "b"])),
        ("/…/é", .path("/…/é")), ("/...", .path("/...")), ("/.a/..b", .path("/.a/..b")),
    ])
    func parses(text: String, pattern: PathPattern) throws {
        #expect(try PathText.parse(text, variables).pattern == pattern)
    }

    @Test(arguments: [
        "", "a", "./a", "../a", "~root", "~root/x", "$HOME/x", "${HOME", "${}", "${HOME}x/y", "${PATH}/x", "/a/$x",
        "/a/${x",
        "/a/${HOME}", "${UID}", "${UID}/x", "/a*/b", "/a/**", "/**/a", "**", "**/", "**/*", "**/?*", "**/../a",
        "**/~/a",
        "**/${UID}", "**a", "/a/[b]", "/a/{b,c}", "/a/}", "**/a**", "/a/*${UID}", "/a\0b",
        "/" + String(repeating: "a", count: 4096),
    ])
    func refuses(text: String) {
        #expect(throws: AmountError.self) { try PathText.parse(text, variables) }
    }

    @Test func variablesWithoutAValueSkipTheRule() throws {
        let none = Variables(workspace: "/w", home: nil, uid: 0, gitCommonDirectory: nil)
        #expect(try PathText.parse("${GIT_COMMON_DIR}/hooks", none).pattern == .unavailable(variable: "GIT_COMMON_DIR"))
        #expect(try PathText.parse("~/x", none).pattern == .unavailable(variable: "HOME"))
        #expect(try PathText.parse("~/x*", none).pattern == .unavailable(variable: "HOME"))
        #expect(try PathText.parse("${WORKSPACE}/x", none).pattern == .path("/w/x"))
        // A value that is no absolute path would make rules for who knows what.
        let odd = Variables(workspace: "w", home: "", uid: 0, gitCommonDirectory: nil)
        #expect(try PathText.parse("${WORKSPACE}/x", odd).pattern == .unavailable(variable: "WORKSPACE"))
        #expect(try PathText.parse("~/x", odd).pattern == .unavailable(variable: "HOME"))
    }

    @Test func whatAVariableHoldsIsNoPattern() throws {
        let odd = Variables(workspace: "/w/a*[b]//./c/", home: "/", uid: 0, gitCommonDirectory: nil)
        #expect(try PathText.parse("${WORKSPACE}/x", odd).pattern == .path("/w/a*[b]/c/x"))
        #expect(try PathText.parse("~/x", odd).pattern == .path("/x"))
        #expect(try PathText.parse("~", odd).pattern == .path("/"))
    }

    /// A slash with an accent upon it is a slash still: the kernel reads bytes.
    @Test func combiningCharactersHideNoSlash() throws {
        #expect(try PathText.parse("/\u{301}a/b", variables).pattern == .path("/\u{301}a/b"))
        #expect(try PathText.parse("~/\u{301}a", variables).pattern == .path("/home/dev/\u{301}a"))
        #expect(throws: AmountError.self) { try PathText.parse("/a/*\u{301}/b", variables) }
    }

    @Test func theQuickWayAgreesWithTheGeneralOne() throws {
        var numbers = Numbers(state: 7)
        let parts = [
            "/", "/", "/", "a", "b.c", ".", "..", "...", "~", "${HOME}", "${WORKSPACE}", "${GIT_COMMON_DIR}", "${UID}",
            "*",
            "?", "**", "[", "}", "$", "é", "\u{301}", "${X}",
        ]
        let runs = [
            variables, Variables(workspace: "/w/", home: nil, uid: 1, gitCommonDirectory: nil),
            Variables(workspace: "/", home: "/h/./x", uid: 1, gitCommonDirectory: "g"),
        ]
        var quick = 0
        for _ in 0..<20_000 {
            let text = (0..<(1 + numbers.below(6))).map { _ in numbers.pick(parts) }.joined()
            let run = numbers.pick(runs)
            guard let plain = PathText.plain(text, run) else { continue }
            quick += 1
            let general = try PathText.general(text, run)
            #expect(plain == general, "\(text)")
        }
        #expect(quick > 500)
    }

    @Test func globs() {
        for (pattern, name) in [
            ("*", ""), ("*", "a"), ("a*", "a"), ("a*", "abc"), ("*c", "abc"), ("a*c", "ac"), ("a?c", "abc"),
            ("**", "x"),
            (".aider*", ".aider.conf.yml"), ("*.tmp.*", "x.tmp.1.tmp.2"), ("a*b*c", "aXbYbZc"),
        ] {
            #expect(Glob.matches(pattern, name), "\(pattern) \(name)")
        }
        for (pattern, name) in [
            ("", "a"), ("a", ""), ("?", ""), ("a*", "b"), ("*c", "cb"), ("a?c", "ac"), ("abc", "ab"), ("ab", "abc"),
            ("A*", "abc"), ("a*b*c", "aXc"),
        ] {
            #expect(!Glob.matches(pattern, name), "\(pattern) \(name)")
        }
    }
}
