import LinuxSystem

/// The command line as the kernel gave it. Swift's own array repairs what is not UTF-8, and a file's name may not be.
///
/// Unsafe: reads the process's argument vector, which nobody changes.
enum RawArguments {
    /// All of them but the program's name, repaired; for less than Swift's own array costs at each start.
    static func texts() -> [String] {
        var texts: [String] = []
        var index: Int32 = 1
        while let argument = unsafe clinux_argument(index) {
            texts.append(unsafe String(cString: argument))
            index += 1
        }
        return texts
    }

    /// The last `count` arguments.
    static func last(_ count: Int) -> [[UInt8]] {
        let total = clinux_argument_count()
        return (max(total - Int32(clamping: count), 0)..<total).map { index in
            guard let argument = unsafe clinux_argument(index) else { return [] }
            return unsafe Array(
                UnsafeBufferPointer(start: argument, count: strlen(argument)).map(UInt8.init(bitPattern:)))
        }
    }
}
