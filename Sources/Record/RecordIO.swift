import LinuxSystem

/// The system calls a record needs beyond what `LinuxSystem` has; the unsafe ones of this target, but for hashing, are
/// all here.
enum RecordIO {
    /// Opens a folder to work in; its last component may not be a symbolic link.
    static func openFolder(_ path: String, in folder: Int32 = AT_FDCWD) throws(Errno) -> FileDescriptor {
        try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: folder)
    }

    /// Makes a folder only we may enter.
    static func makeFolder(_ name: String, in folder: Int32 = AT_FDCWD) throws(Errno) {
        try kernel { unsafe mkdirat(folder, name, 0o700) }
    }

    /// Makes a file that was not there, for writing.
    static func createFile(
        _ name: String, in folder: borrowing FileDescriptor, mode: mode_t = 0o600
    ) throws(Errno) -> FileDescriptor {
        try FileDescriptor.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, at: folder.number)
    }

    /// Opens what is there; a symbolic link is refused, and a FIFO does not make us wait.
    static func openFile(
        _ name: String, in folder: borrowing FileDescriptor, writing: Bool
    ) throws(Errno) -> FileDescriptor {
        let flags = (writing ? O_WRONLY : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        return try FileDescriptor.open(name, flags, at: folder.number)
    }

    /// Writes at a place; may write less than asked.
    static func write(_ bytes: ArraySlice<UInt8>, to file: Int32, at offset: Int) throws(Errno) -> Int {
        try kernel { unsafe bytes.withUnsafeBytes { unsafe pwrite(file, $0.baseAddress, $0.count, offset) } }
    }

    /// Reads at most `count` bytes from a place, behind what `buffer` holds; 0 at the end.
    static func read(
        _ count: Int, from file: borrowing FileDescriptor, at offset: Int, into buffer: inout [UInt8]
    ) throws(Errno) -> Int {
        let number = file.number
        var answer = Result<Int, Errno>.success(0)
        buffer.append(addingCapacity: count) { space in
            unsafe space.withUnsafeMutableBufferPointer { memory, initialized in
                do throws(Errno) {
                    let length = try kernel { unsafe pread(number, memory.baseAddress, count, offset) }
                    initialized += length
                    answer = .success(length)
                } catch {
                    answer = .failure(error)
                }
            }
        }
        return try answer.get()
    }

    /// Sets room aside behind the file's end, as far as its file system can.
    static func reserve(_ bytes: Int, in file: Int32) {
        _ = clinux_reserve(file, bytes)
    }

    static func truncate(_ file: Int32, to length: Int) throws(Errno) {
        try kernel { ftruncate(file, length) }
    }

    /// Renames within a folder, replacing what has the new name.
    static func rename(_ from: String, to name: String, in folder: borrowing FileDescriptor) throws(Errno) {
        let number = folder.number
        try kernel { unsafe renameat(number, from, number, name) }
    }

    static func remove(_ name: String, in folder: borrowing FileDescriptor) throws(Errno) {
        let number = folder.number
        try kernel { unsafe unlinkat(number, name, 0) }
    }

    /// Removes a folder that is empty.
    static func removeFolder(_ path: String) throws(Errno) {
        try kernel { unsafe rmdir(path) }
    }

    static func status(of file: borrowing FileDescriptor) throws(Errno) -> stat {
        let number = file.number
        var status = stat()
        try kernel { unsafe fstat(number, &status) }
        return status
    }

    /// What `name` is, without following it.
    static func status(of name: String, in folder: Int32) throws(Errno) -> stat {
        var status = stat()
        try kernel { unsafe fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) }
        return status
    }

    /// Writes everything where the descriptor stands.
    static func writeAll(_ bytes: [UInt8], to file: Int32) throws(Errno) {
        var done = 0
        while done < bytes.count {
            let rest = bytes[done...]
            done += try kernel { unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) } }
        }
    }

    /// Throws what the kernel would say to a new file in the folder.
    static func checkWritable(_ folder: borrowing FileDescriptor) throws(Errno) {
        let number = folder.number
        try kernel { unsafe faccessat(number, ".", W_OK | X_OK, AT_EACCESS) }
    }

    /// Whether the number stands for an open descriptor of this process.
    static func isOpen(_ descriptor: Int32) -> Bool { fcntl(descriptor, F_GETFD) >= 0 }

    static var effectiveUser: uid_t { geteuid() }

    static func random(into bytes: inout [UInt8]) throws(Errno) {
        let count = bytes.count
        try kernel { unsafe bytes.withUnsafeMutableBytes { unsafe getentropy($0.baseAddress, count) } }
    }
}

/// Lets one thread sleep until another has something for it.
struct WakeSignal: ~Copyable, Sendable {
    private let descriptor: FileDescriptor

    init() throws(Errno) {
        descriptor = FileDescriptor(owning: try kernel { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
    }

    /// Wakes the sleeper. Never waits: a counter that is full is a signal that is already given.
    borrowing func give() {
        _ = eventfd_write(descriptor.number, 1)
    }

    /// Sleeps until a signal is given or the time is over.
    /// - Parameter milliseconds: -1 waits for ever.
    borrowing func take(waiting milliseconds: Int32) {
        var request = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&request, 1, milliseconds) > 0 else { return }
        var count = eventfd_t()
        _ = unsafe eventfd_read(descriptor.number, &count)
    }
}
