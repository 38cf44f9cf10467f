import LinuxSystem

/// Paths in the order they came, and the place of each.
///
/// Not a `Dictionary` or a `Set`: the first one a process makes has the runtime look through every conformance of the
/// binary for how strings are hashed, a fifth of a millisecond in a start of four. Paths come from profiles and from the
/// host, never from an agent, so a plain hash will do.
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
    public func place(ofFolderOf path: String) -> Int? {
        guard let slash = Paths.lastSlash(path) else { return nil }
        return place(of: path.utf8.span.extracting(first: max(slash, 1)))
    }

    private func place(of path: borrowing Span<UInt8>) -> Int? {
        if slots.isEmpty { return nil }
        let place = slots[slot(for: path)]
        return place < 0 ? nil : Int(place)
    }

    /// The nearest of the paths that `path` stands below; with `orAt` it may be `path` itself.
    public func nearest(above path: String, orAt: Bool = false) -> Int? {
        if slots.isEmpty { return nil }
        let bytes = path.utf8.span
        if orAt, let found = place(of: bytes) { return found }
        var end = bytes.count
        while end > 1 {
            end -= 1
            if bytes[end] == UInt8(ascii: "/"), let found = place(of: bytes.extracting(first: end)) { return found }
        }
        // Right below the root the slash is the root's.
        return bytes.count > 1 ? place(of: bytes.extracting(first: 1)) : nil
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
        var slot = Int(truncatingIfNeeded: Self.hash(of: bytes)) & (slots.count - 1)
        while slots[slot] >= 0, !Self.areSame(paths[Int(slots[slot])].utf8.span, bytes) {
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    /// Of the length and the last eight bytes: paths begin alike, and differ at their ends. Multiplied by the golden ratio
    /// the upper half depends on all of them (Knuth, The Art of Computer Programming, 6.4).
    private static func hash(of bytes: borrowing Span<UInt8>) -> UInt64 {
        let count = bytes.count
        var end: UInt64 = 0
        if count >= 8 {
            end = unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self) }
        } else {
            for index in 0..<count { end = end << 8 | UInt64(bytes[index]) }
        }
        // A shift binds more tightly than a product.
        return ((end ^ UInt64(truncatingIfNeeded: count)) &* 0x9E37_79B9_7F4A_7C15) >> 32
    }

    /// Byte for byte, as the kernel tells names apart: strings also call those equal that only look the same.
    private static func areSame(_ one: borrowing Span<UInt8>, _ other: borrowing Span<UInt8>) -> Bool {
        let count = one.count
        guard count == other.count else { return false }
        return unsafe one.withUnsafeBytes { one in
            unsafe other.withUnsafeBytes { other in
                guard let one = one.baseAddress, let other = other.baseAddress else { return count == 0 }
                return unsafe memcmp(one, other, count) == 0
            }
        }
    }
}
