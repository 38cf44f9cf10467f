/// The values behind `~` and `${...}` in a profile. Plain values: the caller asks the machine.
public struct Variables: Sendable, Equatable {
    /// `${WORKSPACE}`: the folder the agent works in, absolute.
    public let workspace: String
    /// `~` and `${HOME}`; `nil` when the account has no home folder.
    public let home: String?
    /// `${UID}`: the account the run is for.
    public let uid: UInt32
    /// `${GIT_COMMON_DIR}`: where the workspace's repository keeps what its worktrees share; `nil` outside one.
    public let gitCommonDirectory: String?
    /// Those whose value is a path in its one spelling, by name: a hundred entries of a profile begin with one of them.
    private let plain: [String]

    public init(workspace: String, home: String?, uid: UInt32, gitCommonDirectory: String?) {
        self.workspace = workspace
        self.home = home
        self.uid = uid
        self.gitCommonDirectory = gitCommonDirectory
        var plain: [String] = []
        if Self.isNormal(workspace) { plain.append("WORKSPACE") }
        if let home, Self.isNormal(home) { plain.append("HOME") }
        if let gitCommonDirectory, Self.isNormal(gitCommonDirectory) { plain.append("GIT_COMMON_DIR") }
        self.plain = plain
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
        if let plain = plain(text, variables) { return plain }
        return try general(text, variables)
    }

    /// The common case in one pass, because every run reads some hundred and fifty of these: `/`, `~` or a variable,
    /// then names without anything special. `nil` when there is more to look at.
    static func plain(_ text: String, _ variables: Variables) -> PathText? {
        let bytes = text.utf8Span.span
        var head = 0
        var variable: String?
        switch bytes[0] {
        case slash:
            guard bytes.count > 1 else { return nil }
        case UInt8(ascii: "~"):
            head = 1
            variable = "HOME"
        case UInt8(ascii: "$"):
            if begins(text, "${WORKSPACE}") {
                variable = "WORKSPACE"
                head = 12
            } else if begins(text, "${HOME}") {
                variable = "HOME"
                head = 7
            } else if begins(text, "${GIT_COMMON_DIR}") {
                variable = "GIT_COMMON_DIR"
                head = 17
            } else {
                return nil
            }
        case UInt8(ascii: "*"):
            return plainSuffix(text)
        default:
            return nil
        }
        var index = head
        while index < bytes.count {
            guard bytes[index] == slash else { return nil }
            let start = index + 1
            index = start
            while index < bytes.count, bytes[index] != slash {
                if isSpecial(bytes[index]) { return nil }
                index += 1
            }
            if index == start { return nil }
            if bytes[start] == UInt8(ascii: "."), index - start <= 2, bytes[index - 1] == UInt8(ascii: ".") {
                return nil
            }
        }
        guard let variable else { return PathText(pattern: .path(text), canonical: text) }
        let canonical = head == 1 ? joined("${HOME}", text, from: head) : text
        guard let value = variables.value(of: variable) ?? nil, value.utf8.first == slash else {
            return PathText(pattern: .unavailable(variable: variable), canonical: canonical)
        }
        guard variables.isPlain(variable) else { return nil }
        return PathText(pattern: .path(joined(value, text, from: head)), canonical: canonical)
    }

    /// `start` and what `text` holds from that byte on, made at once.
    private static func joined(_ start: String, _ text: String, from head: Int) -> String {
        let first = start.utf8Span.span
        let rest = text.utf8Span.span.extracting(droppingFirst: head)
        return unsafe String(unsafeUninitializedCapacity: first.count + rest.count) { buffer in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            unsafe first.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
            unsafe rest.withUnsafeBytes {
                unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[first.count...]).copyMemory(from: $0)
            }
            return first.count + rest.count
        }
    }

    /// `**/name`
    private static func plainSuffix(_ text: String) -> PathText? {
        guard begins(text, "**/") else { return nil }
        let name = String(Substring(text.utf8.dropFirst(3)))
        if name.isEmpty || name == "." || name == ".." || begins(name, "~") { return nil }
        if name.utf8.contains(where: { isSpecial($0) || $0 == slash }) { return nil }
        return PathText(pattern: .suffix([name]), canonical: text)
    }

    /// Every case, the plain ones included.
    static func general(_ text: String, _ variables: Variables) throws(AmountError) -> PathText {
        guard !text.utf8.contains(0) else {
            throw AmountError(found: "a NUL character in \(quoted(text))", remedy: "remove it")
        }
        if begins(text, "**/") { return try suffix(text) }
        return try anchored(text, variables)
    }

    private static let absoluteRemedy = "begin with /, ~, ${WORKSPACE} or ${HOME}"

    private static func suffix(_ text: String) throws(AmountError) -> PathText {
        var names: [String] = []
        var parts = Parts(String(Substring(text.utf8.dropFirst(3))))
        while let name = parts.next() {
            if name.isEmpty || name == "." { continue }
            guard name != "..", !holds(name, "$"), !begins(name, "~") else {
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
        var parts = Parts(text)
        while let name = parts.next() {
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
                guard !holds(name, "$") else {
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
        if begins(name, "~") {
            throw AmountError(
                found: "\(quoted(text)) names another account's home", remedy: "write its path in full")
        }
        if begins(name, "${"), name.utf8.last == UInt8(ascii: "}") {
            let variable = String(Substring(name.utf8.dropFirst(2).dropLast()))
            guard variable != "UID" else {
                throw AmountError(found: "\(quoted(text)) is relative", remedy: absoluteRemedy)
            }
            return variable
        }
        if begins(name, "$") {
            throw AmountError(found: "\(quoted(name)) in \(quoted(text))", remedy: "variables are written ${NAME}")
        }
        throw AmountError(found: "\(quoted(text)) is relative", remedy: absoluteRemedy)
    }

    /// Variables within a name: `${UID}` only, the others are whole paths. `nil`: no value in this run.
    private static func expandName(
        _ name: String, _ variables: Variables, in text: String
    ) throws(AmountError) -> String? {
        guard name.utf8.contains(UInt8(ascii: "$")) else { return name }
        var result: [UInt8] = []
        var rest = Substring(name).utf8
        while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
            result += rest[..<dollar]
            guard rest[dollar...].starts(with: "${".utf8), let end = rest[dollar...].firstIndex(of: UInt8(ascii: "}"))
            else {
                throw AmountError(found: "\"$\" in \(quoted(text))", remedy: "variables are written ${NAME}")
            }
            let variable = String(Substring(rest[rest.index(dollar, offsetBy: 2)..<end]))
            guard variable == "UID" else {
                _ = try variables.checked(variable, in: text)
                throw AmountError(
                    found: "${\(variable)} in the middle of \(quoted(text))",
                    remedy: "it is a whole path: begin with it")
            }
            result += String(variables.uid).utf8
            rest = rest[rest.index(after: end)...]
        }
        return String(decoding: result + rest, as: UTF8.self)
    }

    private static func checkGlob(_ name: String, in text: String) throws(AmountError) {
        var previous: UInt8 = 0
        var isVariable = false
        for byte in name.utf8 {
            switch byte {
            case UInt8(ascii: "*") where previous == byte:
                throw AmountError(
                    found: "\"**\" in \(quoted(text))", remedy: "it may only stand at the very beginning, as in **/name"
                )
            // Read literally these would match nothing, silently: the worst thing a rule can do.
            case UInt8(ascii: "["), UInt8(ascii: "]"):
                throw AmountError(
                    found: "a bracket in \(quoted(text))",
                    remedy: "only * and ? are known; ? also stands for a literal bracket")
            case UInt8(ascii: "{") where previous == UInt8(ascii: "$"):
                isVariable = true
            case UInt8(ascii: "}") where isVariable:
                isVariable = false
            case UInt8(ascii: "{"), UInt8(ascii: "}"):
                throw AmountError(
                    found: "a brace in \(quoted(text))",
                    remedy: "write one entry for each; ? also stands for a literal brace")
            default:
                break
            }
            previous = byte
        }
    }

    /// Bytes that mean something other than themselves somewhere, or that no name may hold.
    private static func isSpecial(_ byte: UInt8) -> Bool {
        switch byte {
        case 0, UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "{"),
            UInt8(ascii: "}"), UInt8(ascii: "$"):
            true
        default: false
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
        guard let value, value.utf8.first == slash else { return nil }
        return value
    }

    fileprivate func isPlain(_ name: String) -> Bool { plain.contains(name) }

    /// Absolute, without doubled or trailing slashes and without dots; not the root folder either, which ends in a slash.
    private static func isNormal(_ path: String) -> Bool {
        var length = 0
        var onlyDots = true
        var isFirst = true
        for byte in path.utf8 {
            if byte == slash {
                if !isFirst, length == 0 || (onlyDots && length <= 2) { return false }
                length = 0
                onlyDots = true
            } else {
                if byte != UInt8(ascii: ".") { onlyDots = false }
                length += 1
            }
            isFirst = false
        }
        return length > 0 && !(onlyDots && length <= 2)
    }
}

/// The parts of a text between its slashes, empty ones included, one after another: a list of them is a type more for
/// the runtime to make at each start.
private struct Parts {
    private var rest: Substring.UTF8View?

    init(_ text: String) { rest = Substring(text).utf8 }

    mutating func next() -> String? {
        guard let text = rest else { return nil }
        let end = text.firstIndex(of: slash)
        rest = end.map { text[text.index(after: $0)...] }
        return String(Substring(text[..<(end ?? text.endIndex)]))
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
        if let last = names.last, last != "..", !begins(last, "${") {
            names.removeLast()
        } else if !names.isEmpty {
            names.append("..")
        }
    }

    mutating func append(path: String) {
        var parts = Parts(path)
        while let name = parts.next() {
            if !name.isEmpty, name != "." { append(name) }
        }
    }

    var text: String {
        var text = ""
        for name in names {
            if !text.isEmpty || !begins(name, "${") { text += "/" }
            text += name
        }
        return text.isEmpty ? "/" : text
    }
}

private let slash = UInt8(ascii: "/")

// By bytes: Swift's own functions compare characters, and would take a slash with an accent for no slash at all.

private func begins(_ text: String, _ prefix: String) -> Bool { text.utf8.starts(with: prefix.utf8) }

private func holds(_ text: String, _ character: Unicode.Scalar) -> Bool {
    text.utf8.contains(UInt8(ascii: character))
}
