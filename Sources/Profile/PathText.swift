/// The values behind `~` and `${...}` in a profile. Plain values: the caller asks the machine.
public struct Variables: Sendable, Equatable {
    /// `${WORKSPACE}`: the folder the agent works in, absolute.
    public var workspace: String
    /// `~` and `${HOME}`; `nil` when the account has no home folder.
    public var home: String?
    /// `${UID}`: the account the run is for.
    public var uid: UInt32
    /// `${GIT_COMMON_DIR}`: where the workspace's repository keeps what its worktrees share; `nil` outside one.
    public var gitCommonDirectory: String?

    public init(workspace: String, home: String?, uid: UInt32, gitCommonDirectory: String?) {
        self.workspace = workspace
        self.home = home
        self.uid = uid
        self.gitCommonDirectory = gitCommonDirectory
    }

    static let names = ["WORKSPACE", "HOME", "UID", "GIT_COMMON_DIR"]

    /// `nil`: no such variable. `.some(nil)`: it has no value in this run.
    func value(of name: String) -> String?? {
        switch name {
        case "WORKSPACE": .some(workspace)
        case "HOME": .some(home)
        case "UID": .some(String(uid))
        case "GIT_COMMON_DIR": .some(gitCommonDirectory)
        default: nil
        }
    }
}

/// Reads an entry of a `[filesystem]` list.
public struct PathText: Sendable, Equatable {
    public var pattern: PathPattern
    /// The entry in one spelling, variables not expanded (`~` as `${HOME}`): two entries that say the same place in
    /// every run are equal here, two that happen to meet in this run are not.
    var canonical: String

    /// - Throws: a relative path, an unknown variable, a glob where none may be; with what would be right.
    public static func parse(_ text: String, _ variables: Variables) throws(AmountError) -> PathText {
        guard !text.isEmpty else { throw AmountError(found: "an empty path", remedy: absoluteRemedy) }
        guard text.utf8.count < 4096 else {
            throw AmountError(found: "a path of \(text.utf8.count) bytes", remedy: "the kernel takes 4095")
        }
        guard !text.utf8.contains(0) else {
            throw AmountError(found: "a NUL character in \(quoted(text))", remedy: "remove it")
        }
        if text.hasPrefix("**/") { return try suffix(text) }
        return try anchored(text, variables)
    }

    private static let absoluteRemedy = "begin with /, ~, ${WORKSPACE} or ${HOME}"

    private static func suffix(_ text: String) throws(AmountError) -> PathText {
        var names: [String] = []
        for part in text.utf8.dropFirst(3).split(separator: UInt8(ascii: "/")) {
            let name = String(Substring(part))
            if name == "." { continue }
            guard name != "..", !name.contains("$"), !name.hasPrefix("~") else {
                throw AmountError(
                    found: "\(quoted(name)) in the name pattern \(quoted(text))", remedy: "write names only")
            }
            try checkGlob(name, in: text)
            names.append(name)
        }
        guard let last = names.last, last.utf8.contains(where: { !Glob.isSpecial($0) }) else {
            throw AmountError(found: "\(quoted(text)) matches every name", remedy: "name what is meant: \"**/.env\"")
        }
        return PathText(pattern: .suffix(names), canonical: "**/" + names.joined(separator: "/"))
    }

    private static func anchored(_ text: String, _ variables: Variables) throws(AmountError) -> PathText {
        var expanded = Components()
        var canonical = Components()
        var unavailable: String?
        var glob: String?
        var isFirst = true
        for part in text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            let name = String(Substring(part))
            defer { isFirst = false }
            if isFirst {
                if name.isEmpty { continue }
                let variable = try leadingVariable(name, in: text)
                canonical.append("${\(variable)}")
                if let value = try variables.checked(variable, in: text) {
                    expanded.append(path: value)
                } else {
                    unavailable = variable
                }
                continue
            }
            if name.isEmpty || name == "." { continue }
            if let glob {
                throw AmountError(
                    found: "\(quoted(glob)) stands before the last name of \(quoted(text))",
                    remedy: "* and ? may stand in the last name only, or write **/name")
            }
            if name == ".." {
                // Above a variable's value only the expanded path knows the way.
                canonical.appendParent()
                expanded.append("..")
                continue
            }
            if name.utf8.contains(where: Glob.isSpecial) {
                try checkGlob(name, in: text)
                guard !name.contains("${") else {
                    throw AmountError(
                        found: "a variable and a glob in one name of \(quoted(text))", remedy: "use one of them")
                }
                glob = name
                continue
            }
            try checkGlob(name, in: text)
            canonical.append(name)
            if let value = try expandName(name, variables, in: text) {
                expanded.append(value)
            } else {
                unavailable = name
            }
        }
        let place = glob.map { (canonical.text == "/" ? "/" : canonical.text + "/") + $0 } ?? canonical.text
        if let unavailable { return PathText(pattern: .unavailable(variable: unavailable), canonical: place) }
        if let glob { return PathText(pattern: .glob(folder: expanded.text, name: glob), canonical: place) }
        return PathText(pattern: .path(expanded.text), canonical: place)
    }

    /// The variable an entry begins with, or the reason why it is no absolute path.
    private static func leadingVariable(_ name: String, in text: String) throws(AmountError) -> String {
        if name == "~" { return "HOME" }
        if name.hasPrefix("~") {
            throw AmountError(
                found: "\(quoted(text)) names another account's home", remedy: "write its path in full")
        }
        if name.hasPrefix("${"), name.hasSuffix("}"), !name.dropFirst(2).dropLast().contains("$") {
            let variable = String(name.dropFirst(2).dropLast())
            guard variable != "UID" else {
                throw AmountError(found: "\(quoted(text)) is relative", remedy: absoluteRemedy)
            }
            return variable
        }
        if name.hasPrefix("$") {
            throw AmountError(found: "\(quoted(name)) in \(quoted(text))", remedy: "variables are written ${NAME}")
        }
        throw AmountError(found: "\(quoted(text)) is relative", remedy: absoluteRemedy)
    }

    /// Variables within a name: `${UID}` only, the others are whole paths. `nil`: no value in this run.
    private static func expandName(
        _ name: String, _ variables: Variables, in text: String
    ) throws(AmountError) -> String? {
        guard name.utf8.contains(UInt8(ascii: "$")) else { return name }
        var result = ""
        var rest = Substring(name)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            guard rest[dollar...].hasPrefix("${"), let end = rest[dollar...].firstIndex(of: "}") else {
                throw AmountError(
                    found: "\"$\" in \(quoted(text))", remedy: "variables are written ${NAME}")
            }
            let variable = String(rest[rest.index(dollar, offsetBy: 2)..<end])
            guard variable == "UID" else {
                _ = try variables.checked(variable, in: text)
                throw AmountError(
                    found: "${\(variable)} in the middle of \(quoted(text))",
                    remedy: "it is a whole path: begin with it")
            }
            result += String(variables.uid)
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }

    private static func checkGlob(_ name: String, in text: String) throws(AmountError) {
        if name.contains("**") {
            throw AmountError(
                found: "\"**\" in \(quoted(text))", remedy: "it may only stand at the very beginning, as in **/name")
        }
        // Read literally they would match nothing, silently: the worst thing a rule can do.
        if name.utf8.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") }) {
            throw AmountError(
                found: "a bracket in \(quoted(text))",
                remedy: "only * and ? are known; ? also stands for a literal bracket")
        }
        var rest = Substring(name)
        while let brace = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
            guard rest[brace] == "{", brace > rest.startIndex, rest[rest.index(before: brace)] == "$",
                let end = rest[brace...].firstIndex(of: "}")
            else {
                throw AmountError(
                    found: "a brace in \(quoted(text))",
                    remedy: "write one entry for each; ? also stands for a literal brace")
            }
            rest = rest[rest.index(after: end)...]
        }
    }
}

extension Variables {
    /// The value, or `nil` when there is none in this run.
    fileprivate func checked(_ name: String, in text: String) throws(AmountError) -> String? {
        guard let value = value(of: name) else {
            throw AmountError(
                found: "unknown variable ${\(name)} in \(quoted(text))",
                remedy: suggestion(for: name, among: Variables.names))
        }
        guard let value, value.utf8.first == UInt8(ascii: "/") else { return nil }
        return value
    }
}

/// An absolute path under construction, lexically normal at every moment.
private struct Components {
    private var names: [String] = []

    mutating func append(_ name: String) {
        if name == ".." { _ = names.popLast() } else { names.append(name) }
    }

    /// For texts with variables unexpanded: what `${WORKSPACE}/..` is cannot be said, so it stays.
    mutating func appendParent() {
        if let last = names.last, last != "..", !last.hasPrefix("${") {
            names.removeLast()
        } else if !names.isEmpty {
            names.append("..")
        }
    }

    mutating func append(path: String) {
        for part in path.utf8.split(separator: UInt8(ascii: "/")) {
            let name = String(Substring(part))
            if name != "." { append(name) }
        }
    }

    var text: String {
        names.first?.hasPrefix("${") == true ? names.joined(separator: "/") : "/" + names.joined(separator: "/")
    }
}
