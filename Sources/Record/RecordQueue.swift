import JSONText

/// Lines on their way from the thread that enforces to the thread that writes: bounded, and never waited for.
///
/// A plain value; ``SessionRecorder`` guards it with a lock that is only ever held for one append or one swap.
struct RecordQueue: Sendable {
    /// One line's place in the buffer and what its header will say.
    struct Entry: Sendable {
        let stream: SessionStream
        let priority: RecordPriority
        let time: EventTime
        /// Lines of this stream that were lost since the one before.
        let lostBefore: UInt64
        /// Where the line's own fields end in the buffer; they begin where the entry before ends.
        let end: Int
    }

    private(set) var writer = JSONWriter()
    private(set) var entries: [Entry] = []
    /// Lines refused for want of room, by stream, since the beginning.
    private(set) var lost = PerStream<UInt64>(repeating: 0)
    /// Nothing is taken any more; what still comes is lost, and counted.
    var isClosed = false

    private let limit: Int
    private let lineLimit: Int
    private var used = InlineArray<3, Int>(repeating: 0)
    private var lostSince = PerStream<UInt64>(repeating: 0)

    /// - Parameters:
    ///   - limit: bytes of all lines together.
    ///   - lineLimit: bytes of one line's fields.
    init(limit: Int, lineLimit: Int) {
        self.limit = limit
        self.lineLimit = lineLimit
    }

    var isEmpty: Bool { entries.isEmpty }

    /// More than half of some share is taken: somebody should come before the usual time.
    var isFilling: Bool {
        total > limit / 2 || RecordPriority.allCases.contains { used[$0.rawValue] > share(of: $0) / 2 }
    }

    private var total: Int { used[0] + used[1] + used[2] }

    /// What a kind of line may take at most. Traces and the agent's own words leave a quarter of the whole for alerts,
    /// however many of them come.
    private func share(of priority: RecordPriority) -> Int {
        switch priority {
        case .trace: limit / 2
        case .ordinary: limit / 4
        case .alert: limit
        }
    }

    private func room(for priority: RecordPriority) -> Int {
        min(share(of: priority) - used[priority.rawValue], limit - total)
    }

    /// Takes a line's fields, or counts it as lost.
    mutating func append(
        _ stream: SessionStream, _ priority: RecordPriority, at time: EventTime, _ fields: (inout JSONWriter) -> Void
    ) -> Bool {
        // An entry and a line's header take room as well: a flood of empty lines is bounded, too.
        let overhead = MemoryLayout<Entry>.size
        guard !isClosed, overhead <= room(for: priority) else { return refuse(stream) }
        let start = writer.bytes.count
        writer.beginFragment()
        fields(&writer)
        let length = writer.bytes.count - start
        // A name without a value would make a line that is no JSON.
        guard writer.isComplete, length <= lineLimit, overhead + length <= room(for: priority) else {
            writer.truncate(to: start)
            return refuse(stream)
        }
        used[priority.rawValue] += overhead + length
        entries.append(
            Entry(
                stream: stream, priority: priority, time: time, lostBefore: lostSince[stream],
                end: writer.bytes.count))
        lostSince[stream] = 0
        return true
    }

    private mutating func refuse(_ stream: SessionStream) -> Bool {
        lost[stream] += 1
        lostSince[stream] += 1
        return false
    }

    /// Lines lost since the last one of this stream that was taken, or that this was asked.
    mutating func takeLostSince(_ stream: SessionStream) -> UInt64 {
        defer { lostSince[stream] = 0 }
        return lostSince[stream]
    }

    /// Hands out everything queued and takes over the memory of a batch that is done with.
    mutating func swap(with batch: inout Batch) {
        Swift.swap(&writer, &batch.writer)
        Swift.swap(&entries, &batch.entries)
        batch.next = 0
        // After a flood the memory goes back: the launcher stays small.
        if writer.bytes.capacity > Self.keptCapacity { writer = JSONWriter() } else { writer.removeAll() }
        if entries.capacity > Self.keptCapacity / MemoryLayout<Entry>.size {
            entries = []
        } else {
            entries.removeAll(keepingCapacity: true)
        }
        used = InlineArray(repeating: 0)
    }

    private static let keptCapacity = 256 << 10

    /// Lines taken out of the queue; `next` is the first that has not been dealt with.
    struct Batch: Sendable {
        fileprivate(set) var writer = JSONWriter()
        fileprivate(set) var entries: [Entry] = []
        var next = 0

        var isDone: Bool { next == entries.count }

        /// Where the fields of the line at `next` stand in `writer.bytes`.
        var fields: Range<Int> { (next == 0 ? 0 : entries[next - 1].end)..<entries[next].end }
    }
}

/// A value for each stream, held in place.
struct PerStream<Value: Sendable & BitwiseCopyable>: Sendable {
    private var values: InlineArray<3, Value>

    init(repeating value: Value) { values = InlineArray(repeating: value) }

    subscript(stream: SessionStream) -> Value {
        get { values[stream.rawValue] }
        set { values[stream.rawValue] = newValue }
    }
}
