/// Bytes of a bundle that nobody changes: memory of our own, or a mapped file. All of this target's reads of raw memory
/// are here; each checks its bounds.
///
/// Unchecked: the memory is written before the object is handed on, and never after.
@safe public final class PolicyBytes: @unchecked Sendable {
    public let count: Int
    private let start: UnsafeRawPointer
    private let release: @Sendable () -> Void

    /// A copy of `bytes`.
    public convenience init(_ bytes: [UInt8]) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 64)
        unsafe memory.copyMemory(from: bytes, byteCount: bytes.count)
        let address = UInt(bitPattern: memory)
        unsafe self.init(start: UnsafeRawPointer(memory), count: bytes.count) {
            unsafe UnsafeMutableRawPointer(bitPattern: address)?.deallocate()
        }
    }

    /// Memory that is somebody else's until `release` is called.
    public init(start: UnsafeRawPointer, count: Int, release: @escaping @Sendable () -> Void) {
        unsafe self.start = unsafe start
        self.count = count
        self.release = release
    }

    deinit { release() }

    /// The little-endian number at `offset`.
    func load<Number: FixedWidthInteger>(_ offset: Int, as: Number.Type = Number.self) -> Number {
        precondition(offset >= 0 && offset <= count - MemoryLayout<Number>.size)
        return unsafe start.loadUnaligned(fromByteOffset: offset, as: Number.self).littleEndian
    }

    func bytes(_ range: Range<Int>) -> [UInt8] {
        with(range) { [UInt8](copying: $0) }
    }

    public func with<Result>(_ range: Range<Int>, _ body: (borrowing Span<UInt8>) -> Result) -> Result {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return unsafe body(
            UnsafeRawBufferPointer(start: start + range.lowerBound, count: range.count)
                .bindMemory(to: UInt8.self).span)
    }

    func withPointer<Result>(_ offset: Int, _ length: Int, _ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        precondition(offset >= 0 && length >= 0 && offset <= count - length)
        return unsafe body((start + offset).assumingMemoryBound(to: UInt8.self))
    }
}

extension Array where Element == UInt8 {
    package init(copying span: borrowing Span<UInt8>) {
        self.init()
        reserveCapacity(span.count)
        for index in span.indices { append(span[index]) }
    }
}
