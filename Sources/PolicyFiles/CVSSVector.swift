/// The base score that a CVSS vector stands for: advisories often give the vector alone.
///
/// Versions 3.0, 3.1 and 4.0. What a vector says beyond its base, of threats and environments, is left aside.
enum CVSSVector {
    /// - Returns: tenths, 0 to 100; `nil` for what is no vector of these versions, or lacks a metric.
    static func score(_ vector: String) -> UInt16? {
        let parts = vector.split(separator: "/", omittingEmptySubsequences: false)
        var metrics: [Substring: Substring] = [:]
        for part in parts.dropFirst() {
            let pair = part.split(separator: ":", omittingEmptySubsequences: false)
            guard pair.count == 2, metrics.updateValue(pair[1], forKey: pair[0]) == nil else { return nil }
        }
        switch parts.first {
        case "CVSS:3.0", "CVSS:3.1": return scoreOfVersion3(metrics)
        case "CVSS:4.0": return CVSSVersion4.score(metrics)
        default: return nil
        }
    }

    /// https://www.first.org/cvss/v3-1/specification-document, section 7.
    private static func scoreOfVersion3(_ metrics: [Substring: Substring]) -> UInt16? {
        func weight(_ metric: Substring, _ weights: [Substring: Double]) -> Double? {
            metrics[metric].flatMap { weights[$0] }
        }
        let impacts: [Substring: Double] = ["H": 0.56, "L": 0.22, "N": 0]
        guard let scope = metrics["S"], scope == "U" || scope == "C",
            let vector = weight("AV", ["N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2]),
            let complexity = weight("AC", ["L": 0.77, "H": 0.44]),
            let privileges = weight(
                "PR", scope == "C" ? ["N": 0.85, "L": 0.68, "H": 0.5] : ["N": 0.85, "L": 0.62, "H": 0.27]),
            let interaction = weight("UI", ["N": 0.85, "R": 0.62]), let confidentiality = weight("C", impacts),
            let integrity = weight("I", impacts), let availability = weight("A", impacts)
        else { return nil }
        let base = 1 - (1 - confidentiality) * (1 - integrity) * (1 - availability)
        let impact =
            scope == "C" ? 7.52 * (base - 0.029) - 3.25 * power(base - 0.02, 15) : 6.42 * base
        guard impact > 0 else { return 0 }
        let exploitability = 8.22 * vector * complexity * privileges * interaction
        let sum = scope == "C" ? 1.08 * (impact + exploitability) : impact + exploitability
        return roundedUp(min(sum, 10))
    }

    private static func power(_ number: Double, _ exponent: Int) -> Double {
        (0..<exponent).reduce(1) { product, _ in product * number }
    }

    /// Appendix A: up to the next tenth, but not because of what binary fractions cannot say.
    private static func roundedUp(_ number: Double) -> UInt16 {
        let fine = Int((number * 100_000).rounded())
        return UInt16(fine.isMultiple(of: 10_000) ? fine / 10_000 : fine / 10_000 + 1)
    }
}
