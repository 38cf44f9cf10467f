/// A line of /etc/passwd, read plainly: NSS look-ups do not work in a static executable.
public struct Account: Equatable, Sendable {
    public var name: String
    public var user: UInt32
    public var group: UInt32
    public var home: String
    public var shell: String

    /// Parses one line of passwd(5); nil when it is not one.
    init?(line: ArraySlice<UInt8>) {
        var fields: [String] = []
        var rest = line
        while true {
            let field = rest.prefix { $0 != colon }
            fields.append(String(decoding: field, as: UTF8.self))
            if field.count == rest.count { break }
            rest = rest.dropFirst(field.count + 1)
        }
        guard fields.count >= 7, let user = UInt32(fields[2]), let group = UInt32(fields[3]) else { return nil }
        name = fields[0]
        self.user = user
        self.group = group
        home = fields[5]
        shell = fields[6]
    }

    public static func named(_ name: String) -> Account? {
        let wanted = Array(name.utf8)
        return first { line, user in
            line.count > wanted.count && line[line.startIndex + wanted.count] == colon && line.starts(with: wanted)
        }
    }

    public static func withUser(_ user: UInt32) -> Account? { first { _, found in found == user } }

    /// A line is taken apart only when `matches` likes it and its user: every start comes here, and most lines are
    /// somebody else's.
    private static func first(_ matches: (_ line: ArraySlice<UInt8>, _ user: UInt32) -> Bool) -> Account? {
        guard let file = try? FileDescriptor.open("/etc/passwd", O_RDONLY),
            let bytes = (try? file.readAll(limit: 4 << 20)) ?? nil
        else { return nil }
        var rest = bytes[...]
        while !rest.isEmpty {
            let line = rest.prefix { $0 != UInt8(ascii: "\n") }
            rest = rest.dropFirst(line.count + 1)
            if let user = user(of: line), matches(line, user), let account = Account(line: line) { return account }
        }
        return nil
    }

    /// The third field.
    private static func user(of line: ArraySlice<UInt8>) -> UInt32? {
        var fields = 0
        var value: UInt64?
        for byte in line {
            if byte == colon {
                fields += 1
                if fields == 3 { break }
            } else if fields == 2 {
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
                value = (value ?? 0) * 10 + UInt64(byte - UInt8(ascii: "0"))
                if value ?? 0 > UInt64(UInt32.max) { return nil }
            }
        }
        return fields == 3 ? value.map(UInt32.init) : nil
    }
}

private let colon = UInt8(ascii: ":")
