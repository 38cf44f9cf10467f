import Testing

@testable import PolicyFiles
@testable import ThreatPolicy

/// The vectors and their scores are those of first.org's calculator and of advisories.
@Suite struct CVSSVectorTests {
    @Test(arguments: [
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98), ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61), ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 78),
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N", 59), ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 16),
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 99), ("CVSS:3.1/AV:L/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H/E:P/RL:O", 75),
    ])
    func basesAreScored(_ vector: String, _ score: Int) { #expect(CVSSVector.score(vector) == UInt16(score)) }

    @Test(arguments: [
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 93),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 100),
        ("AV:L/AC:L/AT:N/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 85),
        ("AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:N/VA:N/SC:N/SI:N/SA:N", 60),
        ("AV:P/AC:H/AT:P/PR:H/UI:A/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 10),
        ("AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:N/VA:N/SC:L/SI:L/SA:N", 51),
        ("AV:A/AC:H/AT:N/PR:N/UI:N/VC:N/VI:H/VA:H/SC:N/SI:L/SA:H", 72),
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0),
        // The base alone: what is said of exploits and the environment would make it less.
        ("AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U/CR:L/MAV:P", 93),
    ])
    func basesOfVersion4AreScored(_ vector: String, _ score: Int) {
        #expect(CVSSVector.score("CVSS:4.0/" + vector) == UInt16(score))
    }

    /// Of all 104,976 bases every fifth: the sum of their scores, each with another weight, as the Python package cvss 3.6
    /// has it. It follows first.org's calculator.
    @Test func manyBasesOfVersion4() throws {
        let metrics: [(name: Substring, values: [Substring])] = [
            ("AV", ["N", "A", "L", "P"]), ("AC", ["L", "H"]), ("AT", ["N", "P"]), ("PR", ["N", "L", "H"]),
            ("UI", ["N", "P", "A"]), ("VC", ["H", "L", "N"]), ("VI", ["H", "L", "N"]), ("VA", ["H", "L", "N"]),
            ("SC", ["H", "L", "N"]), ("SI", ["H", "L", "N"]), ("SA", ["H", "L", "N"]),
        ]
        var sum = 0
        for number in stride(from: 0, to: 104_976, by: 5) {
            var vector: [Substring: Substring] = [:]
            var rest = number
            for (name, values) in metrics.reversed() {
                vector[name] = values[rest % values.count]
                rest /= values.count
            }
            sum += Int(try #require(CVSSVersion4.score(vector))) * (number % 97 + 1)
        }
        #expect(sum == 58_441_860)
    }

    @Test(arguments: [
        "", "HIGH", "9.8", "CVSS:3.1", "CVSS:4.0", "CVSS:4.1/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        "CVSS:4.0/AV:N/AC:L/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:R/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:S/SA:N",
        "AV:N/AC:L/Au:N/C:P/I:P/A:P", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
        "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:3.1/AV:N/AV:L/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1//AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    ])
    func whatIsNoneHasNoScore(_ vector: String) { #expect(CVSSVector.score(vector) == nil) }

    /// An advisory's score may stand in several places, and what is none there says nothing against the advisory.
    @Test func advisoriesAreScored() throws {
        func score(_ members: String) throws -> UInt16? {
            let text = "{\"id\":\"A\",\"database_specific\":{\"iocs\":{\"ips\":[\"192.0.2.1\"]}\(members)"
            let list = ThreatList.read(Array(text.utf8), format: .osv, name: "a", reason: "r")
            #expect(list.mistakes == [] && list.threats.count == 2)
            return try #require(list.threats.first).score
        }
        let vector = "\"severity\":[{\"type\":\"CVSS_V3\",\"score\":\"CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:N/A:N\"}]"
        #expect(try score("}}") == nil)
        #expect(try score("},\(vector)}") == 59)
        #expect(try score("},\"affected\":[{\(vector)}]}") == 59)
        #expect(try score(",\"cvss\":{\"score\":9.8}},\(vector)}") == 98)
        #expect(try score(",\"cvss\":{\"score\":\"HIGH\"}}}") == nil)
    }
}
