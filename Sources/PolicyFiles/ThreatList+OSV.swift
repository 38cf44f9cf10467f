import JSONText
import ThreatPolicy

/// Advisories in the OSV format.
///
/// They speak of packages and versions, which no kernel sees. What becomes keys: SHA-256 digests of files, wherever
/// `affected[].ecosystem_specific` or `affected[].database_specific` name one (a member called `sha256`), and the
/// addresses of `database_specific.iocs.ips`. An advisory without any is counted and named.
extension ThreatList {
    mutating func readAdvisories(_ text: [UInt8]) {
        if let whole = try? JSONReader.read(text) {
            for advisory in whole.array ?? [whole] { addAdvisory(advisory, line: 1) }
        } else {
            readLines(text) { $0.addAdvisory($1, line: $2) }
        }
    }

    private mutating func addAdvisory(_ advisory: JSONValue, line: Int) {
        guard let identifier = advisory["id"]?.string else { return mistake(line, "no advisory: it has no \"id\"") }
        if let withdrawn = advisory["withdrawn"]?.string, !withdrawn.isEmpty { return }
        let names = [identifier] + (advisory["aliases"]?.array ?? []).compactMap(\.string)
        let cve = names.first { $0.hasPrefix("CVE-") }
        let summary = advisory["summary"]?.string ?? defaultReason
        let score = Self.score(advisory)
        var keys: [String] = []
        for affected in advisory["affected"]?.array ?? [] {
            for place in ["ecosystem_specific", "database_specific"] {
                if let value = affected[place] { Self.digests(value, depth: 0, into: &keys) }
            }
        }
        for address in advisory["database_specific"]?["iocs"]?["ips"]?.array ?? [] {
            if let text = address.string { keys.append("address:" + (text.contains(":") ? "[\(text)]" : text)) }
        }
        if keys.isEmpty { withoutKeys.append(identifier) }
        let known = mistakes.count
        for key in keys {
            add(
                key: key, operation: nil, reason: "\(identifier): \(summary)", cve: cve,
                score: score.map(Threat.scoreText), line: line)
        }
        // In an array all are on line 1.
        for place in known..<mistakes.count { mistakes[place] += " (advisory \(identifier))" }
    }

    /// The highest of the advisory's own and its packages' scores: written, or by their vectors.
    private static func score(_ advisory: JSONValue) -> UInt16? {
        var scores: [UInt16] = []
        for part in [advisory] + (advisory["affected"]?.array ?? []) {
            let vectors = (part["severity"]?.array ?? []).compactMap { $0["score"]?.string }
            scores += vectors.compactMap(CVSSVector.score)
            // What else databases write here, as "HIGH", is no score.
            if let text = part["database_specific"]?["cvss"]?["score"].flatMap(scoreText) {
                scores += [Threat.score(text) ?? CVSSVector.score(text)].compactMap { $0 }
            }
        }
        return scores.max()
    }

    private static func digests(_ value: JSONValue, depth: Int, into keys: inout [String]) {
        guard depth < 8 else { return }
        for element in value.array ?? [] { digests(element, depth: depth + 1, into: &keys) }
        for member in value.object?.members ?? [] {
            if member.name == "sha256" {
                for text in [member.value.string].compactMap({ $0 }) + (member.value.array ?? []).compactMap(\.string) {
                    keys.append("digest:\(text)")
                }
            } else {
                digests(member.value, depth: depth + 1, into: &keys)
            }
        }
    }
}
