import LinuxSystem
import ThreatPolicy

/// A delivery while it comes in: room for what its signed head says, and no more. Unsafe: memory of its own, which is handed
/// over as ``PolicyBytes`` without a copy.
@safe final class ReceivedBytes {
    let capacity: Int
    private(set) var count = 0
    private var memory: UnsafeMutableRawPointer?

    /// `nil`: there is no memory.
    init?(capacity: Int) {
        guard capacity > 0, let memory = unsafe malloc(capacity) else { return nil }
        self.capacity = capacity
        unsafe self.memory = unsafe memory
    }

    deinit { unsafe free(memory) }

    /// - Returns: false when it is more than there is room for; then nothing is taken.
    func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let memory = unsafe memory, bytes.count <= capacity - count else { return false }
        if let start = bytes.baseAddress { unsafe (memory + count).copyMemory(from: start, byteCount: bytes.count) }
        count += bytes.count
        return true
    }

    /// What came so far; afterwards this is empty.
    func take() -> PolicyBytes? {
        guard let start = unsafe memory else { return nil }
        unsafe memory = nil
        let address = UInt(bitPattern: start)
        return unsafe PolicyBytes(start: UnsafeRawPointer(start), count: count) {
            unsafe free(UnsafeMutableRawPointer(bitPattern: address))
        }
    }
}
