import JSONText
import LinuxSystem
import Synchronization

/// Keeps a session: takes lines from the thread that enforces, chains and writes them on another.
///
/// ``append(_:_:at:_:)`` neither waits for the disk nor fails: it copies a line into a bounded queue, or counts it as
/// lost. The owner gives a thread to ``run()`` (or calls ``drainOnce()`` itself); only that thread touches files.
/// A launcher killed without warning loses what was queued, 10 ms of lines at most while the disk keeps up; nothing is
/// synced to disk, so a machine that loses power may lose the end, and the verifier will say so.
public final class SessionRecorder: Sendable {
    /// Bounds of a record.
    public struct Limits: Sendable {
        /// Bytes of lines waiting in memory; as much again may be on its way to disk.
        public var queue = 4 << 20
        /// Bytes of one line's own fields.
        public var line = 256 << 10
        /// Bytes of all files together (`[streams] limit`). An eighth, 4 MiB at most, is kept for alerts.
        public var disk: UInt64 = 256 << 20

        public init() {}
    }

    /// Why lines are being lost. Each kind is reported once; the counts are in ``SessionSummary``.
    public enum Trouble: Sendable, Equatable {
        /// The disk refused; it is tried again.
        case disk(RecordError)
        /// The session may keep no more than this many bytes.
        case limit(UInt64)
        /// Lines come faster than they can be written.
        case queue(SessionStream)
    }

    public let identifier: SessionIdentifier
    /// The session's folder.
    public let path: String
    /// The session's folder, for putting aside what the agent made in forbidden places. Open while the recorder lives.
    public let folderDescriptor: Int32

    private let incoming: Mutex<Incoming>
    private let outgoing: Mutex<Outgoing>
    private let wake: WakeSignal
    private let onTrouble: @Sendable (Trouble) -> Void

    private struct Incoming {
        var queue: RecordQueue
        /// The writing thread sleeps until it is woken; otherwise it comes by itself soon.
        var isAsleep = false
        var isStopping = false
        /// A wake for a filling queue has been given since the last swap.
        var wasHurried = false
        /// Lines the writing side had lost when it last came by: known here so that nobody waits for the disk to ask.
        var lostInWriting: UInt64 = 0
    }

    /// Starts a record: writes the manifest, state `running`. The streams' files follow with their first lines.
    ///
    /// When it throws, the folder is removed again.
    /// - Parameter onTrouble: called at most once for each kind of trouble, on the thread that drains, or on the one
    ///   that calls ``finish()``.
    public static func start(
        in folder: consuming SessionFolder, _ description: SessionDescription, limits: Limits = Limits(),
        onTrouble: @escaping @Sendable (Trouble) -> Void = { _ in }
    ) throws(RecordError) -> SessionRecorder {
        try SessionRecorder(
            folder, description, limits, onTrouble: onTrouble,
            write: { (bytes, file, offset) throws(Errno) in
                try RecordIO.write(bytes, to: file, at: offset)
            })
    }

    init(
        _ folder: consuming SessionFolder, _ description: SessionDescription, _ limits: Limits,
        onTrouble: @escaping @Sendable (Trouble) -> Void, write: @escaping PositionedWrite
    ) throws(RecordError) {
        identifier = folder.identifier
        path = folder.path
        folderDescriptor = folder.descriptor
        do throws(Errno) {
            wake = try WakeSignal()
        } catch {
            throw RecordError("make a wake signal for", folder.path, error)
        }
        self.onTrouble = onTrouble
        incoming = Mutex(Incoming(queue: RecordQueue(limit: limits.queue, lineLimit: limits.line)))
        var outgoing = Outgoing(folder: folder, description: description, limits: limits, write: write)
        do throws(Errno) {
            try outgoing.writeFirstManifest()
        } catch {
            outgoing.removeFolder()
            throw RecordError("write", path + "/" + SessionManifest.fileName, error)
        }
        self.outgoing = Mutex(outgoing)
    }

    // MARK: The thread that enforces

    /// Queues a line; never waits and never fails.
    ///
    /// - Parameters:
    ///   - fields: writes the line's own members (not the braces around them) with ``JSONWriter/member(_:_:)-swift.method``;
    ///     `seq`, `time`, `mono_ns`, `prev` and `lost_before` are taken.
    /// - Returns: whether there was room; if not, the line is counted as lost.
    @discardableResult
    public func append(
        _ stream: SessionStream, _ priority: RecordPriority = .ordinary, at time: EventTime = .now(),
        _ fields: (inout JSONWriter) -> Void
    ) -> Bool {
        let (taken, shouldWake) = incoming.withLock { incoming in
            let taken = incoming.queue.append(stream, priority, at: time, fields)
            var shouldWake = incoming.isAsleep
            incoming.isAsleep = false
            if !shouldWake && !incoming.wasHurried && incoming.queue.isFilling {
                incoming.wasHurried = true
                shouldWake = true
            }
            return (taken, shouldWake)
        }
        // Waking costs a system call: at most one for each time the writing thread comes by.
        if shouldWake { wake.give() }
        return taken
    }

    /// Makes ``run()`` return once it has written what is queued. From any thread.
    public func requestStop() {
        incoming.withLock { $0.isStopping = true }
        wake.give()
    }

    /// Lines lost so far, for whatever reason. Never waits.
    public var lost: UInt64 {
        incoming.withLock { incoming in
            SessionStream.allCases.reduce(incoming.lostInWriting) { $0 + incoming.queue.lost[$1] }
        }
    }

    // MARK: The thread that writes

    /// How long lines may gather before they are written together, milliseconds.
    private static let gathering: Int32 = 10

    /// Makes the files that are still missing, so that nobody waits for that later. ``run()`` begins with it.
    public func prepare() { outgoing.withLock { $0.prepare() } }

    /// Writes lines as they come, until ``requestStop()``.
    public func run() {
        prepare()
        while true {
            let wrote = drainOnce()
            let (stop, sleep) = incoming.withLock { incoming in
                if incoming.isStopping { return (true, Int32(0)) }
                if wrote || !incoming.queue.isEmpty { return (false, Self.gathering) }
                incoming.isAsleep = true
                return (false, -1)
            }
            if stop { break }
            let stalled = outgoing.withLock { $0.isStalled }
            wake.take(waiting: stalled ? Outgoing.retryMilliseconds : sleep)
        }
        drainOnce()
    }

    /// Writes everything queued, unless the disk refuses.
    /// - Returns: whether there was anything to write.
    @discardableResult
    public func drainOnce() -> Bool {
        let (worked, trouble) = outgoing.withLock { drain(&$0, isLast: false) }
        trouble.forEach(onTrouble)
        return worked
    }

    private func drain(_ outgoing: inout Outgoing, isLast: Bool) -> (worked: Bool, trouble: [Trouble]) {
        guard outgoing.mayTry || isLast else { return (false, []) }
        var worked = false
        // Twice, for a batch may be left from a time when the disk refused.
        for _ in 0..<2 {
            if outgoing.batch.isDone {
                incoming.withLock { incoming in
                    incoming.queue.swap(with: &outgoing.batch)
                    incoming.wasHurried = false
                    outgoing.noteLost(incoming.queue)
                }
            }
            worked = worked || !outgoing.batch.isDone
            outgoing.writeBatch()
        }
        let lost = outgoing.lost
        incoming.withLock { $0.lostInWriting = lost }
        return (worked, outgoing.takeTrouble())
    }

    /// Ends the record: writes what is queued, makes every file that is still missing, and puts the final manifest in
    /// the place of the first. What comes later is lost.
    ///
    /// Call it when ``run()`` has returned. It tries a disk that refuses once more and does not wait for it.
    public func finish(at time: EventTime = .now()) -> SessionSummary {
        incoming.withLock { $0.queue.isClosed = true }
        let (summary, trouble) = outgoing.withLock { outgoing in
            _ = drain(&outgoing, isLast: true)
            let queue = incoming.withLock { $0.queue }
            return outgoing.finish(queue, at: time)
        }
        trouble.forEach(onTrouble)
        return summary
    }
}

/// How a record ended.
public struct SessionSummary: Sendable {
    public let identifier: SessionIdentifier
    public let path: String
    public let streams: [StreamSummary]
    /// Whether the final manifest is in place.
    public let isSealed: Bool
    /// The manifest's seal, 64 hexadecimal digits: kept elsewhere, it proves the whole record later.
    public let seal: String

    /// Lines lost for whatever reason, over all streams.
    public var lost: UInt64 { streams.reduce(0) { $0 + $1.lost } }
}
