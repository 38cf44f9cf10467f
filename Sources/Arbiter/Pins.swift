import CBpf
import LinuxSystem

/// The folder of pins of one object, `<root>/<digest>`: who makes it, who finds it, who removes it.
///
/// All of it under a lock on the root folder itself, so that two first runs do not load twice and nobody unpins what
/// somebody is about to use. A folder is built as `<digest>_new` and gets its name when it is whole: what has the
/// right name is complete, and what has the other is the rest of a crash.
struct Pins: ~Copyable {
    /// Links of what is attached only while a sandbox needs it.
    static let revokingFolder = "revoking"

    let root: String
    let name: String
    /// Held while it lives.
    let lock: FileDescriptor

    var folder: String { "\(root)/\(name)" }

    static func objectName(without: String) -> String {
        // A set with something left out is another set.
        let digest = unsafe String(cString: cbpf_object_digest())
        return without.isEmpty ? digest : digest + "_without_" + without.map { $0 == "," ? "-" : String($0) }.joined()
    }

    init(root: String, without: String) throws(ArbiterError) {
        self.root = root
        name = Pins.objectName(without: without)
        do { try kernel { unsafe mkdir(root, 0o700) } } catch  where error.code == EEXIST {} catch {
            throw .system(error.doing("making", root, remedy: "is bpffs mounted at /sys/fs/bpf, and are you root?"))
        }
        let opened: FileDescriptor
        do { opened = try FileDescriptor.open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) } catch {
            throw .system(error.doing("opening", root))
        }
        let status: FileStatus
        do { status = try opened.status() } catch { throw .system(error.doing("looking at", root)) }
        guard status.user == 0, status.mode & 0o077 == 0 else { throw .foreignPin(root) }
        let number = opened.number
        try attempt("locking", root) { cbpf_lock(number) }
        lock = opened
    }

    /// Makes the pins where there are none. Returns whether it had to.
    borrowing func ensure(without: String) throws(ArbiterError) -> Bool {
        let found: [String]
        do { found = try namesInFolder(lock) } catch { throw .system(error.doing("reading", root)) }
        for rest in found where rest.hasSuffix("_new") { try Pins.remove("\(root)/\(rest)") }
        if found.contains(name) { return false }
        let fresh = "\(folder)_new"
        try attempt("making", fresh) { unsafe mkdir(fresh, 0o700) }
        var message = [CChar](repeating: 0, count: 3000)
        let result = unsafe message.withUnsafeMutableBufferPointer {
            unsafe cbpf_load(cbpf_object(), cbpf_object_size(), fresh, without, $0.baseAddress!, $0.count)
        }
        if result != 0 {
            let error = Errno(errno)
            try Pins.remove(fresh)
            let text = String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw .notLoaded(text, error)
        }
        let target = folder
        try attempt("naming", target) { unsafe rename(fresh, target) }
        return true
    }

    /// Folders of other objects, for whoever decides which of them nobody uses.
    borrowing func others() throws(ArbiterError) -> [String] {
        // By its name: the descriptor has been read to its end.
        do { return try namesInFolder(root).filter { $0 != name }.map { "\(root)/\($0)" } } catch {
            throw .system(error.doing("reading", root))
        }
    }

    /// Whether somebody pinned another version after this one.
    borrowing func hasNewer() throws(ArbiterError) -> Bool {
        guard let mine = try? FileStatus(of: folder) else { return false }
        return try others().contains { other in
            !other.hasSuffix("_new") && (try? FileStatus(of: other)).map { $0.modified > mine.modified } ?? false
        }
    }

    /// Whether a cgroup that a version's programs guard still is. Asks only what has the same form in every version;
    /// where even that cannot be asked, the folder is left alone.
    static func inUse(_ folder: String) -> Bool {
        guard let cgroups = try? map(folder, "cgroups", key: 8, value: 4), let mount = Arbiter.cgroupMount() else {
            return true
        }
        return Entry.all(cgroups.number, UInt64(0), UInt32(0)).contains { cbpf_cgroup_alive(mount.number, $0.key) != 0 }
    }

    /// Unpins everything in a folder and removes it. What is attached only through these pins is detached by it.
    static func remove(_ folder: String) throws(ArbiterError) {
        for kind in ["links", revokingFolder, "programs", "maps"] {
            let path = "\(folder)/\(kind)"
            guard let names = try? namesInFolder(path) else { continue }
            for name in names {
                let pin = "\(path)/\(name)"
                try attempt("unpinning", pin) { unsafe unlink(pin) }
            }
            try attempt("removing", path) { unsafe rmdir(path) }
        }
        try attempt("removing", folder, remedy: "something else lies in it") { unsafe rmdir(folder) }
    }

    /// Opens a pinned map and checks that it is the one the object would make.
    static func map(
        _ folder: String, _ name: String, key: Int, value: Int
    ) throws(ArbiterError) -> FileDescriptor {
        let path = "\(folder)/maps/\(name)"
        let map = FileDescriptor(owning: try attempt("opening", path) { unsafe cbpf_pinned(path) })
        var shape = cbpf_map_shape()
        let number = map.number
        try attempt("asking about", path) { unsafe cbpf_map_shape(number, &shape) }
        guard Int(shape.key_size) == key, Int(shape.value_size) == value else { throw .foreignPin(path) }
        return map
    }
}
