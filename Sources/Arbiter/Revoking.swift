import CBpf
import LinuxSystem

/// The program that judges uses of open files, attached while somebody needs it.
final class Revoking {
    /// Held open: somebody who removes the pin does not detach it under a sandbox of ours. -1: not attached by us.
    private(set) var link: Int32 = -1
    private var program: UInt32 = 0

    /// What we hold is still attached, or we hold nothing.
    var stands: Bool { link < 0 || cbpf_link_program(link) == program }

    func hold(_ descriptor: consuming FileDescriptor) {
        drop()
        link = descriptor.release()
        program = cbpf_link_program(link)
    }

    func drop() {
        if link >= 0 { close(link) }
        link = -1
    }

    deinit { drop() }
}

extension Arbiter {
    static let revokingName = "revoking_file_permission"

    /// Makes rights that were taken away count for what is open already: from now on every read and write through a
    /// descriptor of this sandbox is judged by the rules as they are. What no rule speaks of (what was handed in open,
    /// pipes) stays usable. Call it after ``label(_:in:)`` with fewer rights, or ``use(policy:for:filling:)``.
    ///
    /// While there is such a sandbox, reads and writes everywhere on the machine pay for one more hook.
    public func revoke(in sandbox: borrowing RegisteredSandbox) throws(ArbiterError) {
        let lock = try Pins(root: root, without: without)
        if revoking.link < 0 { revoking.hold(try attachRevoking()) }
        let flags = unsafe cbpf_sandbox_add_flags(sandboxes + Int(sandbox.slot), ARBITER_REVOKED.rawValue)
        if flags & ARBITER_REVOKED.rawValue == 0 { _ = unsafe cbpf_registry_revoked(registry, 1) }
        voidVerdicts()
        _ = lock.root
    }

    /// The processes of the sandbox that have code mapped which they may no longer execute. The kernel takes mappings
    /// from nobody; a profile that asks for it has these killed.
    public func mappingRevoked(in sandbox: borrowing RegisteredSandbox) throws(ArbiterError) -> Set<pid_t> {
        var room = 4096
        while true {
            var found = [(UInt32, UInt32)](repeating: (0, 0), count: room)
            let program = tables.listMapped.number
            let count = try attempt("looking through the processes' memory") {
                unsafe found.withUnsafeMutableBufferPointer { found -> Int32 in
                    guard let start = found.baseAddress else { return -1 }
                    return unsafe cbpf_list_mapped(program, start, Int32(found.count))
                }
            }
            if Int(count) <= room {
                return Set(found.prefix(Int(count)).filter { $0.0 == sandbox.slot }.map { pid_t(bitPattern: $0.1) })
            }
            room = Int(count) * 2
        }
    }

    /// Finds the link somebody else attached, or attaches.
    private func attachRevoking() throws(ArbiterError) -> FileDescriptor {
        let folder = "\(pins)/\(Pins.revokingFolder)"
        let path = "\(folder)/\(Arbiter.revokingName)"
        let found = unsafe cbpf_pinned(path)
        if found >= 0 { return FileDescriptor(owning: found) }
        let program = FileDescriptor(
            owning: try attempt("opening", "\(pins)/programs/\(Arbiter.revokingName)") {
                unsafe cbpf_pinned("\(pins)/programs/\(Arbiter.revokingName)")
            })
        let link = FileDescriptor(
            owning: try attempt("attaching", Arbiter.revokingName) { cbpf_attach(program.number) })
        do { try kernel { unsafe mkdir(folder, 0o700) } } catch {
            if error.code != EEXIST { throw .system(error.doing("making", folder)) }
        }
        try attempt("pinning", path) { unsafe cbpf_pin(link.number, path) }
        return link
    }

    /// One sandbox fewer whose rights were taken away; with the last one the program is detached.
    func forgetRevoked() {
        guard unsafe registry.pointee.revoked > 0, unsafe cbpf_registry_revoked(registry, -1) == 0 else { return }
        _ = unsafe unlink("\(pins)/\(Pins.revokingFolder)/\(Arbiter.revokingName)")
        revoking.drop()
    }
}
