public import LinuxSystem

/// Objects denied under every name they have, each with the rule that says so.
///
/// Not a `Dictionary`: the first one a process makes costs a start a fifth of a millisecond (see `PathIndex`). Inode numbers
/// are the host's; whoever could choose them would only make a look-up slower.
public struct DeniedObjects {
    /// Three numbers for each object: inode, device, rule.
    private var numbers: [UInt64] = []
    /// Open addressing: places of objects, -1 for free. A power of two, at most half full.
    private var slots: [Int32] = []

    public init() {}

    private var count: Int { numbers.count / 3 }

    /// The rule that denies an object.
    public subscript(object: ObjectIdentity) -> Int32? {
        get {
            if slots.isEmpty { return nil }
            let place = slots[slot(object.inode, Self.device(object))]
            return place < 0 ? nil : Int32(truncatingIfNeeded: numbers[Int(place) * 3 + 2])
        }
        set {
            guard let rule = newValue.map({ UInt64(UInt32(bitPattern: $0)) }) else { return }
            if (count + 1) * 2 > slots.count { grow() }
            let slot = slot(object.inode, Self.device(object))
            if slots[slot] >= 0 {
                numbers[Int(slots[slot]) * 3 + 2] = rule
            } else {
                slots[slot] = Int32(count)
                numbers += [object.inode, Self.device(object), rule]
            }
        }
    }

    private mutating func grow() {
        slots = Array(repeating: -1, count: max(32, slots.count * 2))
        for place in 0..<count { slots[slot(numbers[place * 3], numbers[place * 3 + 1])] = Int32(place) }
    }

    private static func device(_ object: ObjectIdentity) -> UInt64 {
        UInt64(object.deviceMajor) << 32 | UInt64(object.deviceMinor)
    }

    /// The slot an object has, or the free one it would get.
    private func slot(_ inode: UInt64, _ device: UInt64) -> Int {
        // Fibonacci hashing: neighbouring inodes come apart.
        let hash = (inode ^ device) &* 0x9E37_79B9_7F4A_7C15
        var slot = Int(truncatingIfNeeded: hash >> 32) & (slots.count - 1)
        while slots[slot] >= 0 {
            let at = Int(slots[slot]) * 3
            if numbers[at] == inode, numbers[at + 1] == device { break }
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }
}
