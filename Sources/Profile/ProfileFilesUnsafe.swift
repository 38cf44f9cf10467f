// The one file of this module that talks to the kernel. Unsafe: C strings, buffers and directory streams.

import Glibc

extension ProfileSources {
    /// Real files and the built-ins: a path as given; a name in `~/.config/mis/profiles`, then `/etc/mis/profiles`,
    /// then the binary. Never the workspace: the agent can write there.
    /// - Parameters:
    ///   - home: the caller's home folder, absolute; `nil` when there is none.
    ///   - owner: whose files are trusted besides root's: the user the run is for.
    public static func machine(home: String?, owner: UInt32) -> ProfileSources {
        folders(
            user: home.map { $0 + "/.config/mis/profiles" }, system: "/etc/mis/profiles", owner: owner)
    }

    /// The same with the folders given.
    static func folders(user: String?, system: String, owner: UInt32) -> ProfileSources {
        ProfileSources(
            find: { name throws(Refusal) in
                if name.utf8.contains(UInt8(ascii: "/")) {
                    return try readFile(name, place: .file, owner: owner)
                }
                guard ProfileName.isName(name) else { return nil }
                if let user, let text = try readFile("\(user)/\(name).toml", place: .user, owner: owner) {
                    return text
                }
                if let text = try readFile("\(system)/\(name).toml", place: .system, owner: owner) { return text }
                return try builtIn.find(name)
            },
            list: {
                var all: [(name: String, place: Place)] = []
                if let user { all += names(in: user).map { ($0, .user) } }
                all += names(in: system).map { ($0, .system) }
                return all + builtIn.list()
            })
    }
}

/// `nil` when there is no such file; a refusal when there is one that must not or cannot be used.
private func readFile(
    _ path: String, place: ProfileSources.Place, owner: UInt32
) throws(ProfileSources.Refusal) -> ProfileSources.Text? {
    func refusal(_ found: String, _ remedy: String) -> ProfileSources.Refusal {
        ProfileSources.Refusal(name: path, found: found, remedy: remedy)
    }
    guard !path.utf8.contains(0) else { throw refusal("a NUL character in the path", "remove it") }
    // No symbolic link as the last step: whoever may place one would choose the profile. No waiting on a FIFO.
    var descriptor: Int32
    repeat {
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
    } while descriptor < 0 && errno == EINTR
    guard descriptor >= 0 else {
        switch errno {
        case ENOENT, ENOTDIR:
            return nil
        case ELOOP:
            throw refusal("a symbolic link", "name the file itself")
        case let code:
            throw refusal("cannot be opened: \(message(code))", "make it readable for the user who runs mis")
        }
    }
    defer { close(descriptor) }
    // All questions are put to what was opened, not to its name.
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw refusal("cannot be examined: \(message(errno))", "") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw refusal("not a regular file", "name a TOML file") }
    guard status.st_uid == 0 || status.st_uid == owner else {
        throw refusal(
            "belongs to uid \(status.st_uid), who could change what the sandbox permits", "chown it to root or yourself"
        )
    }
    guard status.st_mode & (S_IWGRP | S_IWOTH) == 0 else {
        throw refusal("can be written by others than its owner", "chmod go-w it")
    }
    guard status.st_size <= ProfileSources.sizeLimit else {
        throw refusal("\(status.st_size) bytes long", "a profile has at most 1 MiB")
    }
    guard let bytes = read(descriptor) else { throw refusal("cannot be read: \(message(errno))", "") }
    guard bytes.count <= ProfileSources.sizeLimit else {
        throw refusal("more than 1 MiB long", "a profile has at most 1 MiB")
    }
    return ProfileSources.Text(name: path, place: place, bytes: bytes)
}

/// Up to one byte more than the limit; `nil` and `errno` on failure.
private func read(_ descriptor: Int32) -> [UInt8]? {
    var result: [UInt8] = []
    while result.count <= ProfileSources.sizeLimit {
        var failed = false
        let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 16384) { buffer, count in
            var received: Int
            repeat {
                received = unsafe read(descriptor, buffer.baseAddress, 16384)
            } while received < 0 && errno == EINTR
            failed = received < 0
            count = max(received, 0)
        }
        if failed { return nil }
        if chunk.isEmpty { break }
        result += chunk
    }
    return result
}

/// The profiles a folder holds, in alphabetical order; none when it cannot be listed.
private func names(in folder: String) -> [String] {
    guard let stream = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
        let file = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
        }
        guard file.hasSuffix(".toml") else { continue }
        let name = String(file.dropLast(".toml".count))
        if ProfileName.isName(name) { names.append(name) }
    }
    return names.sorted()
}

private func message(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
