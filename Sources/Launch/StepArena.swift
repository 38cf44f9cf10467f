import CLaunch
import LinuxSystem

/// Memory of the steps: strings and tables the set-up child reads, kept until it has executed the init.
///
/// Unsafe: hands out raw pointers into memory it owns; they are valid as long as the arena is.
@safe final class StepArena {
    private var blocks: [UnsafeMutableRawPointer] = unsafe []

    deinit { while let block = unsafe blocks.popLast() { unsafe block.deallocate() } }

    func bytes(_ contents: some Collection<UInt8>) -> UnsafeRawPointer {
        let block = UnsafeMutableRawPointer.allocate(byteCount: max(contents.count, 1), alignment: 16)
        unsafe UnsafeMutableRawBufferPointer(start: block, count: contents.count).copyBytes(from: contents)
        unsafe blocks.append(block)
        return UnsafeRawPointer(block)
    }

    func string(_ text: String) -> UnsafePointer<CChar> {
        let length = text.utf8.count
        let block = UnsafeMutableRawPointer.allocate(byteCount: length + 1, alignment: 16)
        unsafe UnsafeMutableRawBufferPointer(start: block, count: length).copyBytes(from: text.utf8)
        unsafe block.storeBytes(of: 0, toByteOffset: length, as: UInt8.self)
        unsafe blocks.append(block)
        return unsafe UnsafePointer(block.assumingMemoryBound(to: CChar.self))
    }

    /// A null-terminated array of strings, as execve wants it.
    func strings(_ texts: [[UInt8]]) -> UnsafePointer<UnsafeMutablePointer<CChar>?> {
        let size = unsafe MemoryLayout<UnsafeMutablePointer<CChar>?>.stride * (texts.count + 1)
        let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        unsafe blocks.append(block)
        let table = unsafe block.bindMemory(to: UnsafeMutablePointer<CChar>?.self, capacity: texts.count + 1)
        for (index, text) in texts.enumerated() {
            unsafe (table + index).initialize(
                to: UnsafeMutablePointer(mutating: bytes(text + [0]).assumingMemoryBound(to: CChar.self)))
        }
        unsafe (table + texts.count).initialize(to: nil)
        return unsafe UnsafePointer(table)
    }

    func value<Value: BitwiseCopyable>(_ value: Value) -> UnsafeRawPointer {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<Value>.size, alignment: MemoryLayout<Value>.alignment)
        unsafe block.storeBytes(of: value, as: Value.self)
        unsafe blocks.append(block)
        return UnsafeRawPointer(block)
    }
}
