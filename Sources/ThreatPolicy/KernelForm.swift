import CPolicyKey

/// A filter without its bits, and the keys that go with it, as the kernel's programs hold them.
public struct KernelForm: Sendable {
    /// `struct policy_filter` of bpf/policy_key.h.
    public var filter: [UInt8]
    /// 16 bytes a key.
    public var keys: [UInt8]
}

extension Bundle {
    /// What the kernel is given of the bundle, besides ``filterBits``: base keys decide there, too.
    public var kernelForm: KernelForm {
        let filter = kernelFilter(
            header.secret, serial: header.serial, bitsLog2: header.bitsLog2, hashes: header.hashes,
            entries: header.entries, kinds: header.kinds, shapes: header.shapes)
        return KernelForm(filter: filter, keys: header.kind == .base ? keyBytes : [])
    }
}

extension Whitelist {
    /// The entries that hold at `now`, seconds since 1970: the kernel knows no dates.
    public func kernelForm(now: Int64) -> KernelForm {
        let keys = keys(now: now)
        let filter = kernelFilter(
            scope.secret, serial: 0, bitsLog2: 0, hashes: 0, entries: keys.count,
            kinds: Set(KeyKind.allCases.filter(scope.has)), shapes: scope.shapes)
        return KernelForm(filter: filter, keys: keys.flatMap { littleEndian($0.low) + littleEndian($0.high) })
    }
}

private func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    (0..<(Number.bitWidth / 8)).map { UInt8(truncatingIfNeeded: number >> Number($0 * 8)) }
}

/// The fields of `struct policy_filter` in their order; its size is asserted where it is declared.
private func kernelFilter(
    _ secret: KeySecret, serial: UInt64, bitsLog2: UInt32, hashes: UInt32, entries: Int, kinds: Set<KeyKind>,
    shapes: [AddressShape]
) -> [UInt8] {
    var bytes = littleEndian(secret.low) + littleEndian(secret.high) + littleEndian(serial)
    let mask = kinds.reduce(UInt32(0)) { $0 | 1 << UInt32($1.rawValue) }
    let numbers: [UInt32] = [bitsLog2, hashes, UInt32(clamping: entries), mask, UInt32(shapes.count), 0]
    for number in numbers { bytes += littleEndian(number) }
    for shape in shapes.prefix(Int(POLICY_SHAPES)) {
        let raw = shape.raw
        bytes += [raw.prefix, raw.flags]
    }
    return bytes + [UInt8](repeating: 0, count: MemoryLayout<policy_filter>.size - bytes.count)
}
