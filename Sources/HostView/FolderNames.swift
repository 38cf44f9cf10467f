import LinuxSystem

/// The names in folders that are asked about often, so that what is not there costs no system call.
///
/// Most of what a profile lists does not exist, and stands in a few folders: a hundred names in home and workspace. Only
/// "not there" is answered from names, and only where that is certain: on file systems whose folders tell all their names
/// (an automounter's do not), for plain ASCII, and whatever a folder without regard to case may call the same.
public struct FolderNames {
    private enum Knowledge {
        /// How often it was asked about. A folder that is there is worth reading for many names only.
        case asked(Int)
        /// Lowercase, each between two zeros; a folder that is not there has none.
        case names([UInt8])
        case unusable
    }

    private var folders: [(path: String, knowledge: Knowledge)] = []

    /// Bytes of folder entries that are read at most: a larger folder is asked name by name.
    private static let limit = 8192

    /// The folder that paths are looked up from, as if it were the root; AT_FDCWD: the root itself.
    private let root: Int32

    public init(below root: Int32 = AT_FDCWD) { self.root = root }

    /// Whether it is certain that nothing has this path.
    public mutating func areWithout(_ path: String) -> Bool {
        // The root stands in no folder.
        if path == "/" { return false }
        let folder = Paths.parent(path)
        guard let names = names(in: folder), let name = Self.lowercase(Paths.lastName(path)) else { return false }
        return !Self.holds(names, name)
    }

    private mutating func names(in folder: String) -> [UInt8]? {
        for index in folders.indices.reversed() where folders[index].path == folder {
            if case .asked(let times) = folders[index].knowledge {
                folders[index].knowledge = times == 1 || times == Self.many ? read(folder, times) : .asked(times + 1)
            }
            if case .names(let names) = folders[index].knowledge { return names }
            return nil
        }
        folders.append((folder, .asked(1)))
        return nil
    }

    /// Reading a folder of a hundred entries, such as /etc, takes as long as twenty questions.
    private static let many = 16

    private func read(_ folder: String, _ times: Int) -> Knowledge {
        do throws(Errno) {
            let path = root == AT_FDCWD ? folder : "." + folder
            let file = try FileDescriptor.openWithoutSymlinks(path, O_RDONLY | O_DIRECTORY, at: root)
            if times < Self.many { return .asked(times + 1) }
            guard Self.tellsAllNames(file.number) else { return .unusable }
            return try Self.names(in: file.number).map { .names($0) } ?? .unusable
        } catch {
            return error.code == ENOENT ? .names([]) : .unusable
        }
    }

    private static func tellsAllNames(_ folder: Int32) -> Bool {
        var system = statfs()
        guard unsafe fstatfs(folder, &system) == 0 else { return false }
        switch UInt32(truncatingIfNeeded: system.f_type) {
        case 0xEF53,  // ext4
            0x5846_5342,  // xfs
            0x9123_683E,  // btrfs
            0x0102_1994,  // tmpfs
            0x794C_7630:  // overlayfs
            return true
        default: return false
        }
    }

    /// nil: too many, or one that is not ASCII.
    private static func names(in folder: Int32) throws(Errno) -> [UInt8]? {
        var entries = [UInt8](repeating: 0, count: limit)
        var names: [UInt8] = [0]
        for _ in 0..<2 {
            let size = try kernel {
                unsafe entries.withUnsafeMutableBytes { unsafe clinux_getdents(folder, $0.baseAddress!, $0.count) }
            }
            if size == 0 { return names }
            // struct linux_dirent64: inode (8), offset (8), record length (2), type (1), name.
            var at = 0
            while at < Int(size) {
                var index = at + 19
                while entries[index] != 0 {
                    guard let byte = lowercase(entries[index]) else { return nil }
                    names.append(byte)
                    index += 1
                }
                names.append(0)
                at += Int(entries[at + 16]) | Int(entries[at + 17]) << 8
            }
        }
        return nil
    }

    private static func lowercase(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        case 0..<0x80: byte
        default: nil
        }
    }

    private static func lowercase(_ name: String) -> [UInt8]? {
        var bytes: [UInt8] = [0]
        for byte in name.utf8 {
            guard let lower = lowercase(byte) else { return nil }
            bytes.append(lower)
        }
        bytes.append(0)
        return bytes
    }

    private static func holds(_ names: [UInt8], _ name: [UInt8]) -> Bool {
        guard names.count >= name.count else { return false }
        for start in 0...(names.count - name.count) where names[start] == 0 {
            var offset = 1
            while offset < name.count, names[start + offset] == name[offset] { offset += 1 }
            if offset == name.count { return true }
        }
        return false
    }
}
