import Testing

@testable import Profile

/// Whatever the bytes, loading ends with a profile or with mistakes that can be shown.
@Suite struct FuzzTests {
    private func check(_ bytes: [UInt8]) {
        let sources = ProfileSources(
            find: { name throws(ProfileSources.Refusal) in
                name == "p"
                    ? ProfileSources.Text(name: "p.toml", place: .file, bytes: bytes)
                    : try ProfileSources.builtIn.find(name)
            },
            list: { ProfileSources.builtIn.list() })
        do throws(ProfileErrors) {
            let loaded = try ProfileLoader(sources: sources, variables: variables).load("p")
            let set = RuleSet(loaded.profile.filesystem.rules)
            _ = set.decide(path: bytes.span)
            _ = loaded.resolvedText
        } catch {
            #expect(!error.mistakes.isEmpty)
            for mistake in error.mistakes {
                #expect(!mistake.found.isEmpty)
                #expect(mistake.description.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
            }
        }
    }

    @Test func mutations() {
        var numbers = Numbers(state: 11)
        let seeds = BuiltinProfiles.names.compactMap { BuiltinProfiles.bytes(named: $0) }
        let tokens = [
            "\"", "'", "\"\"\"", "[", "]", "[[", "{", "}", "=", ",", "\n", "\r", "#", "\\", "\\u0000", "${", "}", "~",
            "**/", "*", "?", "/..",
            "nan", "-", "1e999", "0x", "99999999999999999999", "1979-05-27", "true", "extends = [\"p\"]\n", "\0",
            "\u{FEFF}", "é",
            "[filesystem]\n", "none", "%",
        ].map { Array($0.utf8) }
        for _ in 0..<10_000 {
            let seed = numbers.pick(seeds)
            // A window keeps each trial small; its beginning is as odd as any mutation.
            let start = numbers.below(2) == 0 ? 0 : numbers.below(seed.count)
            var bytes = Array(seed[start..<min(seed.count, start + 40 + numbers.below(600))])
            for _ in 0..<(1 + numbers.below(6)) {
                let place = numbers.below(bytes.count + 1)
                switch numbers.below(5) {
                case 0: bytes.insert(UInt8(truncatingIfNeeded: numbers.next()), at: place)
                case 1: bytes.insert(contentsOf: numbers.pick(tokens), at: place)
                case 2: if place < bytes.count { bytes[place] = UInt8(truncatingIfNeeded: numbers.next()) }
                case 3: bytes.removeSubrange(place..<min(bytes.count, place + numbers.below(20)))
                default:
                    let from = numbers.below(bytes.count + 1)
                    bytes.insert(contentsOf: Array(bytes[from..<min(bytes.count, from + numbers.below(40))]), at: place)
                }
            }
            check(bytes)
        }
    }

    @Test func noise() {
        var numbers = Numbers(state: 12)
        for _ in 0..<3000 {
            check((0..<numbers.below(200)).map { _ in UInt8(truncatingIfNeeded: numbers.next()) })
            check((0..<numbers.below(200)).map { _ in numbers.pick(Array("ab.=[]{}\"'\\#,\n 01_-+".utf8)) })
        }
    }
}
