/// A checked profile with what messages and `mis profile show` want to know of its making.
public struct LoadedProfile: Sendable {
    public var profile: Profile
    /// The files used, bases first; the last is the one asked for.
    public var sources: [ProfileSources.Text]
    /// Where each scalar setting, and each entry of the lists of `[process]`, was written.
    var draft: ProfileDraft

    /// The text of the profile asked for, as it was written.
    public var text: String { sources.last.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "" }
}

/// Finds a profile, follows its `extends`, lays them over one another and checks everything.
///
/// Scalars: the later one wins. Lists: the later ones are appended. A profile reached twice counts once, where it was
/// reached first.
public struct ProfileLoader: Sendable {
    private let sources: ProfileSources
    private let variables: Variables

    /// Profiles in one chain from the one asked for to its farthest base.
    public static let chainLimit = 16
    /// Profiles in one load, all branches together.
    public static let fileLimit = 64

    public init(sources: ProfileSources, variables: Variables) {
        self.sources = sources
        self.variables = variables
    }

    /// Loads by name (`agent`) or by path (anything with a slash).
    /// - Throws: every mistake in the profile and in all it extends.
    public func load(_ nameOrPath: String) throws(ProfileErrors) -> LoadedProfile {
        var gathering = Gathering()
        gather(nameOrPath, from: nil, chain: [], into: &gathering)
        var draft = ProfileDraft(profile: Profile(name: ""))
        draft.mistakes = gathering.mistakes
        draft.profile.filesystem.rules.reserveCapacity(512)
        for (text, document) in gathering.files {
            // Both are the file's own, not its bases'.
            draft.profile.name = Self.defaultName(of: text)
            draft.profile.description = ""
            draft.origins[ProfileKey.description.rawValue] = nil
            ProfileChecker.apply(document, source: text.name, variables: variables, to: &draft)
        }
        guard draft.mistakes.isEmpty else { throw ProfileErrors(Self.ordered(draft.mistakes, gathering.files)) }
        return LoadedProfile(profile: draft.profile, sources: gathering.files.map(\.text), draft: draft)
    }

    /// The files of a load, in the order they are laid over one another.
    private struct Gathering {
        var files: [(text: ProfileSources.Text, document: Document)] = []
        var known: [String] = []
        var mistakes: [ProfileMistake] = []
    }

    /// Where a profile was named: the file and place of the `extends` entry.
    private typealias Mention = (source: String, position: Document.Position)

    private func gather(
        _ nameOrPath: String, from mention: Mention?, chain: [String], into gathering: inout Gathering
    ) {
        func report(_ found: String, _ remedy: String) {
            gathering.mistakes.append(
                ProfileMistake(
                    source: mention?.source, line: mention?.position.line ?? 0, column: mention?.position.column ?? 0,
                    found: found, remedy: remedy))
        }
        let text: ProfileSources.Text
        do throws(ProfileSources.Refusal) {
            guard let found = try sources.find(nameOrPath) else {
                report("no profile \(quoted(nameOrPath))", missingRemedy(nameOrPath))
                return
            }
            text = found
        } catch {
            if mention != nil { report("the parent \(quoted(nameOrPath)) cannot be used", "see its own message") }
            gathering.mistakes.append(
                ProfileMistake(source: error.name, found: error.found, remedy: error.remedy))
            return
        }
        if let start = chain.firstIndex(of: text.name) {
            let way = (chain[start...] + [text.name]).joined(separator: " -> ")
            report("extends itself: \(way)", "remove one of these from extends")
            return
        }
        guard !gathering.known.contains(text.name) else { return }
        guard chain.count < Self.chainLimit, gathering.known.count < Self.fileLimit else {
            report(
                "profiles extend one another more than \(Self.chainLimit) deep or \(Self.fileLimit) in all",
                "extend fewer")
            return
        }
        gathering.known.append(text.name)
        let document = read(text, into: &gathering)
        for parent in ProfileChecker.parents(of: document) {
            let place = (text.name, parent.position)
            if let mistake = Self.mistake(inParent: parent.name) {
                gathering.mistakes.append(
                    ProfileMistake(
                        source: text.name, line: parent.position.line, column: parent.position.column,
                        found: mistake.found, remedy: mistake.remedy))
                continue
            }
            gather(expandHome(parent.name), from: place, chain: chain + [text.name], into: &gathering)
        }
        gathering.files.append((text, document))
    }

    private func read(_ text: ProfileSources.Text, into gathering: inout Gathering) -> Document {
        func report(_ position: Document.Position, _ found: String, _ remedy: String) {
            gathering.mistakes.append(
                ProfileMistake(
                    source: text.name, line: position.line, column: position.column, found: found, remedy: remedy))
        }
        guard text.bytes.count <= ProfileSources.sizeLimit else {
            report(
                Document.Position(line: 0, column: 0), "a profile of \(text.bytes.count) bytes", "at most 1 MiB is read"
            )
            return Document()
        }
        if let bad = firstInvalidByte(text.bytes) {
            report(position(of: bad, in: text.bytes), "a byte that is not UTF-8", "save the file as UTF-8")
            return Document()
        }
        let document = DocumentScanner.scan(text.bytes)
        for mistake in document.mistakes { report(mistake.position, mistake.found, mistake.remedy) }
        if document.mistakes.count >= DocumentScanner.mistakeLimit {
            report(Document.Position(line: 0, column: 0), "too many mistakes", "the rest was not read")
        }
        return document
    }

    private func missingRemedy(_ name: String) -> String {
        if name.utf8.contains(UInt8(ascii: "/")) { return "check the path" }
        var names: [String] = []
        for entry in sources.list() where !names.contains(entry.name) { names.append(entry.name) }
        return names.isEmpty ? "" : suggestion(for: name, among: names.sorted())
    }

    /// A parent is named, or given by its absolute path: relative to what, the agent could have a say in.
    private static func mistake(inParent name: String) -> AmountError? {
        if name.utf8.contains(0) { return AmountError(found: "a NUL character", remedy: "remove it") }
        if name.hasPrefix("/") || name.hasPrefix("~/") || ProfileName.isName(name) { return nil }
        if name.utf8.contains(UInt8(ascii: "/")) {
            return AmountError(
                found: "the parent \(quoted(name)) is a relative path", remedy: "name it, or write its absolute path")
        }
        return AmountError(found: "\(quoted(name)) is no profile name", remedy: "write a name such as \"agent\"")
    }

    private func expandHome(_ name: String) -> String {
        guard name.hasPrefix("~/"), let home = variables.home else { return name }
        return home + name.dropFirst()
    }

    /// The file's name without its folder and `.toml`.
    private static func defaultName(of text: ProfileSources.Text) -> String {
        let start: UInt8 = text.place == .builtIn ? UInt8(ascii: " ") : UInt8(ascii: "/")
        var name = Substring(text.name).utf8
        if let index = name.lastIndex(of: start) { name = name[name.index(after: index)...] }
        if text.place != .builtIn, name.suffix(5).elementsEqual(".toml".utf8) { name = name.dropLast(5) }
        return String(Substring(name))
    }

    /// By file, in the order of the chain, then by place.
    private static func ordered(
        _ mistakes: [ProfileMistake], _ files: [(text: ProfileSources.Text, document: Document)]
    ) -> [ProfileMistake] {
        let order = files.map(\.text.name)
        func rank(_ offset: Int, _ mistake: ProfileMistake) -> (Int, Int, Int, Int) {
            let file = mistake.source.flatMap { order.firstIndex(of: $0) } ?? order.count
            return (file, mistake.line, mistake.column, offset)
        }
        return mistakes.enumerated().sorted { rank($0.offset, $0.element) < rank($1.offset, $1.element) }
            .map(\.element)
    }
}

private func firstInvalidByte(_ bytes: [UInt8]) -> Int? {
    do throws(UTF8.ValidationError) {
        _ = try UTF8Span(validating: bytes.span)
        return nil
    } catch {
        return error.byteOffsets.lowerBound
    }
}

private func position(of offset: Int, in bytes: [UInt8]) -> Document.Position {
    var place = Document.Position(line: 1, column: 1)
    for byte in bytes[..<offset] {
        if byte == UInt8(ascii: "\n") {
            place = Document.Position(line: place.line + 1, column: 1)
        } else if byte & 0xC0 != 0x80 {
            place.column += 1
        }
    }
    return place
}
