public import LinuxSystem

/// Keeps names that are protected and do not exist yet from coming into being, where the kernel has no hook for
/// creation (tiers fanotify and landlock): what appears is moved aside at once and told as a violation.
///
/// From a writable root down, every folder on the way to a protected name is watched (inotify(7)), as far as it exists;
/// after each watch is laid the folder is looked at, so that nothing slips in between. A folder on the way is lawful and
/// stays; a symlink that appears in its place is taken away, because the protected name would exist behind it. All
/// work is relative to folders held open and follows no symlink: whoever renames folders meanwhile only makes us look
/// again.
///
/// This undoes, it does not prevent: for some milliseconds the object is there. ``sweep()`` after the last process of the
/// sandbox is gone makes sure that nothing is left.
public final class NameWatcher {
    /// A path below a writable root.
    public struct ProtectedPath: Sendable, Equatable {
        /// On the host; resolved once, at launch, when nobody hostile is there.
        public var root: String
        /// Below it, at least one.
        public var names: [[UInt8]]
        public var rule: RuleReference

        public init(root: String, names: [[UInt8]], rule: RuleReference) {
            self.root = root
            self.names = names
            self.rule = rule
        }

        /// `nil` when `path` is not below `root`.
        public init?(path: String, below root: String, rule: RuleReference) {
            let bytes = Array(path.utf8)
            let above = root == "/" ? [] : Array(root.utf8)
            guard bytes.count > above.count, bytes[above.count] == slash, bytes.starts(with: above) else { return nil }
            var names: [[UInt8]] = []
            var start = above.count
            while start < bytes.count {
                start += 1
                var end = start
                while end < bytes.count, bytes[end] != slash { end += 1 }
                if end > start { names.append(Array(bytes[start..<end])) }
                start = end
            }
            guard !names.isEmpty else { return nil }
            self.init(root: root, names: names, rule: rule)
        }
    }

    /// A folder on the way to a protected name, or the name itself.
    private final class Place {
        let name: EntryName?
        let path: [UInt8]
        var rule: RuleReference?
        /// A handful: looking through them costs less than a dictionary of them does at each start.
        var children: [Place] = []
        weak var parent: Place?
        /// Open while the folder exists and is watched.
        var folder: Folder?

        init(name: EntryName?, path: [UInt8], parent: Place?) {
            self.name = name
            self.path = path
            self.parent = parent
        }

        func child(_ name: EntryName) -> Place? { children.first { $0.name == name } }
    }

    private final class Folder {
        let descriptor: FileDescriptor
        let identity: ObjectIdentity
        let watch: Int32

        init(descriptor: consuming FileDescriptor, identity: ObjectIdentity, watch: Int32) {
            self.descriptor = descriptor
            self.identity = identity
            self.watch = watch
        }
    }

    /// To be polled for input.
    public var descriptor: Int32 { queue.descriptor.number }
    /// Objects moved aside.
    public private(set) var taken = 0

    /// A protected name was there when it was last looked at.
    private var sawSome = false
    private let queue: WatchQueue
    private let quarantine: Quarantine
    private let gate: ViolationGate
    private var roots: [Place] = []
    /// One watch serves several places where they are the same folder.
    private var watched: [Watched] = []

    private struct Watched {
        var watch: Int32
        var place: Place
    }

    private static let mask =
        UInt32(IN_CREATE) | UInt32(IN_MOVED_TO) | UInt32(IN_MOVED_FROM) | UInt32(IN_DELETE) | UInt32(IN_ONLYDIR)

    /// Lays the watches. A protected name that exists already is left alone (a mount protects it).
    public init(_ paths: [ProtectedPath], quarantine: Quarantine, gate: ViolationGate) throws(SystemError) {
        queue = try WatchQueue()
        self.quarantine = quarantine
        self.gate = gate
        for path in paths { try add(path) }
        for root in roots { try attach(root) }
    }

    private func add(_ path: ProtectedPath) throws(SystemError) {
        let root = Array(path.root.utf8)
        var place: Place
        if let known = roots.first(where: { $0.path == root }) {
            place = known
        } else {
            place = Place(name: nil, path: root, parent: nil)
            roots.append(place)
        }
        for bytes in path.names {
            guard let name = EntryName(bytes) else {
                throw Errno(EINVAL).doing("watching for a protected name", String(decoding: bytes, as: UTF8.self))
            }
            // Below a name that must not exist nothing needs watching.
            if place.rule != nil { return }
            if let known = place.child(name) {
                place = known
            } else {
                let child = Place(name: name, path: place.path + [UInt8(ascii: "/")] + bytes, parent: place)
                place.children.append(child)
                place = child
            }
        }
        place.rule = path.rule
        place.children = []
    }

    private func attach(_ root: Place) throws(SystemError) {
        let path = String(decoding: root.path, as: UTF8.self)
        do throws(Errno) {
            try watch(root, try FileDescriptor.open(path, O_PATH | O_DIRECTORY))
        } catch {
            throw error.doing(
                "watching for protected names in", path,
                remedy: error.code == ENOSPC ? "raise fs.inotify.max_user_watches" : nil)
        }
        for child in root.children { look(at: child) }
    }

    private func watch(_ place: Place, _ descriptor: consuming FileDescriptor) throws(Errno) {
        let identity = try descriptor.status().identity
        let watch: Int32
        do throws(Errno) {
            watch = try queue.watch(descriptor.number, Self.mask)
        } catch {
            guard error.code == EACCES else { throw error }
            // An ordinary user's run: the agent is the same user and took our right to read.
            try kernel { unsafe chmod(procPath(descriptor.number), 0o700) }
            watch = try queue.watch(descriptor.number, Self.mask)
        }
        place.folder = Folder(descriptor: descriptor, identity: identity, watch: watch)
        watched.append(Watched(watch: watch, place: place))
    }

    private func detach(_ place: Place) {
        guard let folder = place.folder else { return }
        place.folder = nil
        watched.removeAll { $0.place === place }
        if !watched.contains(where: { $0.watch == folder.watch }) { queue.forget(folder.watch) }
        for child in place.children { detach(child) }
    }

    /// Takes in what is waiting, and never waits itself.
    public func handle() {
        for _ in 0..<64 {
            let isMore = queue.read { event in
                if event.isOverflow {
                    lookEverywhere()
                } else if !event.isEnd, let name = event.name.flatMap({ EntryName($0) }) {
                    for entry in watched where entry.watch == event.watch {
                        if let child = entry.place.child(name) { look(at: child) }
                    }
                }
            }
            if !isMore { return }
        }
    }

    /// Looks at every place again, watched or not, until nothing is found: to be called after the last process of the
    /// sandbox is gone.
    /// - Returns: names that are still there, although everything was tried.
    public func sweep() -> [[UInt8]] {
        for _ in 0..<16 {
            let before = taken
            sawSome = false
            lookEverywhere()
            if taken == before { break }
        }
        var left: [[UInt8]] = quarantine.finish() ? [] : [Array("a folder .mis-removed-*".utf8)]
        if !sawSome { return left }
        func collect(_ place: Place) {
            for child in place.children {
                if child.rule != nil, let name = child.name, let folder = place.folder,
                    name.exists(in: folder.descriptor.number)
                {
                    left.append(child.path)
                }
                collect(child)
            }
        }
        for root in roots { collect(root) }
        return left
    }

    private func lookEverywhere() {
        for root in roots { for child in root.children { look(at: child) } }
    }

    /// Compares one place with what is there now.
    private func look(at place: Place) {
        guard let parent = place.parent?.folder, let name = place.name else { return }
        if let rule = place.rule {
            // Several in a row: somebody makes it again and again.
            var rounds = 0
            while rounds < 8, name.exists(in: parent.descriptor.number) {
                sawSome = true
                guard take(name, from: parent, rule, place.path) else { return }
                rounds += 1
            }
            return
        }
        for _ in 0..<8 {
            do throws(Errno) {
                let object = try name.open(in: parent.descriptor.number, O_PATH)
                let status = try object.status()
                if status.isSymlink {
                    detach(place)
                    guard let rule = anyRule(below: place), take(name, from: parent, rule, place.path) else { return }
                    continue
                }
                guard status.isFolder else { return detach(place) }
                if place.folder?.identity != status.identity {
                    detach(place)
                    try watch(place, object)
                }
                for child in place.children { look(at: child) }
                return
            } catch {
                detach(place)
                if error.code != ENOENT { blind(place, error) }
                return
            }
        }
    }

    private func take(_ name: EntryName, from parent: Folder, _ rule: RuleReference, _ path: [UInt8]) -> Bool {
        switch quarantine.take(name, from: parent.descriptor.number) {
        case .moved:
            taken += 1
            gate.report(Violation(operation: "create", object: path, rule: rule, layer: .watch))
            return true
        case .absent:
            return true
        case .failed(let error) where [ENOTDIR, ENOTEMPTY, EISDIR, ELOOP, EEXIST].contains(error.code):
            // Swapped for another kind of thing meanwhile: whoever did that caused an event, too.
            return true
        case .failed(let error):
            gate.enforcementLost(
                "a protected name cannot be taken away: \(String(decoding: path, as: UTF8.self)): \(error)")
            return false
        }
    }

    private func anyRule(below place: Place) -> RuleReference? {
        for child in place.children {
            if let rule = child.rule ?? anyRule(below: child) { return rule }
        }
        return nil
    }

    private func blind(_ place: Place, _ error: Errno) {
        gate.enforcementLost(
            "a folder cannot be watched for protected names: \(String(decoding: place.path, as: UTF8.self)): \(error)")
    }
}

private let slash = UInt8(ascii: "/")
