/// The profiles that can be named on this machine, for `mis profile list`.
public struct ProfileCatalog: Sendable {
    public struct Entry: Sendable, Equatable {
        public var name: String
        /// Empty when the profile says none, or cannot be loaded.
        public var description: String
        public var place: ProfileSources.Place
        /// As shown in messages: a path, or `built-in NAME`.
        public var source: String
        /// A profile of the same name is found before this one.
        public var isHidden: Bool
        /// Why it cannot be used, if so.
        public var mistakes: [ProfileMistake]
    }

    private let sources: ProfileSources
    private let variables: Variables

    public init(sources: ProfileSources, variables: Variables) {
        self.sources = sources
        self.variables = variables
    }

    /// In alphabetical order; of equal names, the one that is used comes first.
    public func list() -> [Entry] {
        var entries: [Entry] = []
        for (name, place) in sources.list() {
            var entry = Entry(
                name: name, description: "", place: place, source: "", isHidden: entries.contains { $0.name == name },
                mistakes: [])
            // What stands behind the first of that name could only be shown by its path.
            if entry.isHidden {
                entries.append(entry)
                continue
            }
            do throws(ProfileErrors) {
                let loaded = try ProfileLoader(sources: sources, variables: variables).load(name)
                entry.description = loaded.profile.description
                entry.source = loaded.sources.last?.name ?? ""
            } catch {
                entry.mistakes = error.mistakes
            }
            entries.append(entry)
        }
        return entries.enumerated()
            .sorted { ($0.element.name, $0.offset) < ($1.element.name, $1.offset) }
            .map(\.element)
    }
}
