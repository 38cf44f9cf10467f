import Testing

@testable import Profile

/// What people are told when a profile is wrong: the whole message, place included.
@Suite struct MistakeTests {
    @Test(arguments: [
        // Names.
        ("[limits]\nmemroy = \"2G\"", "p.toml:2:1: unknown key \"memroy\" in [limits]; did you mean \"memory\"?"),
        ("[limit]\nmemory = \"2G\"", "p.toml:1:1: unknown section [limit]; did you mean \"limits\"?"),
        ("pids = 5", "p.toml:1:1: unknown key \"pids\" at the top of the file; it belongs in [limits]"),
        ("[network]\nname = \"x\"", "p.toml:2:1: unknown key \"name\" in [network]; it belongs at the top of the file"),
        (
            "[network]\n\"mo.de\" = 5",
            "p.toml:2:1: unknown key \"\"mo.de\"\" in [network]; known: mode"
        ),
        ("limits = 5", "p.toml:1:1: limits is a whole number; it is a section: write [limits]"),
        ("[[limits]]\n", "p.toml:1:1: [[limits]] is a list of tables; sections are written [name]"),
        ("[limits.memory]\n", "p.toml:1:1: limits.memory is no table; write key = value in its section"),
        ("name = \"a/b\"", "p.toml:1:8: \"a/b\" is no profile name; letters, digits, \"-\", \"_\" and \".\""),
        // Types.
        (
            "[limits]\npids = \"512\"",
            "p.toml:2:8: limits.pids is a string; a whole number is due, such as 512"
        ),
        ("[limits]\nmemory = 2", "p.toml:2:10: limits.memory is a whole number; a string is due, such as \"2G\""),
        (
            "[limits]\ncpu = nan",
            "p.toml:2:7: limits.cpu is a floating-point number; a string is due, such as \"80%\""
        ),
        (
            "[limits]\npids = nan",
            "p.toml:2:8: limits.pids is a floating-point number; a whole number is due, such as 512"
        ),
        ("[process]\nnested = 1", "p.toml:2:10: process.nested is a whole number; a boolean is due, such as true"),
        (
            "[filesystem]\nread = \"/usr\"",
            "p.toml:2:8: filesystem.read is a string; a list of paths is due, such as [\"...\"]"
        ),
        (
            "[filesystem]\nread = [\"/usr\",\n  7]",
            "p.toml:3:3: a whole number in filesystem.read; a list of paths is due"
        ),
        (
            "[filesystem]\nread = [[\"/usr\"]]",
            "p.toml:2:9: a list in filesystem.read; a list of paths is due"
        ),
        (
            "[limits]\ntimeout = 1979-05-27 07:32:00Z",
            "p.toml:2:11: limits.timeout is a date or time; a string is due, such as \"10m\""
        ),
        // Values.
        (
            "[limits]\nmemory = \"2 G\"",
            "p.toml:2:10: limits.memory: \"2 G\" is no size; write a number with K, M, G or T, such as \"512M\""
        ),
        (
            "[limits]\ntimeout = \"5\"",
            "p.toml:2:11: limits.timeout: \"5\" is no duration; "
                + "write a number with ms, s, m, h or d, such as \"30s\" or \"10m\""
        ),
        (
            "[network]\nmode = \"all\"",
            "p.toml:2:8: network.mode is \"all\"; write \"none\" or \"host\""
        ),
        (
            "[streams]\non_failure = \"die\"",
            "p.toml:2:14: streams.on_failure is \"die\"; write \"continue\" or \"stop\""
        ),
        (
            "[process]\ncapabilities = [\"NET_RAW\", \"CAP_NET_RAW\"]",
            "p.toml:2:17: unknown capability \"NET_RAW\"; did you mean \"CAP_NET_RAW\"?"
        ),
        (
            "[process]\nenvironment = [\"*\"]",
            "p.toml:2:16: \"*\" would pass the whole environment; list the names needed"
        ),
        (
            "[limits]\nmemory = \"1G\"\nmemory_high = \"2G\"",
            "p.toml:3:1: memory_high (2G) is above memory (1G); the soft limit goes below the hard one"
        ),
        // Twice.
        ("[limits]\npids = 5\npids = 6", "p.toml:3:1: limits.pids appears twice; the first is in line 2: keep one"),
        (
            "limits.pids = 5\n[limits]\npids = 6",
            "p.toml:3:1: limits.pids appears twice; the first is in line 1: keep one"
        ),
        (
            "[limits]\n[network]\n[limits]",
            "p.toml:3:1: section [limits] appears twice; it began in line 1: put both together"
        ),
        // Paths.
        (
            "[filesystem]\nread = [\"src/x\"]",
            "p.toml:2:9: \"src/x\" is relative; begin with /, ~, ${WORKSPACE} or ${HOME}"
        ),
        (
            "[filesystem]\nread = [\"${WORKSPAC}/x\"]",
            "p.toml:2:9: unknown variable ${WORKSPAC} in \"${WORKSPAC}/x\"; did you mean \"WORKSPACE\"?"
        ),
        (
            "[filesystem]\nread = [\"/a/*/b\"]",
            "p.toml:2:9: \"*\" stands before the last name of \"/a/*/b\"; "
                + "* and ? may stand in the last name only, or write **/name"
        ),
        (
            "[filesystem]\ndeny = [\"/a/**\"]",
            "p.toml:2:9: \"**\" in \"/a/**\"; it may only stand at the very beginning, as in **/name"
        ),
        (
            "[filesystem]\ndeny = [\"**/[.]env\"]",
            "p.toml:2:9: a bracket in \"**/[.]env\"; only * and ? are known; ? also stands for a literal bracket"
        ),
        (
            "[filesystem]\nwrite = [\"**/target\"]",
            "p.toml:2:10: the name pattern \"**/target\" under write; "
                + "only deny and protect take **/name; list the place itself"
        ),
        (
            "[filesystem]\nwrite = [\"~\"]",
            "p.toml:2:10: \"~\" under write gives away the home folder; list the folders below it that are needed"
        ),
        (
            "[filesystem]\nwrite = [\"/a\"]\ndeny = [\n\"/b\",\n  \"/a/\"]",
            "p.toml:5:3: \"/a/\" is under both write and deny; the other is in line 2: keep one"
        ),
        // Parents.
        ("extends = [\"agnet\"]", "p.toml:1:12: no profile \"agnet\"; did you mean \"agent\"?"),
        (
            "extends = [\"./base.toml\"]",
            "p.toml:1:12: the parent \"./base.toml\" is a relative path; name it, or write its absolute path"
        ),
        ("extends = \"agent\"", "p.toml:1:11: extends is a string; a list of profile names is due, such as [\"...\"]"),
        ("extends = [\"p\"]", "p.toml:1:12: extends itself: p.toml -> p.toml; remove one of these from extends"),
        // TOML.
        ("[limits]\nmemory = 2G", "p.toml:2:10: \"2G\" is no value; strings need quotes; true, false and 42 need none"),
        ("name = \"x", "p.toml:1:10: a string is not closed on its line; close it by the quote it began with"),
        ("[limits\npids = 5", "p.toml:1:8: a section's header is not closed; write [name]"),
        ("[limits]\npids 5", "p.toml:2:6: a key without a value; write pids = value"),
        ("[limits] pids = 5", "p.toml:1:10: \"p\" after a complete statement; start a new line"),
        ("name = \"a\\u0000b\"", "p.toml:1:10: a NUL character in a string; remove it"),
        (
            "name = \"\\q\"",
            "p.toml:1:8: an unknown escape in a string; write \\\\ for a backslash, or use single quotes"
        ),
        (
            "[filesystem]\nread = [\"/a\" \"/b\"]",
            "p.toml:2:14: \"\"\" in a list; separate entries by a comma, close by ]"
        ),
    ])
    func message(text: String, expected: String) {
        #expect(mistakes(text) == [expected])
    }

    @Test func everyMistakeAtOnce() {
        let text = """
            nmae = "x"
            extends = ["default", "nobody"]
            [enforcement]
            require = "strong"
            [filesystem]
            read = ["relative", 5, "/fine", "/bad/*/x"]
            [limits]
            memory = "lots"
            pids = "few"
            broken = = 1
            timeout = "soon"
            [watchdgo]
            interval = "5s"
            [streams]
            trace = "yes"
            """
        let places = mistakes(text).map { $0.split(separator: ":").prefix(3).joined(separator: ":") }
        #expect(
            places == [
                "p.toml:1:1", "p.toml:2:23", "p.toml:4:11", "p.toml:6:9", "p.toml:6:21", "p.toml:6:33", "p.toml:8:10",
                "p.toml:9:8", "p.toml:10:10", "p.toml:11:11", "p.toml:12:1", "p.toml:15:9",
            ])
    }

    @Test func oneBrokenListRaisesOneComplaint() {
        let found = mistakes("[filesystem]\nread = [\n\"/a\"\n\"/b\",\n\"/c\",\n]\n[limits]\npids = \"x\"")
        #expect(found.count == 2)
        #expect(found.first?.hasPrefix("p.toml:4:1: ") == true)
        #expect(found.last?.hasPrefix("p.toml:8:8: ") == true)
    }

    @Test func columnsCountCharactersNotBytes() {
        #expect(mistakes("[filesystem]\nread = [\"/é\", \"x\"]").first?.hasPrefix("p.toml:2:15: ") == true)
    }

    @Test func mistakesOfBasesNameTheirOwnFile() {
        let found = mistakes("extends = [\"base\"]\nbad = 1", and: ["base": "[limits]\npids = 0\n"])
        #expect(found.count == 2)
        #expect(found.first?.hasPrefix("base.toml:2:8: ") == true)
        #expect(found.last?.hasPrefix("p.toml:2:1: ") == true)
    }

    @Test func cyclesAreNamed() {
        let found = mistakes(
            "extends = [\"one\"]", and: ["one": "extends = [\"two\"]", "two": "# back\nextends = [\"one\"]"])
        #expect(
            found == [
                "two.toml:2:12: extends itself: one.toml -> two.toml -> one.toml; remove one of these from extends"
            ])
    }

    @Test func absurdInput() {
        // Not UTF-8, a NUL, one megabyte and more, ten thousand levels of each kind.
        let loader = { (bytes: [UInt8]) -> [String] in
            let sources = ProfileSources(
                find: { name throws(ProfileSources.Refusal) in
                    ProfileSources.Text(name: "p.toml", place: .user, bytes: bytes)
                },
                list: { [] })
            do throws(ProfileErrors) {
                _ = try ProfileLoader(sources: sources, variables: variables).load("p")
                return []
            } catch {
                return error.mistakes.map(\.description)
            }
        }
        #expect(
            loader(Array("[limits]\n# é".utf8) + [0xFF]) == [
                "p.toml:2:4: a byte that is not UTF-8; save the file as UTF-8"
            ])
        #expect(loader(Array("name = \"a\0b\"".utf8)).first?.hasPrefix("p.toml:1:10: a control character") == true)
        #expect(loader([UInt8](repeating: 0x20, count: 1 << 20)) == [])
        #expect(loader([UInt8](repeating: 0x20, count: 1 << 20 + 1)).count == 1)
        #expect(!loader(Array(("a" + String(repeating: ".a", count: 10_000) + " = 1").utf8)).isEmpty)
        #expect(!loader(Array(("a = " + String(repeating: "[", count: 10_000)).utf8)).isEmpty)
        #expect(!loader(Array(("a = " + String(repeating: "{a=", count: 10_000)).utf8)).isEmpty)
        #expect(!loader(Array(("a = " + String(repeating: "[{a=", count: 10_000)).utf8)).isEmpty)
        #expect(!loader(Array(String(repeating: "[", count: 10_000).utf8)).isEmpty)
        #expect(!loader(Array("a = [\(String(repeating: "1,", count: 20_000))]".utf8)).isEmpty)
        #expect(loader(Array(String(repeating: "[a]\n", count: 250_000).utf8)).count < 2000)
        #expect(loader(Array((0..<60_000).map { "k\($0) = 1\n" }.joined().utf8)).count < 2000)
    }
}
