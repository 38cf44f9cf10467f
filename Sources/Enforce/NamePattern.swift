/// A name pattern of the profile (`**/.env`, `**/.git/hooks`): whatever path ends in these names.
public struct NamePattern: Sendable, Equatable {
    public enum Access: Sendable {
        case deny
        case protect
    }

    /// Each may hold `*` (any run of bytes) and `?` (any one byte). At least one.
    public var names: [[UInt8]]
    public var access: Access
    /// As in ``PathVerdict/rule``.
    public var rule: Int32

    public init(names: [String], access: Access, rule: Int32) {
        self.names = names.map { Array($0.utf8) }
        self.access = access
        self.rule = rule
    }

    /// Whether a name is one the pattern's name at `index` means.
    func matches(_ name: [UInt8], at index: Int) -> Bool { Self.matches(names[index], name) }

    /// Whether a name may be the object's own.
    func matchesLast(_ name: [UInt8]) -> Bool { matches(name, at: names.count - 1) }

    /// Whether the names before the last match the end of a folder's path.
    func matchesFolder(_ path: [UInt8]) -> Bool {
        let parts = path.split(separator: UInt8(ascii: "/"))
        guard parts.count >= names.count - 1 else { return false }
        return zip(names.dropLast().reversed(), parts.reversed()).allSatisfy { Self.matches($0, Array($1)) }
    }

    private static func matches(_ glob: [UInt8], _ name: [UInt8]) -> Bool {
        var (g, n) = (0, 0)
        // Where to come back to: after the last star, with one byte more given to it.
        var (star, resume) = (-1, 0)
        while n < name.count {
            if g < glob.count, glob[g] == UInt8(ascii: "*") {
                (star, resume) = (g, n)
                g += 1
            } else if g < glob.count, glob[g] == UInt8(ascii: "?") || glob[g] == name[n] {
                g += 1
                n += 1
            } else if star >= 0 {
                g = star + 1
                resume += 1
                n = resume
            } else {
                return false
            }
        }
        return glob[g...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}
