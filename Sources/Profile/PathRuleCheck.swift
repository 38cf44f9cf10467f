extension PathRule.Access {
    /// Whether the two say different things about one place. `read` beside `protect` does not, nor does `execute`
    /// beside anything that lets the place be read.
    func contradicts(_ other: PathRule.Access) -> Bool {
        switch (self, other) {
        case (let one, let two) where one == two: false
        case (.deny, _), (_, .deny): true
        case (.execute, _), (_, .execute): false
        case (.read, .protect), (.protect, .read): false
        default: true
        }
    }
}

extension PathRule {
    /// The rule an option of the command line makes (`--ro`, `--rw`, `--deny`), from the path as typed, made absolute
    /// by the caller.
    /// - Throws: what is wrong with the path, and what would be right.
    public init(access: Access, text: String, option: String, variables: Variables) throws(AmountError) {
        let path = try PathText.parse(text, variables)
        try Self.check(path, for: access, text: text)
        self.init(access: access, pattern: path.pattern, text: text, origin: .commandLine(option: option))
    }

    /// Refuses what a list of this access cannot hold.
    static func check(_ path: PathText, for access: Access, text: String) throws(AmountError) {
        switch (access, path.pattern) {
        case (.read, .suffix), (.write, .suffix), (.execute, .suffix), (.tmpfs, .suffix):
            throw AmountError(
                found: "the name pattern \(quoted(text)) under \(access.rawValue)",
                remedy: "only deny and protect take **/name; list the place itself")
        case (.tmpfs, .glob):
            throw AmountError(found: "a glob under tmpfs: \(quoted(text))", remedy: "name one folder")
        case (.tmpfs, .path) where ["/", "/dev", "/proc", "/sys"].contains(path.canonical):
            throw AmountError(found: "\(quoted(text)) under tmpfs", remedy: "the launcher makes that one")
        case (.write, _):
            try checkRoot(path, text: text)
        default:
            break
        }
    }

    /// Folders that are the machine's, or all of somebody's: to write there is to leave the sandbox. A workspace of
    /// that kind is the launcher's to refuse, so `${WORKSPACE}` passes here.
    private static func checkRoot(_ path: PathText, text: String) throws(AmountError) {
        var place = path.canonical
        if case .glob(_, let name) = path.pattern {
            // `~/*` is as much as `~`; `~/.aider*` is not.
            guard let first = name.utf8.first, Glob.isSpecial(first) else { return }
            place = String(Substring(place.utf8.dropLast(name.utf8.count + 1)))
            if place.isEmpty { place = "/" }
        }
        let isRoot = systemRoots.contains(place) || place == "${HOME}"
        guard isRoot else { return }
        throw AmountError(
            found: "\(quoted(text)) under write gives away \(place == "${HOME}" ? "the home folder" : place)",
            remedy: "list the folders below it that are needed")
    }

    private static let systemRoots: Set<String> = [
        "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/root",
        "/run", "/sbin", "/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/var",
    ]
}
