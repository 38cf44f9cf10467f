/// Where profiles are found. A plain pair of functions, so that everything else is a function of values.
public struct ProfileSources: Sendable {
    /// The text of a profile and where it came from.
    public struct Text: Sendable, Equatable {
        /// As shown in messages: the file's path, or `built-in NAME`.
        public var name: String
        public var place: Place
        public var bytes: [UInt8]

        public init(name: String, place: Place, bytes: [UInt8]) {
            self.name = name
            self.place = place
            self.bytes = bytes
        }
    }

    /// The kinds of places, in the order they are searched.
    public enum Place: String, Sendable, CaseIterable {
        /// Named by its path.
        case file
        /// `~/.config/mis/profiles`
        case user
        /// `/etc/mis/profiles`
        case system
        /// In the binary.
        case builtIn = "built-in"
    }

    /// A profile that is there but cannot be used: why, and what to do.
    public struct Refusal: Error, Sendable, Equatable {
        public var name: String
        public var found: String
        public var remedy: String

        public init(name: String, found: String, remedy: String) {
            self.name = name
            self.found = found
            self.remedy = remedy
        }
    }

    /// The text for a name (`agent`) or a path (anything with a slash); `nil` when there is none.
    public var find: @Sendable (_ nameOrPath: String) throws(Refusal) -> Text?
    /// The names to be found, with the place each would come from. A name in several places is listed for each.
    public var list: @Sendable () -> [(name: String, place: Place)]

    public init(
        find: @escaping @Sendable (_ nameOrPath: String) throws(Refusal) -> Text?,
        list: @escaping @Sendable () -> [(name: String, place: Place)]
    ) {
        self.find = find
        self.list = list
    }

    /// Only what is in the binary.
    public static let builtIn = ProfileSources(
        find: { name throws(Refusal) in
            guard let bytes = BuiltinProfiles.bytes(named: name) else { return nil }
            return Text(name: "built-in \(name)", place: .builtIn, bytes: bytes)
        },
        list: { BuiltinProfiles.names.map { ($0, .builtIn) } })

    /// The largest file read, bytes.
    public static let sizeLimit = 1 << 20
}
