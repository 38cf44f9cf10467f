import JSONText
import LinuxSystem

/// A session's name: sorts by time, says nothing else, and is safe as a file name.
public struct SessionIdentifier: Sendable, Equatable, CustomStringConvertible {
    public let text: String

    /// Takes a name of 1 to 64 letters, digits, `-`, `_` and `.`, not starting with a dot; `nil` for any other.
    public init?(_ text: String) {
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
            default: false
            }
        }
        guard allowed, (1...64).contains(text.utf8.count), text.utf8.first != UInt8(ascii: ".") else { return nil }
        self.text = text
    }

    /// Makes a new one: `20261123T122705Z-9f3a1c2e4b5d`, 48 random bits behind the second.
    public static func make(at time: EventTime = .now()) throws(RecordError) -> SessionIdentifier {
        var random = [UInt8](repeating: 0, count: 6)
        do throws(Errno) {
            try RecordIO.random(into: &random)
        } catch {
            throw RecordError("draw random bytes for", "the session's name", error, remedy: "try again")
        }
        let digits = time.text.utf8.prefix(19).filter { $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ":") }
        let stamp = String(decoding: digits, as: UTF8.self)
        return SessionIdentifier(unchecked: "\(stamp)Z-\(Hexadecimal.text(of: random))")
    }

    private init(unchecked text: String) { self.text = text }

    public var description: String { text }
}

/// The folder of one session, made by us, 0700, held by descriptor: whatever its path means later, what we write
/// lands in the folder we made.
public struct SessionFolder: ~Copyable, Sendable {
    public let identifier: SessionIdentifier
    /// Where it was made, for messages.
    public let path: String
    let folder: FileDescriptor

    /// The folder, for `openat` and `renameat`; open as long as the folder is held.
    public var descriptor: Int32 { folder.number }

    /// Makes the session's folder inside `parent`.
    ///
    /// Missing folders on the way are made, 0700. `parent` itself may be no symbolic link, must belong to one of
    /// `owners` (or be root's and sticky, as /tmp is), and may not be writable by everybody unless it is sticky:
    /// otherwise somebody else decides where our record goes.
    ///
    /// - Parameters:
    ///   - parent: absolute, or relative to the working directory.
    ///   - confined: a folder the agent can write to, if `parent` lies in it. Then not one component below it may be a
    ///     symbolic link, for the agent (of this run or an earlier one) can have put it there.
    ///   - owners: uids that may own `parent` besides the effective one; under sudo, the invoking user.
    public static func make(
        _ identifier: SessionIdentifier, in parent: String, confined: String? = nil, owners: [uid_t] = []
    ) throws(RecordError) -> SessionFolder {
        let parentFolder = try ParentFolder.open(parent, confined: confined, purpose: .record)
        try ParentFolder.check(parentFolder, parent, owners: owners)
        let path = parent + "/" + identifier.text
        do throws(Errno) {
            try RecordIO.makeFolder(identifier.text, in: parentFolder.number)
            let folder = try RecordIO.openFolder(identifier.text, in: parentFolder.number)
            return SessionFolder(identifier: identifier, path: path, folder: folder)
        } catch {
            throw RecordError("make the session folder", path, error)
        }
    }
}
