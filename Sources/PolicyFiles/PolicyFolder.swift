import JSONText
import LinuxSystem
public import ThreatPolicy

/// Why a policy cannot be used or changed.
public struct PolicyFolderError: Error, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
    init(_ error: SystemError) { description = error.description }
}

/// The folder of a machine's policy, below the state folder.
///
///     incoming/        where anybody who may write here puts signed bundles, *.mip; symlinks are followed
///     keys/            *.pub: who may sign
///     whitelist.toml   W, or a symlink to it
///     store/           verified copies, the last ten of each kind
///     active.json      which of these are in force
///     history.jsonl    what came into force, and what was refused; before it, history.jsonl.1
///
/// All but `incoming` is written by mis alone, under a lock, by rename.
public struct PolicyFolder: Sendable {
    public let path: String

    public init(path: String) { self.path = path }

    public var incoming: String { path + "/incoming" }
    public var keys: String { path + "/keys" }
    public var store: String { path + "/store" }
    public var whitelistFile: String { path + "/whitelist.toml" }
    public var historyFile: String { path + "/history.jsonl" }
    /// What `historyFile` was before it grew too long.
    public var olderHistoryFile: String { historyFile + ".1" }
    var activeFile: String { path + "/active.json" }

    /// Bundles of a kind that are kept, to go back to.
    public static let kept = 10

    /// Makes what is missing, for the user's eyes only.
    public func make() throws(PolicyFolderError) {
        // The state folder itself may not be there yet.
        var above: [String] = []
        for index in path.indices.dropFirst() where path[index] == "/" { above.append(String(path[..<index])) }
        for folder in above + [path, incoming, keys, store] {
            guard unsafe mkdir(folder, 0o700) != 0, errno != EEXIST, errno != EROFS else { continue }
            throw PolicyFolderError(Errno(errno).doing("making the policy folder", folder))
        }
    }

    /// Keys that may sign.
    public func trustedKeys() throws(PolicyFolderError) -> Set<PolicySignature.PublicKey> {
        let names = (try? namesInFolder(keys)) ?? []
        var trusted: Set<PolicySignature.PublicKey> = []
        for name in names.sorted() where name.hasSuffix(".pub") {
            guard let text = try? readText("\(keys)/\(name)", limit: 4096),
                let key = PolicySignature.PublicKey(text: text)
            else {
                throw PolicyFolderError("\(keys)/\(name) is no public key: 'mis policy keygen' makes them")
            }
            trusted.insert(key)
        }
        return trusted
    }

    /// What is in force; nothing when nothing was ever taken.
    public func active() throws(PolicyFolderError) -> ActivePolicy {
        let text: [UInt8]?
        do throws(Errno) {
            text = try FileDescriptor.open(activeFile, O_RDONLY).readAll(limit: 1 << 20)
        } catch {
            if error.code == ENOENT { return ActivePolicy() }
            throw PolicyFolderError(error.doing("reading", activeFile))
        }
        do throws(JSONError) { return try ActivePolicy(text ?? []) } catch {
            throw PolicyFolderError("\(activeFile): \(error); remove it, and push the bundles again")
        }
    }

    /// Differs when a key was put there or taken away.
    var keysStamp: String { (try? FileStatus(of: keys, flags: 0)).map { "\($0.inode):\($0.modified)" } ?? "" }

    /// A bundle of the store. It was verified on its way in; that its signer is still trusted is looked at again.
    public func stored(_ name: String) throws(PolicyFolderError) -> Bundle {
        let trusted = try trustedKeys()
        do {
            return try Bundle(BundleFile.map("\(store)/\(name)"), trust: .keys(trusted), isStored: true)
        } catch let error as BundleError {
            throw PolicyFolderError("\(store)/\(name): \(error)")
        } catch let error as SystemError {
            throw PolicyFolderError(error)
        } catch {
            throw PolicyFolderError("\(store)/\(name): \(error)")
        }
    }

    /// Names of the store's bundles of a kind, newest serial first.
    public func storedNames(_ kind: BundleKind) -> [String] {
        let names = (try? namesInFolder(store)) ?? []
        return names.filter { $0.hasPrefix(kind.label + "-") && $0.hasSuffix(".mip") }.sorted(by: >)
    }

    /// `hotfix-00000000000000000012-0123456789abcdef.mip`: sorts by serial.
    static func storeName(_ bundle: Bundle) -> String {
        let serial = "\(bundle.header.serial)"
        return "\(bundle.header.kind.label)-\(String(repeating: "0", count: 20 - serial.utf8.count))\(serial)-"
            + "\(Hexadecimal.text(bundle.identity.prefix(8))).mip"
    }

    // MARK: Changing

    /// What a change of what is in force came to.
    struct Changed<Result> {
        var result: Result
        /// Writes history, once the change is there to stay.
        var note: () -> Void

        init(_ result: Result, note: @escaping () -> Void = {}) {
            self.result = result
            self.note = note
        }
    }

    /// Runs `change` on what is in force, alone among all processes, and writes what it made of it.
    /// - Parameter waits: false: returns `nil` at once when somebody else is at it.
    func change<Result>(
        waits: Bool, _ change: (inout ActivePolicy) throws(PolicyFolderError) -> Changed<Result>
    ) throws(PolicyFolderError) -> Result? {
        let lock: FileDescriptor
        do {
            lock = try FileDescriptor.open(path + "/lock", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
        } catch {
            throw PolicyFolderError(error.doing("opening the policy's lock", path + "/lock"))
        }
        let number = lock.number
        do {
            try kernel { flock(number, LOCK_EX | (waits ? 0 : LOCK_NB)) }
        } catch {
            if error.code == EWOULDBLOCK { return nil }
            throw PolicyFolderError(error.doing("locking", path + "/lock"))
        }
        var active = try active()
        let before = active
        let changed = try change(&active)
        if active != before {
            try write(active.text, to: activeFile, isLasting: waits)
            // Not sooner: until here runs go by what was written before, and load the bundles it names.
            for kind in BundleKind.allCases where active[kind] != before[kind] { prune(kind, active) }
        }
        changed.note()
        _ = consume lock
        return changed.result
    }

    /// Keeps the last ten, and what is in force.
    private func prune(_ kind: BundleKind, _ active: ActivePolicy) {
        for name in storedNames(kind).dropFirst(Self.kept)
        where name != active[kind].current && name != active[kind].canary?.file {
            unsafe unlink("\(store)/\(name)")
        }
    }

    /// Puts a whole file in a name's place.
    /// - Parameter isLasting: waits for the disk. A supervisor, whom others wait for, does not: what a power failure cuts
    ///   is refused when it is loaded.
    func write(_ bytes: [UInt8], to path: String, isLasting: Bool) throws(PolicyFolderError) {
        let fresh = "\(path).\(getpid())"
        do {
            unsafe unlink(fresh)
            let file = try FileDescriptor.open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            try file.writeAll(bytes)
            if isLasting { try kernel { fsync(file.number) } }
            try kernel { unsafe rename(fresh, path) }
        } catch {
            unsafe unlink(fresh)
            throw PolicyFolderError(error.doing("writing", path))
        }
    }

    /// Bytes of history.jsonl from which on a new one is begun. Whoever puts one bad bundle after another into `incoming` fills
    /// two of these, and no disk.
    static let historyLimit: UInt64 = 4 << 20

    /// One line of history; under the lock. That it cannot be written does not stop a policy from coming into force.
    func note(_ event: String, now: Int64, _ members: (inout JSONWriter) -> Void) {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("time", UTCTime.text(now))
            writer.member("event", event)
            members(&writer)
        }
        if let size = try? FileStatus(of: historyFile).size, size >= Self.historyLimit {
            unsafe rename(historyFile, olderHistoryFile)
        }
        guard let file = try? FileDescriptor.open(historyFile, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600)
        else { return }
        try? file.writeAll(writer.bytes + [UInt8(ascii: "\n")])
    }
}
