public import LinuxSystem

/// What stands at a path on the host, seen once before the plan is made.
public enum HostObject: Equatable, Sendable {
    case absent
    case present(Present)

    public struct Present: Equatable, Sendable {
        /// The path with every symlink resolved; equal to the path asked for when there was none.
        public var canonical: String
        /// Symlinks met on the way, first to last: where they stand, and what they say.
        public var links: [Link]
        public var status: FileStatus

        public init(canonical: String, links: [Link] = [], status: FileStatus) {
            self.canonical = canonical
            self.links = links
            self.status = status
        }
    }

    public struct Link: Equatable, Sendable {
        public var path: String
        public var target: String

        public init(path: String, target: String) {
            self.path = path
            self.target = target
        }
    }
}

/// Answers about the host's file system, handed to the planner as a value, so that planning stays pure and tests can
/// describe any machine.
public struct HostView: Equatable, Sendable {
    private var index = PathIndex()
    private var objects: [HostObject] = []
    private var listedFolders = PathIndex()
    private var listings: [[String]] = []
    /// Mount points of the launcher's mount namespace, canonical, in no particular order.
    public var mountPoints: [String] = []

    public init() {}

    /// Room for as many places, so that it does not grow step by step.
    public mutating func reserve(_ count: Int) {
        index.reserve(count)
        objects.reserveCapacity(count)
    }

    /// Looks at `path`, unless that was done before.
    public mutating func look(at path: String, _ folders: HostFolders) {
        let (place, isNew) = index.insert(path)
        guard isNew else { return }
        objects.append(.absent)
        objects[place] = folders.look(at: path)
    }

    /// How many places were looked at.
    public var count: Int { objects.count }

    public func holds(_ path: String) -> Bool { index.place(of: path) != nil }

    /// What is at `path`; what was not looked at counts as absent.
    public subscript(path: String) -> HostObject {
        get { index.place(of: path).map { objects[$0] } ?? .absent }
        set {
            let (place, isNew) = index.insert(path)
            if isNew { objects.append(newValue) } else { objects[place] = newValue }
        }
    }

    /// Names in a folder that were asked for (denied folders, for decoys; folders of globs), bounded.
    public func listing(of folder: String) -> [String] {
        listedFolders.place(of: folder).map { listings[$0] } ?? []
    }

    public mutating func list(_ names: [String], in folder: String) {
        let (place, isNew) = listedFolders.insert(folder)
        if isNew { listings.append(names) } else { listings[place] += names }
    }
}

/// Lexical work on absolute paths that are already normal.
public enum Paths {
    public static func isAtOrBelow(_ path: String, _ folder: String) -> Bool {
        // From the end, where paths differ: planning asks this thousands of times.
        let path = path.utf8.span
        let folder = folder.utf8.span
        // One byte is the root.
        if folder.count == 1 { return true }
        guard path.count == folder.count || path.count > folder.count && path[folder.count] == UInt8(ascii: "/") else {
            return false
        }
        var index = folder.count
        while index > 0 {
            index -= 1
            if path[index] != folder[index] { return false }
        }
        return true
    }

    /// Whether `path` is a name in `folder`, whose path does not end with a slash.
    static func isDirectlyBelow(_ path: String, _ folder: String) -> Bool {
        let path = path.utf8.span
        let folder = folder.utf8.span
        guard path.count > folder.count, path[folder.count] == UInt8(ascii: "/") else { return false }
        for index in folder.count + 1..<path.count where path[index] == UInt8(ascii: "/") { return false }
        // From the end, where paths differ.
        var index = folder.count
        while index > 0 {
            index -= 1
            if path[index] != folder[index] { return false }
        }
        return true
    }

    public static func parent(_ path: String) -> String {
        guard let slash = lastSlash(path), slash > 0 else { return "/" }
        return String(Substring(path.utf8.prefix(slash)))
    }

    public static func lastName(_ path: String) -> String {
        guard let slash = lastSlash(path) else { return path }
        return String(Substring(path.utf8.dropFirst(slash + 1)))
    }

    /// By offset: an index into a string is dearer to move than the byte it stands for is to read, and every start comes here
    /// some hundred times.
    static func lastSlash(_ path: String) -> Int? {
        let bytes = path.utf8.span
        for index in (0..<bytes.count).reversed() where bytes[index] == UInt8(ascii: "/") { return index }
        return nil
    }

    public static func join(_ folder: String, _ name: String) -> String {
        folder == "/" ? "/" + name : folder + "/" + name
    }

    /// Folders above `path`, the highest first, without `/` and without the path itself.
    public static func ancestors(_ path: String) -> [String] {
        var found: [String] = []
        var at = parent(path)
        while at != "/" {
            found.append(at)
            at = parent(at)
        }
        return found.reversed()
    }

    /// Lexically normal: no `.`, `..`, empty component or trailing slash. Relative paths stand on `base`.
    public static func normal(_ path: String, base: String = "/") -> String {
        let slash = UInt8(ascii: "/")
        var whole: [UInt8] = []
        if path.utf8.first != slash {
            whole += base.utf8
            whole.append(slash)
        }
        whole += path.utf8
        // By bytes, and built in place: every start comes here dozens of times.
        var made: [UInt8] = []
        made.reserveCapacity(whole.count)
        var index = 0
        while index < whole.count {
            let start = index
            while index < whole.count, whole[index] != slash { index += 1 }
            let length = index - start
            let isDot = length == 1 && whole[start] == UInt8(ascii: ".")
            let isParent = length == 2 && whole[start] == UInt8(ascii: ".") && whole[start + 1] == UInt8(ascii: ".")
            index += 1
            if isParent {
                while let last = made.popLast(), last != slash {}
            } else if length > 0, !isDot {
                made.append(slash)
                made += whole[start..<start + length]
            }
        }
        return made.isEmpty ? "/" : String(decoding: made, as: UTF8.self)
    }

    public static func depth(_ path: String) -> Int {
        let bytes = path.utf8.span
        var depth = 0
        for index in 0..<bytes.count where bytes[index] == UInt8(ascii: "/") { depth += 1 }
        return depth
    }
}
