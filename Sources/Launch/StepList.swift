import CLaunch
import LinuxSystem

/// Descriptors the child keeps between steps.
enum Slot: Int32 {
    /// The private root, a tmpfs.
    case root = 0
    /// Files of our own, until they are bound.
    case scratch
    /// /proc without the mounts over it.
    case proc
    case home
    case ruleset
    case terminal
    /// `terminal` + 1: the side that becomes stdin, stdout and stderr.
    case terminalPeer
    case listener
    case fresh
    case mountNamespace

    /// From here on: user namespaces for idmapped mounts, one for each owner.
    static let firstIdmap: Int32 = 16
}

/// A place a step works on: inside an open folder of the child, or from its root.
enum Place {
    case host
    case slot(Slot)

    var number: Int32 {
        switch self {
        case .host: Int32(mis_place_host)
        case .slot(let slot): slot.rawValue
        }
    }
}

/// Tags of descriptors the child sends.
enum SentDescriptor: UInt32 {
    case home = 1
    case terminal
    case listener
    /// Something whose end takes the kernel long: kept open on our side until nobody waits for it.
    case kept
}

/// A step, for people.
struct Deed {
    var deed: String
    var object: String
}

/// The steps being written: C structures for the child, and for each a sentence for people.
///
/// Unsafe: fills C structures with pointers into ``StepArena``.
@safe struct StepList {
    let arena = StepArena()
    private(set) var steps: [mis_step] = unsafe []
    /// What each step does, to what.
    private(set) var deeds: [Deed] = []

    init() { unsafe steps.reserveCapacity(256) }

    /// For the child: valid as long as the arena is. Nothing is added afterwards.
    func list() -> mis_step_list {
        let table = unsafe steps.withUnsafeBytes { unsafe arena.bytes($0) }
        return unsafe mis_step_list(steps: table.assumingMemoryBound(to: mis_step.self), count: steps.count)
    }

    @safe mutating func add(
        _ kind: mis_step_kind, deed: String, object: String = "", at place: Place = .host, path: String? = nil,
        source: Place = .host, sourcePath: String? = nil, slot: Slot? = nil, descriptor: Int32 = -1,
        text: String? = nil, number: UInt64 = 0, value: UInt64 = 0, attributes: UInt64 = 0, idmap: Int32 = -1,
        identity: ObjectIdentity? = nil, flags: UInt32 = 0, data: (pointer: UnsafeRawPointer, size: Int)? = nil
    ) {
        var step = unsafe mis_step()
        unsafe step.kind = kind.rawValue
        unsafe step.flags = flags
        unsafe step.place = place.number
        unsafe step.source = source.number
        unsafe step.slot = slot?.rawValue ?? -1
        unsafe step.fd = descriptor
        if let path { unsafe step.path = arena.string(path) }
        if let sourcePath { unsafe step.source_path = arena.string(sourcePath) }
        if let text {
            unsafe step.text = arena.string(text)
            unsafe step.text_length = text.utf8.count
        }
        if let data = unsafe data {
            unsafe step.data = data.pointer
            unsafe step.data_length = data.size
        }
        unsafe step.number = number
        unsafe step.value = value
        unsafe step.attributes = attributes
        unsafe step.idmap = idmap
        if let identity {
            unsafe step.flags |= mis_flag_check_identity.rawValue
            unsafe step.device_major = identity.deviceMajor
            unsafe step.device_minor = identity.deviceMinor
            unsafe step.inode = identity.inode
        }
        unsafe steps.append(step)
        deeds.append(Deed(deed: deed, object: object))
    }

    // MARK: Small words for frequent steps

    /// `path` is relative to the private root.
    mutating func folder(_ path: String, mode: UInt64 = 0o755) {
        add(
            mis_step_directory, deed: "making the folder", object: "/" + path, at: .slot(.root), path: path,
            number: mode)
    }

    mutating func file(_ path: String, mode: UInt64 = 0o444, text: String? = nil, at place: Place = .slot(.root)) {
        add(mis_step_file, deed: "making the file", object: "/" + path, at: place, path: path, text: text, number: mode)
    }

    /// The same with any bytes.
    mutating func file(_ path: String, mode: UInt64, contents: [UInt8]) {
        file(path, mode: mode)
        guard let last = unsafe steps.indices.last, !contents.isEmpty else { return }
        unsafe steps[last].text = arena.bytes(contents).assumingMemoryBound(to: CChar.self)
        unsafe steps[last].text_length = contents.count
    }

    mutating func symlink(_ path: String, to target: String) {
        add(
            mis_step_symlink, deed: "making the symlink", object: "/" + path, at: .slot(.root), path: path,
            text: target)
    }

    /// A fresh file system, mounted at `path` of the private root, where nothing but our own is on the way.
    mutating func ownFileSystem(_ type: String, options: [(String, String)] = [], attributes: UInt64, path: String) {
        var text = ""
        for (key, value) in options { text += (text.isEmpty ? "" : ",") + key + "=" + value }
        add(
            mis_step_mount_here, deed: "making a \(type) for", object: "/" + path, path: path, sourcePath: type,
            text: text, attributes: attributes)
    }

    /// The same at any `path`.
    mutating func fileSystem(_ type: String, options: [(String, String)], attributes: UInt64, path: String) {
        newFileSystem(type, options: options, attributes: attributes, slot: .fresh, object: "/" + path)
        add(
            mis_step_attach, deed: "mounting \(type) at", object: "/" + path, at: .slot(.root), path: path,
            slot: .fresh)
        add(mis_step_close, deed: "closing", slot: .fresh)
    }

    mutating func newFileSystem(
        _ type: String, options: [(String, String)], attributes: UInt64, slot: Slot, object: String
    ) {
        // key NUL value NUL ...; the last NUL is the string's own.
        var text = ""
        for (key, value) in options { text += "\(key)\0\(value)\0" }
        add(
            mis_step_new_file_system, deed: "making a \(type) for", object: object, path: type, slot: slot, text: text,
            attributes: attributes)
    }
}

/// Mount attributes (linux/mount.h).
enum MountAttribute {
    static let readOnly: UInt64 = 1
    static let noSetuid: UInt64 = 2
    static let noDevices: UInt64 = 4
    static let noExecute: UInt64 = 8
}
