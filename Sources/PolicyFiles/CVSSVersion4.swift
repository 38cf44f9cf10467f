/// Base scores of CVSS version 4.0 (https://www.first.org/cvss/v4-0/specification-document, section 8).
///
/// There is no formula. The metrics form sets, and each set has a few classes, 0 the worst. For the worst vectors of each
/// combination of classes experts agreed on a score. Any other vector has less, by how far it is on its way to the
/// combinations one class lower: a mean over the sets.
enum CVSSVersion4 {
    /// - Returns: tenths, 0 to 100; `nil` when a base metric is missing or has no such value.
    static func score(_ metrics: [Substring: Substring]) -> UInt16? {
        guard let ways = levels(["AV": "NALP", "PR": "NLH", "UI": "NPA"], metrics),
            let hurdles = levels(["AC": "LH", "AT": "NP"], metrics),
            let impact = levels(["VC": "HLN", "VI": "HLN", "VA": "HLN"], metrics),
            let consequences = levels(["SC": "HLN", "SI": "HLN", "SA": "HLN"], metrics)
        else { return nil }
        if (impact + consequences).allSatisfy({ $0 == 2 }) { return 0 }
        return score([
            Place(
                ways, in: ways == [0, 0, 0] ? 0 : ways[0] == 3 || !ways.contains(0) ? 2 : 1,
                worst: [[[0, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[3, 0, 0], [1, 1, 1]]], depths: [1, 4, 5]),
            Place(
                hurdles, in: hurdles == [0, 0] ? 0 : 1, worst: [[[0, 0]], [[1, 0], [0, 1]]], depths: [1, 2]),
            Place(
                impact, in: impact[0] == 0 && impact[1] == 0 ? 0 : impact.contains(0) ? 1 : 2,
                worst: [[[0, 0, 0]], [[1, 0, 0], [0, 1, 0]], [[1, 1, 1]]], depths: [7, 8, 10]),
            Place(
                consequences, in: consequences.contains(0) ? 0 : 1, worst: [[[0, 0, 0]], [[1, 1, 1]]],
                depths: [5, 4]),
        ])
    }

    /// Where a vector is within a class of one set.
    private struct Place {
        let number: Int
        /// Steps from the class's worst vector that is not better than this one in any metric, and how many there can be.
        let distance: Int
        let depth: Int

        init(_ levels: [Int], in number: Int, worst: [[[Int]]], depths: [Int]) {
            self.number = number
            depth = depths[number]
            let start = worst[number].first { zip(levels, $0).allSatisfy { $0 >= $1 } } ?? levels
            distance = levels.reduce(0, +) - start.reduce(0, +)
        }
    }

    /// The metrics' values, as how much less severe than the worst they are.
    private static func levels(
        _ wanted: KeyValuePairs<Substring, String>, _ metrics: [Substring: Substring]
    ) -> [Int]? {
        var levels: [Int] = []
        for (name, letters) in wanted {
            guard let value = metrics[name], value.count == 1,
                let level = letters.enumerated().first(where: { $0.element == value.first })
            else { return nil }
            levels.append(level.offset)
        }
        return levels
    }

    private static func score(_ places: [Place]) -> UInt16 {
        let (way, hurdle, impact, consequence) = (
            places[0].number, places[1].number, places[2].number, places[3].number
        )
        let full = scores[way][hurdle][impact][consequence]
        // One class lower in each set; what may be wanted of the environment is at its most, so that of two ways down from
        // the worst impact the one that is worth more counts.
        let lower = [
            way < 2 ? scores[way + 1][hurdle][impact][consequence] : nil,
            hurdle < 1 ? scores[way][hurdle + 1][impact][consequence] : nil,
            belowImpact[way][hurdle][impact].map { $0[consequence] },
            consequence < 1 ? scores[way][hurdle][impact][consequence + 1] : nil,
        ]
        // In whole numbers, as parts of the depths' product: halves are rounded up, and no binary fraction is in the way.
        let parts = places.reduce(1) { $0 * $1.depth }
        var (count, less) = (1, 0)  // The set of exploits' maturity is there, too, and always at its worst.
        for (place, lower) in zip(places, lower) {
            guard let lower else { continue }
            count += 1
            less += (full - lower) * place.distance * (parts / place.depth)
        }
        return UInt16(clamping: (2 * full * parts * count - 2 * less + parts * count) / (2 * parts * count))
    }

    /// Tenths, by the classes of the sets: of the worst vectors with these.
    private static let scores: [[[[Int]]]] = [
        [[[100, 93], [93, 88], [79, 69]], [[95, 92], [92, 84], [71, 63]]],
        [[[94, 87], [86, 72], [65, 53]], [[90, 77], [74, 61], [58, 23]]],
        [[[86, 70], [72, 53], [47, 24]], [[73, 54], [61, 46], [24, 10]]],
    ]

    /// The same below each class of impact, where there is something.
    private static let belowImpact: [[[[Int]?]]] = [
        [[[96, 90], [92, 80], nil], [[92, 84], [82, 70], nil]],
        [[[89, 75], [76, 57], nil], [[77, 66], [59, 52], nil]],
        [[[74, 54], [57, 36], nil], [[61, 46], [51, 18], nil]],
    ]
}
