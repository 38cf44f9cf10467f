/// An open descriptor with one owner, closed when the owner goes.
public struct FileDescriptor: ~Copyable, Sendable {
    public let number: Int32

    /// Takes over `number`.
    public init(owning number: Int32) { self.number = number }

    deinit { close(number) }

    /// Gives the number away; nobody closes it any more but the receiver.
    public consuming func release() -> Int32 {
        let number = self.number
        discard self
        return number
    }

    public func duplicate() throws(Errno) -> FileDescriptor {
        let number = self.number
        return FileDescriptor(owning: try kernel { clinux_duplicate(number) })
    }
}

extension FileDescriptor {
    /// openat(2), always with O_CLOEXEC.
    public static func open(
        _ path: String, _ flags: Int32, mode: mode_t = 0, at directory: Int32 = AT_FDCWD
    ) throws(Errno) -> FileDescriptor {
        FileDescriptor(owning: try kernel { unsafe clinux_open(directory, path, flags | O_CLOEXEC, mode) })
    }

    /// openat2(2) with RESOLVE_NO_SYMLINKS: no component of `path` may be a symlink.
    public static func openWithoutSymlinks(
        _ path: String, _ flags: Int32, mode: mode_t = 0, at directory: Int32 = AT_FDCWD
    ) throws(Errno) -> FileDescriptor {
        FileDescriptor(
            owning: try kernel {
                unsafe clinux_open_resolving(
                    directory, path, UInt64(flags | O_CLOEXEC), UInt64(mode), UInt64(RESOLVE_NO_SYMLINKS))
            })
    }

    /// Everything that can be read, up to `limit` bytes; nil when there is more.
    public func readAll(limit: Int) throws(Errno) -> [UInt8]? {
        var bytes: [UInt8] = []
        while true {
            let number = self.number
            let chunk = try filled(min(limit + 1, 16384)) { unsafe read(number, $0.baseAddress, $0.count) }
            if chunk.isEmpty { return bytes }
            if bytes.isEmpty { bytes = chunk } else { bytes += chunk }
            if bytes.count > limit { return nil }
        }
    }

    /// Writes all of `bytes`, however often the kernel takes only a part.
    public func writeAll(_ bytes: some Collection<UInt8>) throws(Errno) {
        let whole = Array(bytes)
        var written = 0
        while written < whole.count {
            let number = self.number
            written += try kernel {
                unsafe whole.withUnsafeBytes { unsafe write(number, $0.baseAddress! + written, $0.count - written) }
            }
        }
    }

    public func status() throws(Errno) -> FileStatus {
        try FileStatus(of: "", at: number, flags: AT_EMPTY_PATH)
    }
}

/// Reads a small text file whole (proc, sysfs, cgroup files, /etc/passwd).
public func readText(_ path: String, limit: Int = 1 << 20, at directory: Int32 = AT_FDCWD) throws(Errno) -> String {
    let file = try FileDescriptor.open(path, O_RDONLY, at: directory)
    guard let bytes = try file.readAll(limit: limit) else { throw Errno(EFBIG) }
    return String(decoding: bytes, as: UTF8.self)
}

/// Writes `text` in one call to a file that exists (proc, sysfs, cgroup files).
public func writeText(_ text: String, to path: String, at directory: Int32 = AT_FDCWD) throws(Errno) {
    let file = try FileDescriptor.open(path, O_WRONLY, at: directory)
    try file.writeAll(text.utf8)
}

/// The target of a symlink.
public func readLink(_ path: String, at directory: Int32 = AT_FDCWD) throws(Errno) -> String {
    let target = try filled(Int(PATH_MAX)) { buffer in
        guard let start = unsafe buffer.bindMemory(to: CChar.self).baseAddress else { return 0 }
        return unsafe readlinkat(directory, path, start, buffer.count)
    }
    return String(decoding: target, as: UTF8.self)
}

/// What a system call says, in memory it is the first to write: what it leaves alone is never touched.
/// - Parameter call: fills the buffer, and answers how much of it, as read(2) does.
@safe private func filled(_ size: Int, by call: (UnsafeMutableRawBufferPointer) -> Int) throws(Errno) -> [UInt8] {
    var failure: Errno?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        do throws(Errno) {
            count = try kernel { unsafe call(UnsafeMutableRawBufferPointer(buffer)) }
        } catch {
            failure = error
        }
    }
    if let failure { throw failure }
    return bytes
}

/// Names in a folder, without `.` and `..`, at most `limit` of them.
public func namesInFolder(_ path: String, at directory: Int32 = AT_FDCWD, limit: Int = .max) throws(Errno) -> [String] {
    let folder = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: directory)
    return try namesInFolder(folder, limit: limit)
}

public func namesInFolder(_ folder: borrowing FileDescriptor, limit: Int = .max) throws(Errno) -> [String] {
    var names: [String] = []
    let number = folder.number
    while names.count < limit {
        let buffer = try filled(8192) { buffer in
            guard let start = buffer.baseAddress else { return 0 }
            return unsafe Int(clinux_getdents(number, start, buffer.count))
        }
        if buffer.isEmpty { break }
        // struct linux_dirent64: inode (8), offset (8), record length (2), type (1), name.
        var at = 0
        while at < buffer.count, names.count < limit {
            let length = Int(buffer[at + 16]) | Int(buffer[at + 17]) << 8
            let name = buffer[(at + 19)..<(at + length)].prefix { $0 != 0 }
            at += length
            let text = String(decoding: name, as: UTF8.self)
            if text != "." && text != ".." { names.append(text) }
        }
    }
    return names
}
