import CInitImage
public import LinuxSystem

/// The sandbox's init as an executable memfd: sealed, so that nobody can change what pid 1 is.
public enum InitImage {
    public static func open() throws(LaunchFailure) -> FileDescriptor {
        do {
            let file = try create()
            let size = mis_init_image_size()
            var written = 0
            while written < size {
                let number = file.number
                written += try kernel { unsafe write(number, mis_init_image() + written, size - written) }
            }
            // F_ADD_SEALS: shrink, grow, write, seal.
            let number = file.number
            try kernel { clinux_add_seals(number, 0xf) }
            return file
        } catch {
            throw LaunchFailure(
                error.doing(
                    "making the sandbox's init", "memfd",
                    remedy: "sysctl vm.memfd_noexec must be 0 or 1, for the init is executed from memory"))
        }
    }

    private static func create() throws(Errno) -> FileDescriptor {
        // MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC; kernels before 6.3 do not know the last and need none.
        do {
            return FileDescriptor(owning: try kernel { unsafe clinux_memfd_create("mis-init", 0x13) })
        } catch {
            guard error.code == EINVAL else { throw error }
            return FileDescriptor(owning: try kernel { unsafe clinux_memfd_create("mis-init", 0x3) })
        }
    }
}
