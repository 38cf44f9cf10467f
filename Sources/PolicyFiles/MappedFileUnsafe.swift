import LinuxSystem
import ThreatPolicy

/// Files of bundles as bytes. Unsafe: maps memory.
enum BundleFile {
    /// Maps a file of the store. Its pages are shared by all who map it, and nobody changes it: files get there by
    /// rename and are never written again.
    static func map(_ path: String) throws(SystemError) -> PolicyBytes {
        do throws(Errno) {
            let file = try FileDescriptor.open(path, O_RDONLY | O_NOFOLLOW)
            let status = try file.status()
            guard status.isFile else { throw Errno(EINVAL) }
            let size = Int(min(status.size, UInt64(BundleKind.base.largestFile)))
            guard size > 0 else { return PolicyBytes([]) }
            guard let start = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, file.number, 0),
                unsafe start != UnsafeMutableRawPointer(bitPattern: -1)
            else { throw Errno(errno) }
            let address = UInt(bitPattern: start)
            return unsafe PolicyBytes(start: UnsafeRawPointer(start), count: size) {
                unsafe munmap(UnsafeMutableRawPointer(bitPattern: address), size)
            }
        } catch {
            throw error.doing("opening the bundle", path)
        }
    }
}
