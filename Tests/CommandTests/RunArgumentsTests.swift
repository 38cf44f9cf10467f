import ArgumentParser
import Testing

@testable import mis

/// The quick reading of a command line and the argument parser's must say the same.
@Suite struct RunArgumentsTests {
    private func parsed(_ arguments: [String]) throws -> RunArguments {
        let command = try RunCommand.parse(arguments)
        return command.options.values(command: command.arguments)
    }

    @Test(arguments: [
        ["true"],
        ["--", "true", "--help"],
        ["-q", "ls", "-l"],
        ["-p", "agent", "--net", "host", "--", "claude", "-p", "hi"],
        ["--profile=agent", "--ro", "/opt", "--ro=/srv", "--rw", "/data", "--deny", "**/.env", "make"],
        ["--limit", "memory=4G", "--limit", "cpu=150%", "--timeout", "10m", "--require", "landlock", "sh", "-c", "x"],
        ["--report", "-", "--record", "/r", "--env", "A=b", "--env", "B", "-w", "/w", "--bind", "/a:/b:ro", "x"],
        ["--dry-run", "--json", "-v", "--force-workspace", "--", "-odd"],
    ])
    func bothReadTheSame(arguments: [String]) throws {
        let quick = try #require(RunArguments(plain: arguments[...]))
        #expect(try quick == parsed(arguments))
    }

    @Test func random() throws {
        var generator = SplitMix(state: 20_260_131)
        let pieces = [
            ["-q"], ["-v"], ["--json"], ["--dry-run"], ["-p", "job"], ["--profile", "x"], ["--profile=y"],
            ["--ro", "/a"],
            ["--rw=/b"], ["--net", "none"], ["--env=C=d"], ["--limit", "pids=3"], ["-w", "."], ["--report", "-"],
        ]
        for _ in 0..<500 {
            var arguments: [String] = []
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                arguments += pieces.randomElement(using: &generator) ?? []
            }
            if Bool.random(using: &generator) { arguments.append("--") }
            arguments += ["command", "--ro", "-q", "--"]
            let quick = try #require(RunArguments(plain: arguments[...]), "\(arguments)")
            #expect(try quick == parsed(arguments), "\(arguments)")
        }
    }

    @Test(arguments: [
        [], ["--help"], ["-h"], ["--nosuch", "true"], ["--ro"], ["--ro", "--rw", "x"], ["-q"], ["--"],
        ["--prof", "x", "y"],
    ])
    func whatIsNotPlainIsLeftToTheParser(arguments: [String]) {
        #expect(RunArguments(plain: arguments[...]) == nil)
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }
}
