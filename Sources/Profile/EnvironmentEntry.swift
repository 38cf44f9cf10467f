/// `NAME`, `NAME=VALUE` or `PREFIX*`: an entry of `[process] environment`, or of `--env`.
public enum EnvironmentEntry: Sendable, Equatable {
    case pass(String)
    case set(name: String, value: String)
    /// Passes what begins so, except names that look like secrets: those must be listed in full.
    case passPrefix(String)

    /// - Throws: what is wrong, and what would be right.
    public init(_ text: String) throws(AmountError) {
        if let mistake = Self.mistake(in: text) { throw mistake }
        if let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) {
            self = .set(name: String(text[..<equals]), value: String(text[text.utf8.index(after: equals)...]))
        } else if text.utf8.last == UInt8(ascii: "*") {
            self = .passPrefix(String(Substring(text.utf8.dropLast())))
        } else {
            self = .pass(text)
        }
    }

    static func mistake(in text: String) -> AmountError? {
        if text.utf8.contains(0) { return AmountError(found: "a NUL character", remedy: "remove it") }
        var name = Substring(text)
        if let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) {
            name = text[..<equals]
        } else if text.utf8.last == UInt8(ascii: "*") {
            name = Substring(text.utf8.dropLast())
            if name.isEmpty {
                return AmountError(found: "\"*\" would pass the whole environment", remedy: "list the names needed")
            }
        }
        if ProfileName.isVariable(name) { return nil }
        return AmountError(
            found: "\(quoted(text)) is no variable", remedy: "write NAME, NAME=VALUE or PREFIX*")
    }

    /// Whether a name is one people keep secrets under. Such a variable never passes by a prefix.
    public static func looksSecret(_ name: some StringProtocol) -> Bool {
        let upper = name.uppercased()
        for prefix in ["AWS_", "GITHUB_", "GH_", "GITLAB_", "CI_JOB_", "AZURE_", "GOOGLE_"]
        where upper.hasPrefix(prefix) {
            return true
        }
        for part in upper.split(separator: "_") {
            switch part {
            case "TOKEN", "TOKENS", "KEY", "KEYS", "APIKEY", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASS", "PWD",
                "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "AUTH", "AUTHTOKEN", "COOKIE", "PRIVATE":
                return true
            default:
                continue
            }
        }
        return false
    }
}

extension Profile.Process {
    /// What of the caller's environment reaches the agent, with what the profile sets itself; later entries win.
    /// Sorted by name, so that plans compare. Entries that are malformed pass nothing.
    public func filteredEnvironment(_ caller: [(name: String, value: String)]) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        func set(_ name: String, _ value: String) {
            result.removeAll { $0.name == name }
            result.append((name, value))
        }
        for text in environment {
            guard let entry = try? EnvironmentEntry(text) else { continue }
            switch entry {
            case .pass(let name):
                // The first of several equal names is the one getenv(3) answers.
                if let found = caller.first(where: { $0.name == name }) { set(name, found.value) }
            case .set(let name, let value):
                set(name, value)
            case .passPrefix(let prefix):
                for variable in caller.reversed()
                where variable.name.hasPrefix(prefix) && !EnvironmentEntry.looksSecret(variable.name) {
                    set(variable.name, variable.value)
                }
            }
        }
        return result.sorted { $0.name < $1.name }
    }
}
