import CLaunch
import LinuxSystem

/// Memory of the steps: strings and tables the set-up child reads, kept until it has executed the init.
///
/// Unsafe: hands out raw pointers into memory it owns; they are valid as long as the arena is.
@safe final class StepArena {
    private var blocks: [UnsafeMutableRawPointer] = unsafe []
    /// What is left of a block, and how much that is.
    private var rest: UnsafeMutableRawPointer?
    private var left = 0
    private static let blockSize = 8 << 10

    deinit { while let block = unsafe blocks.popLast() { unsafe block.deallocate() } }

    /// Some hundred strings and tables are wanted, most of them small: a block serves many.
    private func take(_ size: Int) -> UnsafeMutableRawPointer {
        let size = (size + 15) & ~15
        if size <= left, let start = unsafe rest {
            unsafe rest = start + size
            left -= size
            return unsafe start
        }
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(size, Self.blockSize), alignment: 16)
        unsafe blocks.append(block)
        // Of two remainders the larger is kept.
        if Self.blockSize - size > left {
            unsafe rest = block + size
            left = Self.blockSize - size
        }
        return unsafe block
    }

    func bytes(_ contents: some Collection<UInt8>) -> UnsafeRawPointer {
        let block = unsafe take(max(contents.count, 1))
        unsafe UnsafeMutableRawBufferPointer(start: block, count: contents.count).copyBytes(from: contents)
        return UnsafeRawPointer(block)
    }

    func string(_ text: String) -> UnsafePointer<CChar> {
        let length = text.utf8.count
        let block = unsafe take(length + 1)
        unsafe UnsafeMutableRawBufferPointer(start: block, count: length).copyBytes(from: text.utf8)
        unsafe block.storeBytes(of: 0, toByteOffset: length, as: UInt8.self)
        return unsafe UnsafePointer(block.assumingMemoryBound(to: CChar.self))
    }

    /// A null-terminated array of strings, as execve wants it.
    func strings(_ texts: [[UInt8]]) -> UnsafePointer<UnsafeMutablePointer<CChar>?> {
        let size = unsafe MemoryLayout<UnsafeMutablePointer<CChar>?>.stride * (texts.count + 1)
        let block = unsafe take(size)
        let table = unsafe block.bindMemory(to: UnsafeMutablePointer<CChar>?.self, capacity: texts.count + 1)
        for (index, text) in texts.enumerated() {
            unsafe (table + index).initialize(
                to: UnsafeMutablePointer(mutating: bytes(text + [0]).assumingMemoryBound(to: CChar.self)))
        }
        unsafe (table + texts.count).initialize(to: nil)
        return unsafe UnsafePointer(table)
    }

    func value<Value: BitwiseCopyable>(_ value: Value) -> UnsafeRawPointer {
        let block = unsafe take(MemoryLayout<Value>.size)
        unsafe block.storeBytes(of: value, as: Value.self)
        return UnsafeRawPointer(block)
    }
}
