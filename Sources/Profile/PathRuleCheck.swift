extension PathRule.Access {
    /// Whether the two say different things about one place. `read` beside `protect` does not, nor does `execute`
    /// beside anything that lets the place be read.
    func contradicts(_ other: PathRule.Access) -> Bool {
        switch (self, other) {
        case (let one, let two) where one == two: false
        case (.deny, _), (_, .deny): true
        case (.execute, _), (_, .execute): false
        case (.read, .protect), (.protect, .read): false
        default: true
        }
    }
}

extension PathRule {
    /// The rule an option of the command line makes (`--ro`, `--rw`, `--deny`), from the path as typed, made absolute
    /// by the caller.
    /// - Throws: what is wrong with the path, and what would be right.
    public init(access: Access, text: String, option: String, variables: Variables) throws(AmountError) {
        let path = try PathText.parse(text, variables)
        try Self.check(path, for: access, text: text)
        self.init(access: access, pattern: path.pattern, text: text, origin: .commandLine(option: option))
    }

    /// Refuses what a list of this access cannot hold.
    static func check(_ path: PathText, for access: Access, text: String) throws(AmountError) {
        switch (access, path.pattern) {
        case (.read, .suffix), (.write, .suffix), (.execute, .suffix), (.tmpfs, .suffix):
            throw AmountError(
                found: "the name pattern \(quoted(text)) under \(access.rawValue)",
                remedy: "only deny and protect take **/name; list the place itself")
        case (.tmpfs, .glob):
            throw AmountError(found: "a glob under tmpfs: \(quoted(text))", remedy: "name one folder")
        case (.tmpfs, .path) where ["/", "/dev", "/proc", "/sys"].contains(path.canonical):
            throw AmountError(found: "\(quoted(text)) under tmpfs", remedy: "the launcher makes that one")
        case (.write, _):
            try checkRoot(path, text: text)
        default:
            break
        }
    }

    /// Folders that are the machine's, or all of somebody's: to write there is to leave the sandbox. A workspace of
    /// that kind is the launcher's to refuse, so `${WORKSPACE}` passes here.
    private static func checkRoot(_ path: PathText, text: String) throws(AmountError) {
        var place = path.canonical
        if case .glob(_, let name) = path.pattern {
            // `~/*` is as much as `~`; `~/.aider*` is not.
            guard let first = name.utf8.first, Glob.isSpecial(first) else { return }
            place = String(Substring(place.utf8.dropLast(name.utf8.count + 1)))
            if place.isEmpty { place = "/" }
        }
        let isRoot = isSystemRoot(place) || place == "${HOME}"
        guard isRoot else { return }
        throw AmountError(
            found: "\(quoted(text)) under write gives away \(place == "${HOME}" ? "the home folder" : place)",
            remedy: "list the folders below it that are needed")
    }

    private static func isSystemRoot(_ place: String) -> Bool {
        switch place {
        case "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc",
            "/root", "/run", "/sbin", "/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/var":
            true
        default: false
        }
    }
}

/// The entries of one file's `[filesystem]` lists by place, to find two that contradict each other.
struct PlaceTable {
    private struct Entry {
        var place: String
        var access: PathRule.Access
        var line: Int
    }

    private var entries: [Entry] = []
    /// Open addressing: indices of `entries`, -1 for free. A power of two, half full at most.
    private var slots: [Int32] = []

    /// Adds an entry, unless it contradicts one that is there: then answers that one.
    mutating func add(_ place: String, _ access: PathRule.Access, line: Int) -> (access: PathRule.Access, line: Int)? {
        if entries.count * 2 >= slots.count {
            slots = [Int32](repeating: -1, count: max(512, slots.count * 2))
            entries.reserveCapacity(slots.count / 2)
            for index in entries.indices { slots[freeSlot(entries[index].place)] = Int32(index) }
        }
        var slot = firstSlot(place)
        while slots[slot] >= 0 {
            let other = entries[Int(slots[slot])]
            if other.access.contradicts(access), other.place == place { return (other.access, other.line) }
            slot = (slot + 1) & (slots.count - 1)
        }
        slots[slot] = Int32(entries.count)
        entries.append(Entry(place: place, access: access, line: line))
        return nil
    }

    private func freeSlot(_ place: String) -> Int {
        var slot = firstSlot(place)
        while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
        return slot
    }

    /// FNV-1a of the last bytes. A file of a million colliding names is the user's own.
    private func firstSlot(_ place: String) -> Int {
        let bytes = place.utf8.span
        var hash: UInt32 = 2_166_136_261 ^ UInt32(truncatingIfNeeded: bytes.count)
        // Paths begin alike, and differ at their ends.
        for index in max(bytes.count - 12, 0)..<bytes.count { hash = (hash ^ UInt32(bytes[index])) &* 16_777_619 }
        return Int(hash ^ (hash >> 15)) & (slots.count - 1)
    }
}
