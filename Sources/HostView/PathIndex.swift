/// Paths in the order they came, and the place of each.
///
/// Not a `Dictionary` or a `Set`: the first one a process makes has the runtime look through every conformance of the
/// binary for how strings are hashed, a fifth of a millisecond in a start of four. Paths come from profiles and from the
/// host, never from an agent, so a plain hash (FNV-1a) will do.
public struct PathIndex: Equatable, Sendable {
    public private(set) var paths: [String]
    /// Open addressing: places in `paths`, -1 for free. A power of two, at most half full.
    private var slots: [Int32]

    public init(_ paths: [String] = []) {
        self.paths = []
        slots = []
        for path in paths { insert(path) }
    }

    /// Room for as many paths, so that it does not grow step by step.
    public mutating func reserve(_ count: Int) {
        paths.reserveCapacity(count)
        var size = max(64, slots.count)
        while size < count * 2 { size *= 2 }
        if size > slots.count { spread(over: size) }
    }

    public func place(of path: String) -> Int? { place(of: path.utf8.span) }

    /// The place of the folder that `path`, absolute and not `/`, stands in.
    func place(ofFolderOf path: String) -> Int? {
        guard let slash = Paths.lastSlash(path) else { return nil }
        return place(of: path.utf8.span.extracting(first: max(slash, 1)))
    }

    private func place(of path: borrowing Span<UInt8>) -> Int? {
        if slots.isEmpty { return nil }
        let place = slots[slot(for: path)]
        return place < 0 ? nil : Int(place)
    }

    /// Where `path` is, and whether it was not there before.
    @discardableResult
    public mutating func insert(_ path: String) -> (place: Int, isNew: Bool) {
        if let place = place(of: path) { return (place, false) }
        paths.append(path)
        if paths.count * 2 > slots.count {
            spread(over: max(64, slots.count * 2))
        } else {
            slots[slot(for: path.utf8.span)] = Int32(paths.count - 1)
        }
        return (paths.count - 1, true)
    }

    private mutating func spread(over count: Int) {
        slots = Array(repeating: -1, count: count)
        for index in paths.indices { slots[slot(for: paths[index].utf8.span)] = Int32(index) }
    }

    /// The slot `path` has, or the free one it would get.
    private func slot(for bytes: borrowing Span<UInt8>) -> Int {
        var hash: UInt32 = 0x811C_9DC5 ^ UInt32(truncatingIfNeeded: bytes.count)
        // Paths begin alike, and differ at their ends.
        for index in max(bytes.count - 12, 0)..<bytes.count { hash = (hash ^ UInt32(bytes[index])) &* 0x0100_0193 }
        var slot = Int(hash) & (slots.count - 1)
        while slots[slot] >= 0, !Self.areSame(paths[Int(slots[slot])].utf8.span, bytes) {
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    /// Byte for byte, as the kernel tells names apart: strings also call those equal that only look the same.
    private static func areSame(_ one: borrowing Span<UInt8>, _ other: borrowing Span<UInt8>) -> Bool {
        guard one.count == other.count else { return false }
        // From the end, where paths differ.
        for index in (0..<one.count).reversed() where one[index] != other[index] { return false }
        return true
    }
}
