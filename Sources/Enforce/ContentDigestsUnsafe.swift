import CSodium
import LinuxSystem
import Synchronization

/// SHA-256 of files' contents, worked out on a thread of its own: a large program takes a second, and the supervisor
/// has others to answer meanwhile.
///
/// A digest is remembered by device, inode, size and ctime. It is not remembered when somebody could change the content
/// unseen: while the file is open for writing (a shared mapping may be among its writers, whose first write alone moves
/// ctime), or when ctime is so fresh that the next change could bear the same.
///
/// A large file may be changed while it is read. It is read again then, until it holds still: an execution must not be
/// allowed for a content that it no longer has.
///
/// Unsafe: libsodium's calls, and a thread that is handed an object.
@safe final class ContentDigests {
    struct Content: Hashable {
        var device: UInt64
        var inode: UInt64
        var size: UInt64
        var changed: Int64
    }

    struct Look {
        var content: Content
        var isOld: Bool
        /// It begins as an ELF file does.
        var isELF: Bool
        /// Somebody may execute it.
        var isExecutable: Bool
    }

    /// A digest, or `nil` where the file could not be read to its end.
    typealias Digest = [UInt8]?

    /// Readable when results are waiting.
    var descriptor: Int32 { shared.wakeUp.number }
    /// Files below this many bytes are hashed at once: it takes less than asking the thread.
    private static let atOnce: UInt64 = 128 << 10
    private static let remembered = 65_536

    private var known: [Content: [UInt8]] = [:]
    private let shared: Shared
    private var isStarted = false

    init() throws(SystemError) {
        do {
            shared = Shared(
                wakeUp: FileDescriptor(owning: try kernel { eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK)) }))
        } catch {
            throw error.doing("making a descriptor for digests", "eventfd")
        }
    }

    /// What tells the content of an open regular file; `nil`: it cannot be told.
    func look(_ file: Int32) -> Look? {
        var content = clinux_content()
        guard unsafe clinux_content_of(file, &content) == 0 else { return nil }
        return Look(
            content: Content(
                device: content.device, inode: content.inode, size: content.size, changed: content.changed),
            isOld: content.is_old != 0, isELF: content.is_elf != 0, isExecutable: content.mode & 0o111 != 0)
    }

    enum Answer {
        case digest(Digest)
        /// It is being worked out: ``results()`` will have it, under this content.
        case later
    }

    /// The digest of an open file. A descriptor of its own is kept while it is worked out.
    func digest(_ file: Int32, _ look: Look) -> Answer {
        if let digest = known[look.content] { return .digest(digest) }
        if look.content.size <= Self.atOnce {
            let digest = Self.hash(file)
            if Self.isUnchanged(file, look.content) { return .digest(remember(digest, file, look)) }
        }
        guard start(), let copy = try? kernel({ clinux_duplicate(file) }) else { return .digest(nil) }
        shared.jobs.withLock { $0.append((copy, look.content, look.isOld)) }
        shared.signal()
        return .later
    }

    /// What was worked out since it was last asked.
    func results() -> [(content: Content, digest: Digest, isSteady: Bool)] {
        var count: UInt64 = 0
        unsafe _ = read(shared.wakeUp.number, &count, 8)
        let done = shared.done.withLock { done in
            defer { done.removeAll() }
            return done
        }
        for result in done where result.mayBeKept {
            if let digest = result.digest { keep(digest, result.content) }
        }
        return done.map { ($0.content, $0.digest, $0.isSteady) }
    }

    private func remember(_ digest: Digest, _ file: Int32, _ look: Look) -> Digest {
        if let digest, look.isOld, clinux_has_writer(file) == 0 { keep(digest, look.content) }
        return digest
    }

    private func keep(_ digest: [UInt8], _ content: Content) {
        if known.count >= Self.remembered { known.removeAll() }
        known[content] = digest
    }

    fileprivate static func hash(_ file: Int32) -> Digest {
        var state = crypto_hash_sha256_state()
        unsafe crypto_hash_sha256_init(&state)
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        var offset: UInt64 = 0
        while true {
            let count = unsafe buffer.withUnsafeMutableBufferPointer { buffer -> Int in
                guard let start = buffer.baseAddress else { return -1 }
                let count = unsafe clinux_read_at(file, start, buffer.count, offset)
                if count > 0 { unsafe crypto_hash_sha256_update(&state, start, UInt64(count)) }
                return count
            }
            if count < 0 { return nil }
            if count == 0 { break }
            offset += UInt64(count)
        }
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe crypto_hash_sha256_final(&state, &digest)
        return digest
    }

    // MARK: The thread

    private final class Shared: Sendable {
        struct Done {
            var content: Content
            var digest: Digest
            /// The content did not change while it was read.
            var isSteady: Bool
            var mayBeKept: Bool
        }

        let jobs = Mutex<[(file: Int32, content: Content, isOld: Bool)]>([])
        let done = Mutex<[Done]>([])
        let wakeUp: FileDescriptor
        private let work: Semaphore

        init(wakeUp: consuming FileDescriptor) {
            self.wakeUp = wakeUp
            work = Semaphore()
        }

        func signal() { work.post() }

        /// One job after another, until the process ends.
        func serve() {
            while true {
                work.wait()
                guard let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { continue }
                var done = steadyDigest(job.file, job.content, isOld: job.isOld)
                done.mayBeKept = done.mayBeKept && clinux_has_writer(job.file) == 0
                self.done.withLock { $0.append(done) }
                close(job.file)
                var one: UInt64 = 1
                unsafe _ = write(wakeUp.number, &one, 8)
            }
        }

        /// The digest of a content that was the same before it was read and after, if it ever holds still.
        private func steadyDigest(_ file: Int32, _ content: Content, isOld: Bool) -> Done {
            var before = content
            var done = Done(content: content, digest: nil, isSteady: false, mayBeKept: false)
            for turn in 0..<ContentDigests.readings {
                // A change in the same tick of the kernel's clock, at most 10 ms, would not show.
                if turn > 0 || !isOld { usleep(11_000) }
                done.digest = ContentDigests.hash(file)
                guard let after = ContentDigests.content(file) else { break }
                if after == before {
                    done.isSteady = true
                    done.mayBeKept = isOld && turn == 0
                    break
                }
                before = after
            }
            return done
        }
    }

    /// As often a file is read that keeps changing.
    private static let readings = 3

    fileprivate static func content(_ file: Int32) -> Content? {
        var now = clinux_content()
        guard unsafe clinux_content_of(file, &now) == 0 else { return nil }
        return Content(device: now.device, inode: now.inode, size: now.size, changed: now.changed)
    }

    private static func isUnchanged(_ file: Int32, _ content: Content) -> Bool { Self.content(file) == content }

    private func start() -> Bool {
        if isStarted { return true }
        var thread = pthread_t()
        let passenger = unsafe Unmanaged.passRetained(shared)
        // Signals are the supervisor's: the new thread inherits that they are blocked.
        let code = unsafe pthread_create(
            &thread, nil,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<Shared>.fromOpaque(context).takeRetainedValue().serve()
                return nil
            }, passenger.toOpaque())
        guard code == 0 else {
            unsafe passenger.release()
            return false
        }
        pthread_detach(thread)
        isStarted = true
        return true
    }
}
