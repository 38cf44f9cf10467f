/// One pass over a text, copying it and masking the secrets found on the way.
struct SecretScan {
    private let bytes: [UInt8]
    private var output: [UInt8] = []
    private var index = 0

    /// The longest name looked at: bounds the work at each word.
    private static let nameLimit = 128

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func masked() -> [UInt8] {
        output.reserveCapacity(bytes.count)
        while index < bytes.count {
            if maskURLUser() { continue }
            if startsWord && (maskPrivateKey() || maskNamedValue() || maskScheme() || maskMarkedToken()) { continue }
            output.append(bytes[index])
            index += 1
        }
        return output
    }

    private var startsWord: Bool {
        let isDash = bytes[index] == UInt8(ascii: "-")
        guard isDash || SecretName.isWord(bytes[index]) else { return false }
        guard index > 0 else { return true }
        // Only the first of several dashes starts one, or a line of dashes would be read once for each.
        let before = bytes[index - 1]
        return !SecretName.isWord(before) && !(isDash && before == UInt8(ascii: "-"))
    }

    private func matches(_ text: String, at place: Int) -> Bool {
        bytes[min(place, bytes.count)...].starts(with: text.utf8)
    }

    private func matchesAnyCase(_ text: String, at place: Int) -> Bool {
        guard place + text.utf8.count <= bytes.count else { return false }
        return zip(bytes[place...], text.utf8).allSatisfy { $0 | 0x20 == $1 | 0x20 }
    }

    /// Copies up to `start`, writes the mask, and goes on at `end`.
    private mutating func mask(_ start: Int, _ end: Int) {
        output.append(contentsOf: bytes[index..<start])
        output.append(contentsOf: Redaction.mask.utf8)
        index = end
    }

    private func end(from start: Int, where stops: (UInt8) -> Bool) -> Int {
        bytes[start...].firstIndex(where: stops) ?? bytes.count
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private static func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") }

    // MARK: Kinds of secrets

    /// `://user:password@host`. A bare short user (`ssh://git@host`) stays, except over HTTP, where it is a token.
    private mutating func maskURLUser() -> Bool {
        guard bytes[index] == UInt8(ascii: ":"), matches("://", at: index) else { return false }
        let start = index + 3
        let authority = bytes[
            start..<end(from: start) { "/?#\\".utf8.contains($0) || Self.isSpace($0) || Self.isQuote($0) }]
        guard let at = authority.lastIndex(of: UInt8(ascii: "@")), at > start else { return false }
        let user = bytes[start..<at]
        let overHTTP = index > 0 && "pPsS".utf8.contains(bytes[index - 1]) && scheme.starts(with: "http")
        guard overHTTP || user.contains(UInt8(ascii: ":")) || user.count > 32 else { return false }
        mask(start, at)
        return true
    }

    /// The word before `index`, in lower case, as far as a scheme of HTTP needs.
    private var scheme: String {
        let before = bytes[max(index - 5, 0)..<index].map { $0 | 0x20 }
        let text = String(decoding: before, as: UTF8.self)
        return text.hasSuffix("http") ? "http" : text
    }

    /// `-----BEGIN ... PRIVATE KEY-----` up to its end.
    private mutating func maskPrivateKey() -> Bool {
        let opening = "-----BEGIN "
        guard bytes[index] == UInt8(ascii: "-"), matches(opening, at: index) else { return false }
        let label = index + opening.utf8.count
        let labelEnd = min(end(from: label) { $0 == UInt8(ascii: "-") }, label + Self.nameLimit)
        guard bytes[label..<labelEnd].suffix(11).elementsEqual("PRIVATE KEY".utf8) else { return false }
        let start = min(labelEnd + 5, bytes.count)
        var end = start
        while end < bytes.count, !matches("-----END", at: end) { end += 1 }
        guard end > start, !bytes[start..<end].elementsEqual(Redaction.mask.utf8) else { return false }
        mask(start, end)
        return true
    }

    /// `name=value`, `name: value`, `"name": "value"` where the name says that the value is secret.
    private mutating func maskNamedValue() -> Bool {
        let first = end(from: index) { $0 != UInt8(ascii: "-") }
        var place = first
        while place < bytes.count, place - first < Self.nameLimit, SecretName.isPart(bytes[place]) { place += 1 }
        let name = bytes[first..<place]
        guard !name.isEmpty else { return false }
        // The name's closing quote (in JSON within a shell's word with a backslash), then the separator.
        if place < bytes.count, bytes[place] == UInt8(ascii: "\\") { place += 1 }
        if place < bytes.count, Self.isQuote(bytes[place]) { place += 1 }
        while place < bytes.count, bytes[place] == 0x20, place - first < 2 * Self.nameLimit { place += 1 }
        guard place < bytes.count, bytes[place] == UInt8(ascii: "=") || bytes[place] == UInt8(ascii: ":"),
            !matches("://", at: place), SecretName.isSecret(name)
        else { return false }
        let assigns = bytes[place] == UInt8(ascii: "=")
        place += 1
        // `NAME=value` as a whole argument or variable: everything behind is the value, spaces and all.
        if assigns && index == 0 {
            guard place < bytes.count else { return false }
            mask(place, bytes.count)
            return true
        }
        while place < bytes.count, bytes[place] == 0x20 { place += 1 }
        if place < bytes.count, bytes[place] == UInt8(ascii: "\\") { place += 1 }
        let stop: Int
        if place < bytes.count, Self.isQuote(bytes[place]) {
            let quote = bytes[place]
            place += 1
            stop = end(from: place) { $0 == quote || $0 == UInt8(ascii: "\\") }
        } else if isHeader(name) {
            stop = end(from: place) { $0 == 0x0A || $0 == 0x0D || Self.isQuote($0) }
        } else {
            stop = end(from: place) { Self.isSpace($0) || Self.isQuote($0) || "&;,)}]".utf8.contains($0) }
        }
        guard stop > place else { return false }
        mask(place, stop)
        return true
    }

    /// Headers have values of several words: to the end of the line.
    private func isHeader(_ name: ArraySlice<UInt8>) -> Bool {
        let text = String(decoding: name.map { $0 | 0x20 }, as: UTF8.self)
        return text.hasSuffix("authorization") || text.hasSuffix("cookie") || text.hasPrefix("x-")
    }

    /// `Bearer <token>`, `Basic <token>` outside a header.
    private mutating func maskScheme() -> Bool {
        guard bytes[index] | 0x20 == UInt8(ascii: "b") else { return false }
        for scheme in ["bearer ", "basic "] where matchesAnyCase(scheme, at: index) {
            let start = index + scheme.utf8.count
            let stop = end(from: start) { !SecretName.isPart($0) && !"+/=~".utf8.contains($0) }
            guard stop - start >= 16 else { return false }
            mask(start, stop)
            return true
        }
        return false
    }

    /// Issuers' marks, and how many characters must follow one.
    private static let marks: [(mark: String, least: Int)] = [
        ("sk-", 16), ("sk_live_", 10), ("sk_test_", 10), ("rk_live_", 10), ("rk_test_", 10),
        ("ghp_", 20), ("gho_", 20), ("ghu_", 20), ("ghs_", 20), ("ghr_", 20), ("github_pat_", 20), ("glpat-", 16),
        ("AKIA", 16), ("ASIA", 16), ("AIza", 30), ("ya29.", 20), ("xoxa-", 10), ("xoxb-", 10), ("xoxp-", 10),
        ("xoxr-", 10), ("xoxs-", 10), ("xapp-", 10), ("hf_", 20), ("npm_", 30), ("pypi-", 30), ("dop_v1_", 30),
        ("SG.", 30), ("eyJ", 30), ("AGE-SECRET-KEY-", 20), ("tvly-", 16), ("gsk_", 20), ("xai-", 20), ("nvapi-", 20),
    ]

    /// The first letters of all marks, a bit for each from 0x40 on.
    private static let initials = marks.reduce(UInt64(0)) { bits, entry in
        bits | entry.mark.utf8.prefix(1).reduce(0) { $0 | 1 << UInt64($1 - 0x40) }
    }

    /// A token that carries its issuer's mark; the mark stays, to say what was there.
    private mutating func maskMarkedToken() -> Bool {
        // A launch waits for this pass over the environment: most words are done with at their first letter.
        let letter = bytes[index]
        guard letter < 0x80, letter >= 0x40, Self.initials & 1 << (letter - 0x40) != 0 else { return false }
        for (mark, least) in Self.marks where matches(mark, at: index) {
            let start = index + mark.utf8.count
            let stop = end(from: start) { !SecretName.isPart($0) }
            guard stop - start >= least else { continue }
            self.mask(start, stop)
            return true
        }
        return false
    }
}
