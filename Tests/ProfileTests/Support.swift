@testable import Profile

let variables = Variables(
    workspace: "/srv/project", home: "/home/dev", uid: 1000, gitCommonDirectory: "/srv/project/.git")

/// Profiles in memory, in front of the built-ins.
func sources(_ texts: [String: String]) -> ProfileSources {
    ProfileSources(
        find: { name throws(ProfileSources.Refusal) in
            if let text = texts[name] {
                return ProfileSources.Text(name: "\(name).toml", place: .user, bytes: Array(text.utf8))
            }
            return try ProfileSources.builtIn.find(name)
        },
        list: { texts.keys.sorted().map { ($0, .user) } + ProfileSources.builtIn.list() })
}

func load(_ text: String, and others: [String: String] = [:]) throws(ProfileErrors) -> Profile {
    try ProfileLoader(sources: sources(others.merging(["p": text]) { $1 }), variables: variables).load("p").profile
}

/// The messages of a profile that must not load; empty when it does load.
func mistakes(_ text: String, and others: [String: String] = [:]) -> [String] {
    do throws(ProfileErrors) {
        _ = try load(text, and: others)
        return []
    } catch {
        return error.mistakes.map(\.description)
    }
}

/// SplitMix64: the same numbers in every run, so that a failure can be run again.
struct Numbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[below(choices.count)] }
}
