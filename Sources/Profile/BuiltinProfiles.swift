/// The profiles in the binary: profiles/*.toml, put there by the build plugin EmbedProfiles.
public enum BuiltinProfiles {
    /// In alphabetical order.
    public static var names: [String] { EmbeddedProfiles.names.map { "\($0)" } }

    /// The TOML text; `nil` when no built-in has that name.
    public static func text(named name: String) -> String? {
        EmbeddedProfiles.text(named: name).map { "\($0)" }
    }

    static func bytes(named name: String) -> [UInt8]? {
        EmbeddedProfiles.text(named: name).map { text in text.withUTF8Buffer { unsafe Array($0) } }
    }
}
