import JSONText
import Profile
public import ThreatPolicy

/// A list of threats as people and feeds write them.
public enum ThreatListFormat: String, CaseIterable, Sendable {
    /// `[[threat]]` with `key`, `operation`, `reason`, `cve`, `cvss`.
    case toml
    /// The same as columns; the first line names them (RFC 4180).
    case csv
    /// The same as one object on each line.
    case jsonLines = "jsonl"
    /// One advisory, or one on each line (https://ossf.github.io/osv-schema/).
    case osv
    /// One SHA-256 on each line, as sha256sum(1) prints them.
    case digests

    /// By a file's name; `nil`: it does not tell.
    public init?(fileName: String) {
        let suffixes: [(String, ThreatListFormat)] = [
            (".toml", .toml), (".csv", .csv), (".osv.json", .osv), (".osv.jsonl", .osv), (".jsonl", .jsonLines),
            (".ndjson", .jsonLines), (".sha256", .digests), (".txt", .digests), (".json", .osv),
        ]
        guard let found = suffixes.first(where: { fileName.hasSuffix($0.0) }) else { return nil }
        self = found.1
    }
}

/// The threats of one file, with what was wrong in it and what could not become a key.
public struct ThreatList {
    public var threats: [Threat] = []
    /// `FILE:LINE: what`; not empty: nothing should be built.
    public var mistakes: [String] = []
    /// Advisories that name nothing a sandbox could be asked about.
    public var withoutKeys: [String] = []

    let name: String
    let defaultReason: String
    let calls: KeyText.CallNumbers

    /// - Parameters:
    ///   - name: the file's, for messages.
    ///   - reason: for entries that give none.
    public static func read(
        _ text: [UInt8], format: ThreatListFormat, name: String, reason: String,
        calls: @escaping KeyText.CallNumbers = { _ in nil }
    ) -> ThreatList {
        var list = ThreatList(name: name, defaultReason: reason, calls: calls)
        switch format {
        case .toml: list.readTOML(text)
        case .csv: list.readCSV(text)
        case .jsonLines: list.readLines(text) { $0.addObject($1, line: $2) }
        case .osv: list.readAdvisories(text)
        case .digests: list.readDigests(text)
        }
        return list
    }

    private init(name: String, defaultReason: String, calls: @escaping KeyText.CallNumbers) {
        self.name = name
        self.defaultReason = defaultReason
        self.calls = calls
    }

    static let mistakeLimit = 100

    mutating func mistake(_ line: Int, _ what: String) {
        if mistakes.count < Self.mistakeLimit { mistakes.append("\(name):\(line): \(what)") }
    }

    /// Takes one entry in, however it was written.
    mutating func add(key: String?, operation: String?, reason: String?, cve: String?, score: String?, line: Int) {
        guard let key, !key.isEmpty else { return mistake(line, "no key") }
        var tenths: UInt16?
        if let score, !score.isEmpty {
            tenths = Threat.score(score)
            if tenths == nil { return mistake(line, "CVSS \"\(score)\" is no score: write 0.0 to 10.0") }
        }
        do throws(KeyTextError) {
            var text = key
            if let operation, !operation.isEmpty, operation != "any" { text = "\(operation) \(key)" }
            for key in try KeyText.parse(text, calls: calls) {
                threats.append(
                    Threat(
                        key: key, reason: reason.flatMap { $0.isEmpty ? nil : $0 } ?? defaultReason,
                        cve: cve.flatMap { $0.isEmpty ? nil : $0 }, score: tenths))
            }
        } catch {
            mistake(line, error.description)
        }
    }

    // MARK: Formats

    private mutating func readTOML(_ text: [UInt8]) {
        let tables = TableList.read(text, name: name, header: "threat")
        mistakes += tables.mistakes
        for table in tables.tables {
            do throws(TableList.Mistake) {
                try table.allow(["key", "operation", "reason", "cve", "cvss"])
                let score = table.entries.first { $0.name.hasSuffix(".cvss") }?.value
                let scoreText: String? =
                    switch score {
                    case .float(let number): Self.scoreText(number)
                    case .integer(let number): "\(number)"
                    default: try table.optionalString("cvss")
                    }
                add(
                    key: try table.string("key"), operation: try table.optionalString("operation"),
                    reason: try table.optionalString("reason"), cve: try table.optionalString("cve"),
                    score: scoreText, line: table.line)
            } catch {
                mistakes.append(error.description)
            }
        }
    }

    private mutating func readDigests(_ text: [UInt8]) {
        var number = 0
        for line in text.split(separator: 10, omittingEmptySubsequences: false) {
            number += 1
            guard let first = line.first, first != UInt8(ascii: "#"), first != 13 else { continue }
            let digits = line.prefix(64)
            let next = line.dropFirst(64).first
            guard digits.count == 64, let digest = Hexadecimal.bytes(digits.span),
                next == nil || next == 32 || next == 9 || next == 13,
                let key = PolicyKey(.execute, .digest(digest))
            else {
                mistake(number, "no SHA-256: 64 hexadecimal digits are due at the start of the line")
                continue
            }
            threats.append(Threat(key: key, reason: defaultReason))
        }
    }

    mutating func readLines(_ text: [UInt8], _ take: (inout ThreatList, JSONValue, Int) -> Void) {
        var number = 0
        for line in text.split(separator: 10, omittingEmptySubsequences: false) {
            number += 1
            guard line.contains(where: { $0 != 32 && $0 != 9 && $0 != 13 }) else { continue }
            do throws(JSONError) {
                take(&self, try JSONReader.read(Array(line)), number)
            } catch {
                mistake(number, error.description)
            }
        }
    }

    private mutating func addObject(_ value: JSONValue, line: Int) {
        guard let object = value.object else { return mistake(line, "no object") }
        for member in object.members where !["key", "operation", "reason", "cve", "cvss"].contains(member.name) {
            return mistake(line, "unknown member \"\(member.name)\"")
        }
        add(
            key: value["key"]?.string, operation: value["operation"]?.string, reason: value["reason"]?.string,
            cve: value["cve"]?.string, score: value["cvss"].flatMap(Self.scoreText), line: line)
    }

    /// A score that was written as a number or as a text.
    static func scoreText(_ value: JSONValue) -> String? {
        if let text = value.string { return text }
        if let whole = value.int64 { return "\(whole)" }
        if case .number(let number) = value { return scoreText(number) }
        return nil
    }

    static func scoreText(_ number: Double) -> String {
        guard number >= 0, number <= 1000 else { return "\(number)" }
        let tenths = Int((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
