import CBpf
import LinuxSystem

/// One of a sandbox's two rings, and its reader. Nothing is allocated per record.
@safe public struct EventRing: ~Copyable {
    private let map: FileDescriptor
    private let ring: UnsafeMutablePointer<cbpf_ring>

    /// For epoll: readable when the kernel has written and asked to be read.
    public var descriptor: Int32 { map.number }

    private init(map: consuming FileDescriptor, ring: UnsafeMutablePointer<cbpf_ring>) {
        self.map = map
        unsafe self.ring = ring
    }

    static func make(_ name: String, bytes: UInt32) throws(ArbiterError) -> EventRing {
        let number = try attempt("making a ring of", "\(bytes) bytes") { unsafe cbpf_ring_make(name, bytes) }
        return try mapped(FileDescriptor(owning: number), bytes: bytes)
    }

    /// The ring an earlier sandbox has left in a place, read as far as it is written; nil where there is none.
    static func kept(in table: Int32, _ slot: UInt32, bytes: UInt32) throws(ArbiterError) -> EventRing? {
        let number = cbpf_map_inner(table, slot)
        if number < 0 { return nil }
        let map = FileDescriptor(owning: number)
        var shape = cbpf_map_shape()
        guard unsafe cbpf_map_shape(number, &shape) == 0, shape.entries == bytes else { return nil }
        let ring = try mapped(map, bytes: bytes)
        unsafe cbpf_ring_skip(ring.ring)
        return ring
    }

    /// Nothing more is read from it: it may be another sandbox's from now on.
    func retire() { unsafe ring.pointee.retired = 1 }

    private static func mapped(_ map: consuming FileDescriptor, bytes: UInt32) throws(ArbiterError) -> EventRing {
        let number = map.number
        let ring = UnsafeMutablePointer<cbpf_ring>.allocate(capacity: 1)
        unsafe ring.initialize(to: cbpf_ring())
        if unsafe cbpf_ring_open(number, bytes, ring) != 0 {
            let error = Errno(errno)
            unsafe ring.deallocate()
            throw .system(error.doing("mapping a ring"))
        }
        return unsafe EventRing(map: map, ring: ring)
    }

    deinit {
        unsafe cbpf_ring_close(ring)
        unsafe ring.deallocate()
    }

    /// Hands every record there is to `body`, at most `limit`, and gives its place back. Returns how many. The record
    /// is the kernel's own memory: it is gone when `body` returns.
    @discardableResult
    public func drain(limit: Int = .max, _ body: (borrowing ArbiterEvent) -> Void) -> Int {
        var count = 0
        while count < limit, let record = unsafe cbpf_ring_next(ring) {
            body(unsafe ArbiterEvent(record: record))
            unsafe cbpf_ring_release(ring)
            count += 1
        }
        return count
    }
}

/// A decision, as the kernel told it.
@safe public struct ArbiterEvent: ~Copyable {
    let record: UnsafePointer<arbiter_event>

    init(record: UnsafePointer<arbiter_event>) { unsafe self.record = record }

    public enum Verdict: UInt8, Sendable { case allowed, denied, traced }

    public var version: UInt16 { unsafe record.pointee.version }
    public var verdict: Verdict { Verdict(rawValue: unsafe record.pointee.verdict) ?? .denied }
    public var operation: UInt16 { unsafe record.pointee.operation }
    /// Monotonic nanoseconds.
    public var time: UInt64 { unsafe record.pointee.time }
    public var session: UInt64 { unsafe record.pointee.session }
    public var cgroup: UInt64 { unsafe record.pointee.cgroup }
    public var device: UInt32 { unsafe record.pointee.device }
    public var inode: UInt64 { unsafe record.pointee.inode }
    public var pid: Int32 { Int32(bitPattern: unsafe record.pointee.pid) }
    public var tid: Int32 { Int32(bitPattern: unsafe record.pointee.tid) }
    public var parent: Int32 { Int32(bitPattern: unsafe record.pointee.parent) }
    public var uid: UInt32 { unsafe record.pointee.uid }
    public var wanted: Rights { Rights(rawValue: unsafe record.pointee.wanted) }
    public var granted: Rights { Rights(rawValue: unsafe record.pointee.rights) }
    /// The number of the rule that decided; 0: none did.
    public var rule: UInt32 { unsafe record.pointee.rule }
    /// Of the same kind and not told one by one since the last record of this kind.
    public var repeats: UInt32 { unsafe record.pointee.repeats }
    public var port: UInt16 { unsafe record.pointee.port }
    /// Signal, `family << 32 | type << 16 | protocol`, ioctl, lockdown reason: as the operation has it.
    public var detail: UInt64 { unsafe record.pointee.detail }
    public var level: UInt8 { unsafe record.pointee.level }
    /// What decided: 0 the profile's rules, or of the threat policy 1 the whitelist, 2 the hotfix filter, 3 the base.
    public var layer: UInt8 { unsafe record.pointee.layer }
    /// `enum policy_kind` of the key below; 0: none.
    public var keyKind: UInt8 { unsafe record.pointee.kind }
    /// The threat policy's key that decided, under the secret of its layer's filter.
    public var key: (low: UInt64, high: UInt64) { unsafe (record.pointee.key.0, record.pointee.key.1) }
    public var command: String { unsafe text(of: record.pointee.command) }
    /// 16 bytes, IPv4 as ::ffff:a.b.c.d.
    public var address: [UInt8] { unsafe withUnsafeBytes(of: record.pointee.address) { unsafe Array($0) } }

    /// The path, with `…` before it where the kernel did not reach the root; empty for what is no file's.
    public var path: String {
        let parts = Int(unsafe record.pointee.path_parts)
        let pieces: [String] = unsafe withUnsafeBytes(of: record.pointee.path) { bytes in
            var pieces: [String] = []
            var at = 0
            while pieces.count < parts, at < bytes.count {
                var end = at
                while end < bytes.count, unsafe bytes[end] != 0 { end += 1 }
                unsafe pieces.append(String(decoding: bytes[at..<end], as: UTF8.self))
                at = end + 1
            }
            return pieces
        }
        if pieces.isEmpty { return "" }
        let whole = unsafe record.pointee.path_cut == 0
        return (whole ? "/" : "…/") + pieces.reversed().joined(separator: "/")
    }

    /// The operation's name in reports.
    public var operationName: String { operationNames[operation] ?? "operation \(operation)" }
}

private let operationNames: [UInt16: String] = {
    let names: [(arbiter_operation, String)] = [
        (ARBITER_OP_OPEN, "open"), (ARBITER_OP_CREATE, "create"), (ARBITER_OP_MKDIR, "mkdir"),
        (ARBITER_OP_MKNOD, "mknod"), (ARBITER_OP_SYMLINK, "symlink"), (ARBITER_OP_LINK, "link"),
        (ARBITER_OP_UNLINK, "unlink"), (ARBITER_OP_RMDIR, "rmdir"), (ARBITER_OP_RENAME, "rename"),
        (ARBITER_OP_TRUNCATE, "truncate"), (ARBITER_OP_CHMOD, "chmod"), (ARBITER_OP_CHOWN, "chown"),
        (ARBITER_OP_SETATTR, "setattr"), (ARBITER_OP_XATTR, "xattr"), (ARBITER_OP_MAP, "map"),
        (ARBITER_OP_PROTECT_MEMORY, "mprotect"), (ARBITER_OP_IOCTL, "ioctl"), (ARBITER_OP_RECEIVE, "receive"),
        (ARBITER_OP_WATCH, "watch"), (ARBITER_OP_USE, "use"), (ARBITER_OP_EXEC, "exec"),
        (ARBITER_OP_CREDENTIALS, "credentials"),
        (ARBITER_OP_PTRACE, "ptrace"), (ARBITER_OP_SIGNAL, "signal"), (ARBITER_OP_USERNS, "user-namespace"),
        (ARBITER_OP_SCHEDULE, "schedule"), (ARBITER_OP_CHROOT, "chroot"), (ARBITER_OP_MOUNT, "mount"),
        (ARBITER_OP_UMOUNT, "umount"), (ARBITER_OP_REMOUNT, "remount"), (ARBITER_OP_PIVOT, "pivot-root"),
        (ARBITER_OP_MOVE_MOUNT, "move-mount"), (ARBITER_OP_FSCONFIG, "fsconfig"), (ARBITER_OP_SOCKET, "socket"),
        (ARBITER_OP_BIND, "bind"), (ARBITER_OP_LISTEN, "listen"), (ARBITER_OP_CONNECT, "connect"),
        (ARBITER_OP_SEND, "send"), (ARBITER_OP_UNIX_CONNECT, "unix-connect"), (ARBITER_OP_UNIX_SEND, "unix-send"),
        (ARBITER_OP_BPF, "bpf"), (ARBITER_OP_PERF, "perf"), (ARBITER_OP_MODULE, "module"),
        (ARBITER_OP_KERNEL_READ, "kernel-read"), (ARBITER_OP_LOCKDOWN, "lockdown"), (ARBITER_OP_KEY, "key"),
        (ARBITER_OP_SYSLOG, "syslog"), (ARBITER_OP_CLOCK, "clock"), (ARBITER_OP_IO_URING, "io-uring"),
        (ARBITER_OP_USERFAULTFD, "userfaultfd"), (ARBITER_OP_QUOTA, "quota"),
    ]
    return Dictionary(names.map { (UInt16($0.0.rawValue), $0.1) }) { first, _ in first }
}()
