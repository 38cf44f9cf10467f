import LinuxSystem

/// Memory a cloned process runs on, with a guard page below.
@safe final class Stack {
    let base: UnsafeMutableRawPointer
    let size: Int
    private let whole: UnsafeMutableRawPointer

    /// - Parameter size: bytes, a multiple of the page size.
    init(size: Int) throws(Errno) {
        let page = 4096
        guard
            let memory = unsafe mmap(
                nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0),
            unsafe memory != MAP_FAILED
        else { throw Errno(ENOMEM) }
        unsafe mprotect(memory, page, PROT_NONE)
        unsafe whole = memory
        unsafe base = memory + page
        self.size = size
    }

    deinit { unsafe munmap(whole, size + 4096) }
}
