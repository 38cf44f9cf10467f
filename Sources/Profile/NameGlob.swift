/// Globs over one name, for those who match a few names now and then: `*` and `?`, by bytes.
public enum NameGlob {
    public static func matches(_ pattern: String, _ name: String) -> Bool {
        let pattern = Array(pattern.utf8)
        let name = Array(name.utf8)
        return Glob.matches(pattern.span, 0..<pattern.count, name.span, 0..<name.count)
    }
}
