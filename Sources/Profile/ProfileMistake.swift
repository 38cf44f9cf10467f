/// One thing wrong with a profile, or with a value given on the command line.
public struct ProfileMistake: Sendable, Equatable, CustomStringConvertible {
    /// The profile it stands in, as shown to people; `nil` when there is no file yet (an unknown profile's name).
    public var source: String?
    /// First line is 1; 0 when the mistake concerns the whole file.
    public var line: Int
    /// First column is 1, counted in Unicode scalars; 0 when the mistake concerns the whole file.
    public var column: Int
    /// What was found.
    public var found: String
    /// What would be right; empty when there is nothing to add.
    public var remedy: String

    public init(source: String?, line: Int = 0, column: Int = 0, found: String, remedy: String = "") {
        self.source = source
        self.line = line
        self.column = column
        self.found = found
        self.remedy = remedy
    }

    /// `file:line:column: found; remedy`, as compilers write it.
    public var description: String {
        var text = ""
        if let source {
            text += source
            if line > 0 { text += ":\(line):\(column)" }
            text += ": "
        }
        text += found
        if !remedy.isEmpty { text += "; \(remedy)" }
        return text
    }
}

/// Every mistake found in a profile and in the profiles it extends, in reading order. Never empty.
public struct ProfileErrors: Error, Sendable, Equatable, CustomStringConvertible {
    public var mistakes: [ProfileMistake]

    public init(_ mistakes: [ProfileMistake]) { self.mistakes = mistakes }

    /// One mistake a line.
    public var description: String {
        var text = ""
        for mistake in mistakes {
            if !text.isEmpty { text += "\n" }
            text += mistake.description
        }
        return text
    }
}

/// The nearest of `candidates` when it is near enough to be a slip of the hand: at most a third of its letters away.
func nearestName(to name: String, among candidates: some Sequence<String>) -> String? {
    // A long name is no slip; without this bound a megabyte of key would cost a million squared.
    guard name.utf8.count <= 64 else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates {
        let distance = editDistance(name, candidate)
        guard distance <= max(1, candidate.utf8.count / 3) else { continue }
        if let known = best, known.distance <= distance { continue }
        best = (candidate, distance)
    }
    return best?.name
}

/// `did you mean "x"?` or else the whole choice.
func suggestion(for name: String, among candidates: [String]) -> String {
    if let nearest = nearestName(to: name, among: candidates) { return "did you mean \"\(nearest)\"?" }
    return "known: \(candidates.joined(separator: ", "))"
}

/// Insertions, removals, replacements and swaps of neighbours, case ignored (Damerau's distance, restricted).
private func editDistance(_ left: String, _ right: String) -> Int {
    let a = Array(left.lowercased().utf8)
    let b = Array(right.lowercased().utf8)
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var before: [Int] = []
    var previous = Array(0...b.count)
    for i in 1...a.count {
        var row = [i]
        for j in 1...b.count {
            var cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, before[j - 2] + 1) }
            row.append(cost)
        }
        before = previous
        previous = row
    }
    return previous[b.count]
}

/// `text` between quotes, cut to a readable length, without control characters: what was found may be anything.
func quoted(_ text: String) -> String {
    var shown = "\""
    var count = 0
    for scalar in text.unicodeScalars {
        if count == 60 {
            shown += "..."
            break
        }
        if scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) {
            shown += "\\u{\(String(scalar.value, radix: 16))}"
        } else {
            shown.unicodeScalars.append(scalar)
        }
        count += 1
    }
    return shown + "\""
}
