public import LinuxSystem

/// Carries listed files of the private home folder back to the host, and what others change there in.
///
/// Inside, the home folder is a tmpfs of the agent's; a listed file is a copy in it, so that programs can save as they
/// like to, by a neighbour renamed over it. Here each change inside is written to the host's file some milliseconds
/// after it is complete, again as a neighbour renamed over: whoever reads it there finds the old contents or the new,
/// never a part. A change outside is carried in the same way. When both changed, the later one wins, the other is kept
/// in the session's folder, and a note says so.
///
/// Nothing inside is trusted: only regular files are read, symlinks are never followed (names are looked up from the
/// home folder down, each folder held open), sizes are bounded, and no set-id bit leaves the sandbox. A file is removed
/// on the host only at the end of the run, because programs also save by removing and making anew; and a file that was
/// emptied counts only then, because a moment later the contents often follow.
///
/// `home` and the host's folders must lie on mounts no fanotify group is asked about.
public final class HomeFiles {
    /// A listed path.
    public struct Listed: Sendable, Equatable {
        /// Below the home folder inside: folders, then the file's name.
        public var names: [[UInt8]]
        /// On the host, symlinks resolved at launch; the folder must exist, the file need not.
        public var hostPath: String
        /// For a file that is made new.
        public var user: UInt32
        public var group: UInt32

        public init(names: [[UInt8]], hostPath: String, user: UInt32, group: UInt32) {
            self.names = names
            self.hostPath = hostPath
            self.user = user
            self.group = group
        }
    }

    /// A glob for names in one folder of the home folder (`~/.aider*`).
    public struct Pattern {
        /// The folder below the home folder inside; empty: the home folder itself.
        public var folder: [[UInt8]]
        public var hostFolder: String
        public var user: UInt32
        public var group: UInt32
        /// Whether the glob means this name, and no other rule takes it away.
        public var matches: ([UInt8]) -> Bool

        public init(
            folder: [[UInt8]], hostFolder: String, user: UInt32, group: UInt32, matches: @escaping ([UInt8]) -> Bool
        ) {
            self.folder = folder
            self.hostFolder = hostFolder
            self.user = user
            self.group = group
            self.matches = matches
        }
    }

    /// Something the record should know. `path` is the host's.
    public struct Note: Sendable, Equatable {
        public enum Kind: Sendable, Equatable {
            /// Carried from the sandbox to the host.
            case written
            /// Carried from the host into the sandbox.
            case updatedInside
            /// Removed on the host at the end, because it was removed inside.
            case removed
            /// Changed on both sides; the later change won. The other is kept under this name in the session's folder.
            case conflict(insideWon: Bool, kept: String?)
            /// Not a regular file inside, or too large: not carried over.
            case notCarried(String)
            case failed(Errno)
        }

        public var path: String
        public var kind: Kind

        public init(path: String, kind: Kind) {
            self.path = path
            self.kind = kind
        }
    }

    public struct Settings: Sendable {
        /// From a change to its writing, milliseconds.
        public var debounce: UInt64 = 20
        /// Larger files are carried at the end of the run only: the supervisor must not be kept from its other work.
        public var liveLimit = 4 << 20
        /// Still larger ones not at all.
        public var limit = 64 << 20
        /// Entries of folders that are new inside.
        public var entries = 20_000

        public init() {}
    }

    /// To be polled for input.
    public var descriptor: Int32 { wakeUp.descriptor.number }

    private let home: FileDescriptor
    private let queue: WatchQueue
    private let wakeUp: WakeUp
    private let keeper: Quarantine
    private let settings: Settings
    private let note: (Note) -> Void
    /// Folders with listed files, and those on the way to them; outer ones first.
    private var places: [HomePlace] = []
    private var folders: [HomeFolder] = []
    private var patterns: [(folder: HomeFolder, pattern: Pattern)] = []

    /// Takes the state of both sides as it is: to be called after the copies were laid and before the agent runs.
    /// - Parameters:
    ///   - home: the home folder inside, by a clone of its mount that has no fanotify mark.
    ///   - keeper: where the losing side of a conflict is kept.
    public init(
        home: consuming FileDescriptor, files: [Listed], patterns: [Pattern], keeper: Quarantine,
        settings: Settings = Settings(), note: @escaping (Note) -> Void
    ) throws(SystemError) {
        self.home = home
        self.keeper = keeper
        self.settings = settings
        self.note = note
        queue = try WatchQueue()
        wakeUp = try WakeUp(queue.descriptor.number)
        for listed in files {
            guard let bytes = listed.names.last, let name = EntryName(bytes) else { continue }
            let place = Self.split(listed.hostPath)
            let folder = try folder(Array(listed.names.dropLast()), host: place.folder)
            guard let hostName = EntryName(place.name) else {
                throw Errno(EINVAL).doing("reading the name of a listed file", listed.hostPath)
            }
            folder.files[name] = HomeFile(
                name: name, hostName: hostName, hostPath: listed.hostPath, user: listed.user, group: listed.group)
        }
        for pattern in patterns {
            self.patterns.append((try folder(pattern.folder, host: pattern.hostFolder), pattern))
        }
        for place in places { attach(place) }
        for folder in folders { for file in folder.files.values { takeState(file, in: folder) } }
    }

    private static func split(_ path: String) -> (folder: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
        let folder = path[..<slash]
        return (folder.isEmpty ? "/" : String(folder), String(path[path.utf8.index(after: slash)...]))
    }

    private func folder(_ names: [[UInt8]], host: String) throws(SystemError) -> HomeFolder {
        let place = place(names.compactMap { EntryName($0) })
        if let known = folders.first(where: { $0.place === place && $0.hostPath == host }) { return known }
        do throws(Errno) {
            let descriptor = try FileDescriptor.open(host, O_RDONLY | O_DIRECTORY)
            // The host's side: another agent, or the user.
            let watch = try queue.watch(descriptor.number, UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO))
            let folder = HomeFolder(place: place, hostPath: host, host: descriptor, hostWatch: watch)
            folders.append(folder)
            return folder
        } catch {
            throw error.doing(
                "watching the folder of a listed file", host,
                remedy: error.code == ENOSPC ? "raise fs.inotify.max_user_watches" : nil)
        }
    }

    private func place(_ names: [EntryName]) -> HomePlace {
        if let known = places.first(where: { $0.names == names }) { return known }
        if !names.isEmpty { _ = place(names.dropLast()) }
        let place = HomePlace(names: names)
        places.append(place)
        return place
    }

    /// Opens and watches a folder inside, if it is there and not yet open.
    private func attach(_ place: HomePlace) {
        guard let found = openInside(place.names), let identity = try? found.status().identity else {
            place.opened = nil
            return
        }
        guard place.opened?.identity != identity else { return }
        if let watch = place.opened?.watch { queue.forget(watch) }
        let mask =
            UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO) | UInt32(IN_MOVED_FROM) | UInt32(IN_DELETE)
            | UInt32(IN_CREATE) | UInt32(IN_ONLYDIR)
        // Without a watch (the agent used them all up) the end of the run still finds everything.
        let watch = try? queue.watch(found.number, mask)
        place.opened = HomePlace.Opened(descriptor: found, identity: identity, watch: watch)
    }

    private func openInside(_ names: [EntryName]) -> FileDescriptor? {
        guard var folder = try? FileDescriptor.open(".", O_RDONLY | O_DIRECTORY, at: home.number) else { return nil }
        for name in names {
            guard let next = try? name.open(in: folder.number, O_RDONLY | O_DIRECTORY) else { return nil }
            folder = next
        }
        return folder
    }

    /// What both sides have in common at the start. When the host's file changed since it was copied, it is copied
    /// again: nobody inside has seen it yet.
    private func takeState(_ file: HomeFile, in folder: HomeFolder) {
        guard let inside = folder.inside,
            case .file(let copy) = FileImage.read(
                file.name, in: inside.descriptor.number, limit: settings.limit, insists: true),
            case .file(let host) = FileImage.read(
                file.hostName, in: folder.host.number, limit: settings.limit, insists: true)
        else { return }
        file.common = copy.digest
        guard copy.digest != host.digest else { return }
        HomeCarrier(folder: folder, file: file, keeper: keeper, settings: settings, isEnd: false, note: note).carry()
    }

    // MARK: While the agent runs

    /// Takes in what is waiting, and carries what is due. Never waits, but for the disk: bounded by the live limit.
    public func handle() {
        for _ in 0..<64 {
            let isMore = queue.read { event in
                if event.isOverflow { return markAll() }
                guard !event.isEnd, let bytes = event.name, let name = EntryName(bytes) else { return }
                mark(name, watch: event.watch)
            }
            if !isMore { break }
        }
        if wakeUp.hasFired() { carry(isEnd: false) }
        if folders.contains(where: { folder in folder.files.values.contains(where: \.isDirty) }) {
            wakeUp.arm(milliseconds: settings.debounce)
        }
    }

    private func markAll() {
        for place in places { attach(place) }
        for folder in folders { for file in folder.files.values { file.isDirty = true } }
    }

    private func mark(_ name: EntryName, watch: Int32) {
        for folder in folders {
            if folder.hostWatch == watch {
                for file in folder.files.values where file.hostName == name { file.isDirty = true }
            }
            if folder.inside?.watch == watch, let file = folder.files[name] ?? adopt(name, in: folder) {
                file.isDirty = true
            }
        }
        // A folder on the way to others may have been made anew. Outer ones come first, and each is watched before the
        // next is looked for, so that none appears unseen.
        guard let outer = places.first(where: { $0.opened?.watch == watch }) else { return }
        let way = outer.names + [name]
        for place in places where place.names.starts(with: way) {
            attach(place)
            for folder in folders where folder.place === place {
                for file in folder.files.values { file.isDirty = true }
            }
        }
    }

    /// A name that a glob means becomes a listed file.
    private func adopt(_ name: EntryName, in folder: HomeFolder) -> HomeFile? {
        // Many names may come and go (`~/.claude.json.tmp.*`): those that are nowhere any more are let go of.
        guard folder.files.count < 4096,
            let pattern = patterns.first(where: { $0.folder === folder && $0.pattern.matches(name.bytes) })?.pattern
        else { return nil }
        let file = HomeFile(
            name: name, hostName: name, hostPath: folder.hostPath + "/" + name.text, user: pattern.user,
            group: pattern.group)
        file.isAdopted = true
        folder.files[name] = file
        return file
    }

    private func carry(isEnd: Bool) {
        for folder in folders {
            for file in Array(folder.files.values) where file.isDirty || isEnd {
                file.isDirty = false
                HomeCarrier(
                    folder: folder, file: file, keeper: keeper, settings: settings, isEnd: isEnd, note: note
                ).carry()
                if file.isAdopted, file.common == nil, !file.isDirty { folder.files[file.name] = nil }
            }
        }
    }

    // MARK: At the end

    /// Carries everything that differs, whatever was told: to be called once, after the last process of the sandbox is
    /// gone. Removals are carried here; folders that are new inside are copied.
    public func finish() {
        for place in places { attach(place) }
        for (folder, _) in patterns {
            guard let inside = folder.inside else { continue }
            for name in (try? entries(of: inside.descriptor, limit: 100_000)) ?? [] where folder.files[name] == nil {
                _ = adopt(name, in: folder)
            }
        }
        carry(isEnd: true)
    }
}
