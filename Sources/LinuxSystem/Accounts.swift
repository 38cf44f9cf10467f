/// A line of /etc/passwd, read plainly: NSS look-ups do not work in a static executable.
public struct Account: Equatable, Sendable {
    public var name: String
    public var user: UInt32
    public var group: UInt32
    public var home: String
    public var shell: String

    /// Parses one line of passwd(5); nil when it is not one.
    public init?(line: Substring) {
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count >= 7, let user = UInt32(fields[2]), let group = UInt32(fields[3]) else { return nil }
        name = String(fields[0])
        self.user = user
        self.group = group
        home = String(fields[5])
        shell = String(fields[6])
    }

    private static func first(_ matches: (Account) -> Bool) -> Account? {
        guard let text = try? readText("/etc/passwd", limit: 4 << 20) else { return nil }
        return text.split(separator: "\n").lazy.compactMap { Account(line: $0) }.first(where: matches)
    }

    public static func named(_ name: String) -> Account? { first { $0.name == name } }
    public static func withUser(_ user: UInt32) -> Account? { first { $0.user == user } }
}
