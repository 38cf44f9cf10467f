/// A profile while its files are laid over one another, bases first, with the place each setting came from.
struct ProfileDraft {
    var profile: Profile
    /// By key: where the value in force was written.
    var origins = [Origin?](repeating: nil, count: ProfileKey.count)
    /// Where each entry of `process.capabilities`, `.seccomp` and `.environment` was written.
    var capabilityOrigins: [Origin] = []
    var seccompOrigins: [Origin] = []
    var environmentOrigins: [Origin] = []
    var mistakes: [ProfileMistake] = []
}

/// Lays one file over a draft. All mistakes of the file are collected; what is right is applied nevertheless.
struct ProfileChecker {
    private var draft: ProfileDraft
    private let source: String
    private let variables: Variables
    /// The keys this file has set, each with the place of the first time.
    private var seen = [Document.Position?](repeating: nil, count: ProfileKey.count)
    /// This file's entries of the `[filesystem]` lists: by place, a bit for each list it is in.
    private var places = PlaceTable()
    /// Sections that have been complained of: their entries need no complaint each.
    private var unknownSections: [String] = []

    /// Beyond this many nobody reads on, in a chain of profiles taken together.
    static let mistakeLimit = 1000

    private init(_ draft: ProfileDraft, source: String, variables: Variables) {
        self.draft = draft
        self.source = source
        self.variables = variables
    }

    /// Applies everything but `extends`, which the loader has followed before.
    static func apply(_ document: Document, source: String, variables: Variables, to draft: inout ProfileDraft) {
        var checker = ProfileChecker(draft, source: source, variables: variables)
        checker.checkHeaders(document)
        for entry in document.entries where checker.draft.mistakes.count < Self.mistakeLimit { checker.apply(entry) }
        checker.settle()
        draft = checker.draft
    }

    /// A profile named in `extends`.
    struct Parent {
        var name: String
        var position: Document.Position
    }

    /// The parents a document names. What is wrong with the list itself is reported when the document is applied.
    static func parents(of document: Document) -> [Parent] {
        var parents: [Parent] = []
        for entry in document.entries where entry.name == ProfileKey.extends.fullName {
            guard case .array(let elements) = entry.value else { continue }
            for element in elements {
                if case .string(let name) = element.value {
                    parents.append(Parent(name: name, position: element.position))
                }
            }
        }
        return parents
    }

    // MARK: Reporting

    private mutating func report(_ position: Document.Position, _ found: String, _ remedy: String) {
        draft.mistakes.append(
            ProfileMistake(
                source: source, line: position.line, column: position.column, found: found, remedy: remedy))
    }

    private func origin(_ position: Document.Position) -> Origin {
        .file(name: source, line: position.line, column: position.column)
    }

    private mutating func reportType(_ entry: Document.Entry, _ expected: String, _ example: String) {
        // What is no value at all has been reported as such.
        if entry.value == .invalid { return }
        report(entry.valuePosition, "\(entry.name) is \(entry.value.kind)", "\(expected) is due, such as \(example)")
    }

    private mutating func isNew(_ section: String) -> Bool {
        if unknownSections.contains(section) { return false }
        unknownSections.append(section)
        return true
    }

    // MARK: Names

    private mutating func checkHeaders(_ document: Document) {
        for (index, header) in document.headers.enumerated() where draft.mistakes.count < Self.mistakeLimit {
            if header.isArrayElement {
                report(
                    header.position, "[[\(clipped(header.name))]] is a list of tables", "sections are written [name]")
                continue
            }
            if let first = document.headers[..<index].first(where: { $0.name == header.name }) {
                report(
                    header.position, "section [\(clipped(header.name))] appears twice",
                    "it began in line \(first.position.line): put both together")
                continue
            }
            guard !ProfileKey.sections.contains(header.name) else { continue }
            // With entries below it, one complaint a section is enough: the entries are passed over.
            let section = header.name.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1).first
            let name = section.map { String(Substring($0)) } ?? header.name
            if ProfileKey.sections.contains(name) || ProfileKey(fullName: header.name) != nil {
                report(header.position, "\(clipped(header.name)) is no table", "write key = value in its section")
            } else if isNew(name) {
                report(
                    header.position, "unknown section [\(clipped(header.name))]",
                    suggestion(for: header.name, among: ProfileKey.sections))
            }
        }
    }

    private mutating func reportUnknown(_ entry: Document.Entry) {
        let parts = entry.name.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1).map { String(Substring($0)) }
        guard let section = parts.first, parts.count == 2 else {
            if ProfileKey.sections.contains(entry.name) {
                report(entry.position, "\(entry.name) is \(entry.value.kind)", "it is a section: write [\(entry.name)]")
                return
            }
            reportMisplaced(entry, entry.name, in: "")
            return
        }
        // The unknown section itself has been reported, unless it was written as a dotted key.
        if ProfileKey.sections.contains(section) {
            reportMisplaced(entry, parts[1], in: section)
        } else if isNew(section) {
            report(
                entry.position, "unknown section [\(clipped(section))]",
                suggestion(for: section, among: ProfileKey.sections))
        }
    }

    private mutating func reportMisplaced(_ entry: Document.Entry, _ name: String, in section: String) {
        let place = section.isEmpty ? "at the top of the file" : "in [\(section)]"
        let names = ProfileKey.names(in: section)
        if nearestName(to: name, among: names) == nil,
            let elsewhere = ProfileKey.allCases.first(where: { $0.shortName == name || $0.fullName == name })
        {
            let belongs = elsewhere.section.isEmpty ? "at the top of the file" : "in [\(elsewhere.section)]"
            report(entry.position, "unknown key \(quoted(name)) \(place)", "it belongs \(belongs)")
            return
        }
        report(entry.position, "unknown key \(quoted(name)) \(place)", suggestion(for: name, among: names))
    }

    // MARK: Values

    private mutating func apply(_ entry: Document.Entry) {
        guard let key = ProfileKey(fullName: entry.name) else { return reportUnknown(entry) }
        if let first = seen[key.rawValue] {
            report(entry.position, "\(entry.name) appears twice", "the first is in line \(first.line): keep one")
            return
        }
        seen[key.rawValue] = entry.position
        if let access = key.access { return applyRules(entry, access) }
        if let limit = key.limit { return applyLimit(entry, key, limit) }
        switch key {
        case .name: applyName(entry)
        case .description: string(entry, "\"...\"") { $0.draft.profile.description = $1 }
        case .extends: strings(entry, "profile names") { _, _, _ in }
        case .require: choice(entry, Tier.self) { $0.draft.profile.enforcement.require = $1 }
        case .unknown:
            choice(entry, Profile.Enforcement.Unknown.self) { $0.draft.profile.enforcement.unknown = $1 }
        case .gaps: choice(entry, Profile.Enforcement.Gaps.self) { $0.draft.profile.enforcement.gaps = $1 }
        case .networkMode: choice(entry, Profile.Network.Mode.self) { $0.draft.profile.network.mode = $1 }
        case .onFailure:
            choice(entry, Profile.Streams.OnFailure.self) { $0.draft.profile.streams.onFailure = $1 }
        case .policyBundles:
            choice(entry, Profile.Policy.Bundles.self) { $0.draft.profile.policy.bundles = $1 }
        case .policyRevoke: boolean(entry) { $0.draft.profile.policy.revoke = $1 }
        case .nested: boolean(entry) { $0.draft.profile.process.nested = $1 }
        case .trace: boolean(entry) { $0.draft.profile.streams.trace = $1 }
        case .reasoning: boolean(entry) { $0.draft.profile.streams.reasoning = $1 }
        case .user, .capabilities, .seccomp, .environment: applyProcess(entry, key)
        case .watchdogInterval, .watchdogCPU, .watchdogCPUFor, .watchdogMemory: applyWatchdog(entry, key)
        case .escalationKill:
            count(entry, 0...1_000_000) { $0.draft.profile.escalation.kill = $1 }
        case .escalationWindow:
            amount(entry, "\"60s\"") { checker, text throws(AmountError) in
                checker.draft.profile.escalation.windowMilliseconds = try positiveDuration(text)
            }
        case .cacheOpen: seconds(entry) { $0.draft.profile.cache.open = $1 }
        case .cacheExecute: seconds(entry) { $0.draft.profile.cache.execute = $1 }
        case .cacheUse: seconds(entry) { $0.draft.profile.cache.use = $1 }
        case .streamLimit:
            amount(entry, "\"256M\"") { checker, text throws(AmountError) in
                checker.draft.profile.streams.limit = try SizeText.parseBytes(text)
            }
        default: break
        }
        draft.origins[key.rawValue] = origin(entry.position)
    }

    private mutating func applyName(_ entry: Document.Entry) {
        string(entry, "\"review-bot\"") { checker, name in
            guard ProfileName.isName(name) else {
                checker.report(
                    entry.valuePosition, "\(quoted(name)) is no profile name", "letters, digits, \"-\", \"_\" and \".\""
                )
                return
            }
            checker.draft.profile.name = name
        }
    }

    private mutating func applyLimit(_ entry: Document.Entry, _ key: ProfileKey, _ limit: Profile.Limits.Key) {
        draft.origins[key.rawValue] = origin(entry.position)
        do throws(AmountError) {
            switch entry.value {
            case .integer(let number) where limit.isCount:
                try draft.profile.limits.set(limit, count: Int(number))
            case .string("none"):
                draft.profile.limits.lift(limit)
            case .string(let text) where !limit.isCount:
                try draft.profile.limits.set(limit, text)
            default:
                let example =
                    switch limit {
                    case .cpu: "\"80%\""
                    case .timeout: "\"10m\""
                    case .pids: "512"
                    case .files: "1024"
                    case .cpuWeight, .ioWeight: "100"
                    case .memory, .memoryHigh, .fileSize, .tmpSize: "\"2G\""
                    }
                reportType(entry, limit.isCount ? "a whole number" : "a string", example)
            }
        } catch {
            report(entry.valuePosition, "\(entry.name): \(error.found)", error.remedy)
        }
    }

    private mutating func applyWatchdog(_ entry: Document.Entry, _ key: ProfileKey) {
        amount(entry, key == .watchdogCPU ? "\"100%\"" : key == .watchdogMemory ? "\"2G\"" : "\"30s\"") {
            checker, text throws(AmountError) in
            switch key {
            case .watchdogInterval:
                checker.draft.profile.watchdog.intervalMilliseconds = text == "none" ? 0 : try DurationText.parse(text)
            case .watchdogCPU:
                checker.draft.profile.watchdog.cpuPercent = text == "none" ? nil : try ProcessorText.parse(text)
            case .watchdogCPUFor:
                checker.draft.profile.watchdog.cpuForMilliseconds = try positiveDuration(text)
            default:
                checker.draft.profile.watchdog.memory = text == "none" ? nil : try SizeText.parse(text)
            }
        }
    }

    /// A time to live: whole seconds, at most a day; "0s": never remembered.
    private mutating func seconds(_ entry: Document.Entry, _ set: (inout Self, Int) -> Void) {
        amount(entry, "\"180s\"") { checker, text throws(AmountError) in
            let milliseconds = try DurationText.parse(text)
            guard milliseconds % 1000 == 0, milliseconds <= 86_400_000 else {
                throw AmountError(
                    found: "\(quoted(text)) is no time to live", remedy: "write whole seconds, at most a day: \"180s\"")
            }
            set(&checker, milliseconds / 1000)
        }
    }

    private mutating func applyProcess(_ entry: Document.Entry, _ key: ProfileKey) {
        switch key {
        case .user:
            string(entry, "\"nobody\"") { checker, name in
                guard ProfileName.isAccount(name) else {
                    checker.report(entry.valuePosition, "\(quoted(name)) is no account", "write a name or a number")
                    return
                }
                checker.draft.profile.process.user = name
            }
        case .capabilities:
            strings(entry, "capability names") { checker, name, position in
                guard CapabilityName.all.contains(name) else {
                    checker.report(position, "unknown capability \(quoted(name))", CapabilityName.remedy(for: name))
                    return
                }
                checker.draft.profile.process.capabilities.append(name)
                checker.draft.capabilityOrigins.append(checker.origin(position))
            }
        case .seccomp:
            strings(entry, "system call names") { checker, name, position in
                guard ProfileName.isSystemCall(name) else {
                    checker.report(
                        position, "\(quoted(name)) is no system call", "write a name such as \"io_uring_setup\"")
                    return
                }
                checker.draft.profile.process.seccomp.append(name)
                checker.draft.seccompOrigins.append(checker.origin(position))
            }
        default:
            strings(entry, "variable names") { checker, text, position in
                if let mistake = EnvironmentEntry.mistake(in: text) {
                    checker.report(position, mistake.found, mistake.remedy)
                    return
                }
                checker.draft.profile.process.environment.append(text)
                checker.draft.environmentOrigins.append(checker.origin(position))
            }
        }
    }

    // MARK: Paths

    private mutating func applyRules(_ entry: Document.Entry, _ access: PathRule.Access) {
        strings(entry, "paths") { checker, text, position in checker.applyRule(text, access, position) }
    }

    private mutating func applyRule(_ text: String, _ access: PathRule.Access, _ position: Document.Position) {
        let path: PathText
        do throws(AmountError) {
            path = try PathText.parse(text, variables)
            try PathRule.check(path, for: access, text: text)
        } catch {
            report(position, error.found, error.remedy)
            return
        }
        if let other = places.add(path.canonical, access, line: position.line) {
            report(
                position, "\(quoted(text)) is under both \(other.access.rawValue) and \(access.rawValue)",
                "the other is in line \(other.line): keep one")
            return
        }
        draft.profile.filesystem.rules.append(
            PathRule(access: access, pattern: path.pattern, text: text, origin: origin(position)))
    }

    // MARK: Types

    private mutating func string(_ entry: Document.Entry, _ example: String, _ use: (inout Self, String) -> Void) {
        guard case .string(let text) = entry.value else { return reportType(entry, "a string", example) }
        if text.utf8.contains(0) { return report(entry.valuePosition, "a NUL character", "remove it") }
        use(&self, text)
    }

    private mutating func amount(
        _ entry: Document.Entry, _ example: String, _ use: (inout Self, String) throws(AmountError) -> Void
    ) {
        guard case .string(let text) = entry.value else { return reportType(entry, "a string", example) }
        do throws(AmountError) {
            try use(&self, text)
        } catch {
            report(entry.valuePosition, "\(entry.name): \(error.found)", error.remedy)
        }
    }

    private mutating func boolean(_ entry: Document.Entry, _ use: (inout Self, Bool) -> Void) {
        guard case .boolean(let value) = entry.value else { return reportType(entry, "a boolean", "true") }
        use(&self, value)
    }

    private mutating func count(_ entry: Document.Entry, _ range: ClosedRange<Int>, _ use: (inout Self, Int) -> Void) {
        guard case .integer(let number) = entry.value else { return reportType(entry, "a whole number", "15") }
        do throws(AmountError) {
            use(&self, try CountText.check(Int(number), in: range))
        } catch {
            report(entry.valuePosition, "\(entry.name): \(error.found)", error.remedy)
        }
    }

    private mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ entry: Document.Entry, _ choices: Choice.Type, _ use: (inout Self, Choice) -> Void
    ) {
        func names() -> String { choices.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ") }
        guard case .string(let text) = entry.value else { return reportType(entry, "a string", names()) }
        guard let value = Choice(rawValue: text) else {
            return report(entry.valuePosition, "\(entry.name) is \(quoted(text))", "write \(names())")
        }
        use(&self, value)
    }

    private mutating func strings(
        _ entry: Document.Entry, _ what: String, _ use: (inout Self, String, Document.Position) -> Void
    ) {
        guard case .array(let elements) = entry.value else {
            return reportType(entry, "a list of \(what)", "[\"...\"]")
        }
        for element in elements where draft.mistakes.count < Self.mistakeLimit {
            switch element.value {
            case .string(let text):
                use(&self, text, element.position)
            case .invalid:
                break
            default:
                report(element.position, "\(element.value.kind) in \(entry.name)", "a list of \(what) is due")
            }
        }
    }

    // MARK: The file as a whole

    private mutating func settle() {
        var limits: [Profile.Limits.Key] = []
        for index in seen.indices where seen[index] != nil {
            if let limit = ProfileKey(rawValue: index)?.limit { limits.append(limit) }
        }
        var watchdog: [Profile.WatchdogLimit] = []
        if seen[ProfileKey.watchdogCPU.rawValue] != nil { watchdog.append(.cpu) }
        if seen[ProfileKey.watchdogMemory.rawValue] != nil { watchdog.append(.memory) }
        draft.profile.followLimits(changed: limits, watchdogSet: watchdog)
        let place = seen[ProfileKey.memoryHigh.rawValue] ?? seen[ProfileKey.memory.rawValue]
        if let place, let contradiction = draft.profile.limits.contradiction {
            report(place, contradiction.found, contradiction.remedy)
        }
    }
}

private func positiveDuration(_ text: String) throws(AmountError) -> Int {
    let milliseconds = try DurationText.parse(text)
    guard milliseconds > 0 else { throw AmountError(found: "\(quoted(text)) is no time", remedy: "write more than 0") }
    return milliseconds
}

private func clipped(_ name: String) -> String { name.utf8.count <= 60 ? name : String(name.prefix(57)) + "..." }
