import LinuxSystem

/// One name in a folder, as bytes: what a file is called need not be text. Every call is relative to an open folder and
/// follows no symlink, so that whoever swaps folders and links meanwhile cannot lead it elsewhere.
struct EntryName: Hashable, Sendable {
    /// Without the terminating NUL.
    let bytes: [UInt8]

    /// `nil` for what cannot be one name: empty, `.`, `..`, or with a slash or NUL in it.
    init?(_ bytes: [UInt8]) {
        guard !bytes.isEmpty, bytes.count < 256, bytes != [0x2e], bytes != [0x2e, 0x2e],
            !bytes.contains(0), !bytes.contains(UInt8(ascii: "/"))
        else { return nil }
        self.bytes = bytes
    }

    init?(_ text: String) { self.init(Array(text.utf8)) }

    /// For messages.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    private func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { room in
            for (index, byte) in bytes.enumerated() { unsafe room[index] = CChar(bitPattern: byte) }
            unsafe room[bytes.count] = 0
            guard let start = unsafe UnsafePointer(room.baseAddress) else { preconditionFailure("room has an address") }
            return unsafe body(start)
        }
    }

    /// openat(2) with O_NOFOLLOW and O_CLOEXEC.
    func open(in folder: Int32, _ flags: Int32, mode: mode_t = 0) throws(Errno) -> FileDescriptor {
        FileDescriptor(
            owning: try kernel {
                unsafe withCString { unsafe clinux_open(folder, $0, flags | O_NOFOLLOW | O_CLOEXEC, mode) }
            })
    }

    /// What is there; `nil` when nothing is.
    func status(in folder: Int32) throws(Errno) -> FileStatus? {
        do throws(Errno) {
            // Without following; text that is no UTF-8 is opened by its bytes first.
            let object = try open(in: folder, O_PATH)
            return try object.status()
        } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }

    /// Whether anything is there; true also when that cannot be told.
    func exists(in folder: Int32) -> Bool {
        do throws(Errno) {
            return try status(in: folder) != nil
        } catch {
            return error.code != ENOTDIR
        }
    }

    func makeFolder(in folder: Int32, mode: mode_t) throws(Errno) {
        try kernel { unsafe withCString { unsafe mkdirat(folder, $0, mode) } }
    }

    func makeSymlink(to target: [UInt8], in folder: Int32) throws(Errno) {
        try kernel {
            unsafe withCString { name in
                unsafe (target + [0]).withUnsafeBufferPointer { buffer in
                    unsafe buffer.withMemoryRebound(to: CChar.self) { text in
                        guard let start = text.baseAddress else { return Int32(-1) }
                        return unsafe symlinkat(start, folder, name)
                    }
                }
            }
        }
    }

    func linkTarget(in folder: Int32) throws(Errno) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = try kernel {
            unsafe withCString { name in
                unsafe buffer.withUnsafeMutableBytes { room in
                    guard let start = room.baseAddress else { return -1 }
                    return unsafe readlinkat(folder, name, start.assumingMemoryBound(to: CChar.self), room.count)
                }
            }
        }
        return Array(buffer[..<count])
    }

    func remove(from folder: Int32, isFolder: Bool = false) throws(Errno) {
        try kernel { unsafe withCString { unsafe unlinkat(folder, $0, isFolder ? AT_REMOVEDIR : 0) } }
    }

    /// renameat(2): replaces what has the new name.
    func rename(in folder: Int32, to other: EntryName, in otherFolder: Int32) throws(Errno) {
        try kernel {
            unsafe withCString { name in
                unsafe other.withCString { otherName in unsafe renameat(folder, name, otherFolder, otherName) }
            }
        }
    }

    /// renameat2(2) with RENAME_NOREPLACE.
    func renameWithoutReplacing(in folder: Int32, to other: EntryName, in otherFolder: Int32) throws(Errno) {
        try kernel {
            unsafe withCString { name in
                unsafe other.withCString { unsafe clinux_rename_no_replace(folder, name, otherFolder, $0) }
            }
        }
    }
}

/// Names in an open folder, without `.` and `..`; at most `limit`.
func entries(of folder: borrowing FileDescriptor, limit: Int) throws(Errno) -> [EntryName] {
    // A descriptor of its own: the position in a folder belongs to the open file.
    let here = FileDescriptor(
        owning: try kernel { unsafe clinux_open(folder.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) })
    var names: [EntryName] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    while names.count < limit {
        let size = try kernel {
            unsafe buffer.withUnsafeMutableBytes { room in
                guard let start = room.baseAddress else { return Int32(-1) }
                return unsafe clinux_getdents(here.number, start, room.count)
            }
        }
        if size == 0 { break }
        // struct linux_dirent64: inode (8), offset (8), record length (2), type (1), name.
        var at = 0
        while at + 19 < Int(size), names.count < limit {
            let length = Int(buffer[at + 16]) | Int(buffer[at + 17]) << 8
            guard length > 19, at + length <= Int(size) else { break }
            if let name = EntryName(Array(buffer[(at + 19)..<(at + length)].prefix { $0 != 0 })) { names.append(name) }
            at += length
        }
    }
    return names
}

/// `/proc/self/fd/N`: names an open object for calls that want a path.
func procPath(_ descriptor: Int32) -> String { "/proc/self/fd/\(descriptor)" }

/// Where an object we hold lies, as bytes; `nil` when it cannot be told.
func pathBytes(of descriptor: Int32) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: Int(clinux_path_size))
    let count = unsafe buffer.withUnsafeMutableBufferPointer { room in
        guard let start = room.baseAddress else { return -1 }
        return unsafe clinux_descriptor_path(0, descriptor, start, room.count)
    }
    return count >= 0 ? Array(buffer[..<count]) : nil
}

/// Copies at most `limit` bytes between open files; -1 as the result when there were more.
func copyContents(from source: borrowing FileDescriptor, to target: borrowing FileDescriptor, limit: Int) throws(Errno)
    -> Int
{
    var buffer = [UInt8](repeating: 0, count: 65536)
    var total = 0
    while true {
        let count = try kernel {
            unsafe buffer.withUnsafeMutableBytes { unsafe read(source.number, $0.baseAddress, $0.count) }
        }
        if count == 0 { return total }
        total += count
        if total > limit { return -1 }
        try target.writeAll(buffer[..<count])
    }
}

/// Who a thread belongs to.
struct ThreadOrigin {
    let process: Int32
    let name: [UInt8]?

    init(_ thread: Int32) {
        var process: pid_t = 0
        var name = [UInt8](repeating: 0, count: 16)
        let length = unsafe name.withUnsafeMutableBufferPointer { room in
            guard let start = room.baseAddress else { return Int32(0) }
            return unsafe clinux_thread_origin(thread, &process, start)
        }
        self.process = process == 0 ? thread : process
        self.name = length > 0 ? Array(name[..<Int(length)]) : nil
    }
}
