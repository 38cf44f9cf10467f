import Testing

@testable import Profile

@Suite struct EnvironmentTests {
    private func filtered(_ entries: [String], _ caller: [(String, String)]) -> [String] {
        var process = Profile.Process()
        process.environment = entries
        return process.filteredEnvironment(caller.map { (name: $0.0, value: $0.1) }).map { "\($0.name)=\($0.value)" }
    }

    @Test func onlyWhatIsListedPasses() {
        let caller = [("PATH", "/bin"), ("LC_ALL", "C"), ("LCX", "x"), ("TOKEN", "t"), ("path", "p"), ("EMPTY", "")]
        #expect(filtered(["PATH", "LC_*", "EMPTY", "ABSENT"], caller) == ["EMPTY=", "LC_ALL=C", "PATH=/bin"])
        #expect(filtered([], caller) == [])
    }

    @Test func laterEntriesWinAndTheFirstOfEqualNamesIsMeant() {
        #expect(filtered(["A", "A=set"], [("A", "1")]) == ["A=set"])
        #expect(filtered(["A=set", "A"], [("A", "1"), ("A", "2")]) == ["A=1"])
        #expect(filtered(["A*"], [("A", "1"), ("A", "2")]) == ["A=1"])
        #expect(filtered(["A=b=c"], []) == ["A=b=c"])
    }

    @Test func secretsNeverPassByPrefix() {
        let secrets = [
            "X_API_KEY", "X_TOKEN", "X_SECRET", "X_PASSWORD", "X_AUTH_TOKEN", "X_ACCESS_KEY_ID", "X_PRIVATE_KEY",
            "X_APIKEY",
            "X_key", "X_CREDENTIALS",
        ]
        let caller = secrets.map { ($0, "s") } + [("X_HOME", "h"), ("X_MONKEY", "m")]
        #expect(filtered(["X_*"], caller) == ["X_HOME=h", "X_MONKEY=m"])
        #expect(filtered(["X_API_KEY"], caller) == ["X_API_KEY=s"])
        #expect(
            filtered(["A*", "G*"], [("AWS_REGION", "r"), ("GITHUB_SHA", "s"), ("GH_HOST", "h"), ("GOPATH", "g")]) == [
                "GOPATH=g"
            ])
    }

    @Test func entriesThatAreNone() {
        for text in ["", "*", "=x", "A B", "1A", "A-B", "*A", "A*B", "A**", "A\0", "é"] {
            #expect(EnvironmentEntry.mistake(in: text) != nil, "\(text)")
        }
        for text in ["A", "_", "A=", "A= b c*", "npm_config_*", "http_proxy"] {
            #expect(EnvironmentEntry.mistake(in: text) == nil, "\(text)")
        }
    }
}
