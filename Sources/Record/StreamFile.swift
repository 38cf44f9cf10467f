import JSONText
import LinuxSystem

/// Writes some bytes at a place in a file; may write less than asked. ``RecordIO`` in earnest, failures in tests.
typealias PositionedWrite =
    @Sendable (
        _ bytes: ArraySlice<UInt8>, _ file: Int32, _ offset: Int
    ) throws(Errno) -> Int

/// One stream's file: numbers, chains and writes its lines.
///
/// A line is composed (numbered, chained and buffered) and later written. What is written always ends with a whole
/// line: a write that stops half way leaves the rest in the buffer and the next attempt overwrites the half line, for
/// writes name their place and never append.
struct StreamFile: ~Copyable {
    let stream: SessionStream
    /// What is on disk for certain.
    private(set) var written: Extent
    /// Lines composed and not yet written.
    private var buffer: [UInt8] = []
    private var composed: Extent
    private var descriptor: FileDescriptor?

    /// Lines dropped because the session may keep no more, and because the disk refused them.
    private(set) var lostToLimit: UInt64 = 0
    private(set) var lostToErrors: UInt64 = 0
    private var lostSince: UInt64 = 0
    /// A write stopped half way.
    private var mayEndInHalf = false

    /// How far a stream goes.
    struct Extent: Sendable, Equatable {
        var lines: UInt64 = 0
        var bytes: UInt64 = 0
        /// The digest of the last line, or the stream's genesis.
        var head: SHA256.Digest
    }

    init(_ stream: SessionStream, session: String) {
        self.stream = stream
        written = Extent(head: stream.genesis(session: session))
        composed = written
    }

    /// Bytes waiting to be written.
    var waiting: Int { buffer.count }

    /// Bytes written and waiting.
    var size: UInt64 { composed.bytes }

    /// The most a header adds to a line's fields.
    static let headerLimit = 224

    /// Makes a line of `fields` and buffers it.
    mutating func compose(_ entry: RecordQueue.Entry, fields: Span<UInt8>) {
        let start = buffer.count
        buffer.append(contentsOf: "{\"seq\":".utf8)
        Self.append(composed.lines, to: &buffer)
        buffer.append(contentsOf: ",\"time\":\"".utf8)
        entry.time.append(to: &buffer)
        buffer.append(contentsOf: "\",\"mono_ns\":".utf8)
        Self.append(entry.time.monotonic, to: &buffer)
        buffer.append(contentsOf: ",\"prev\":\"".utf8)
        Hexadecimal.append(composed.head.bytes.span, to: &buffer)
        buffer.append(UInt8(ascii: "\""))
        let lost = entry.lostBefore + lostSince
        lostSince = 0
        if lost > 0 {
            buffer.append(contentsOf: ",\"lost_before\":".utf8)
            Self.append(lost, to: &buffer)
        }
        if !fields.isEmpty {
            buffer.append(UInt8(ascii: ","))
            buffer.append(addingCapacity: fields.count) { space in
                for index in fields.indices { space.append(fields[index]) }
            }
        }
        buffer.append(UInt8(ascii: "}"))
        let head = SHA256.digest(of: buffer.span.extracting(start...))
        composed.head = head
        buffer.append(UInt8(ascii: "\n"))
        composed.lines += 1
        composed.bytes += UInt64(buffer.count - start)
    }

    /// Counts a line for which the session has no room left on disk.
    mutating func refuse(_ entry: RecordQueue.Entry) {
        lostToLimit += 1
        lostSince += 1 + entry.lostBefore
    }

    /// Counts lines that will never be written because the disk refuses.
    mutating func abandon(_ lines: UInt64) { lostToErrors += lines }

    /// Makes the file if it is not there yet.
    mutating func create(in folder: borrowing FileDescriptor) throws(Errno) {
        if descriptor == nil { descriptor = try RecordIO.createFile(stream.fileName, in: folder) }
    }

    /// Writes everything buffered. When it throws, what could not be written stays buffered.
    mutating func flush(in folder: borrowing FileDescriptor, by write: PositionedWrite) throws(Errno) {
        guard !buffer.isEmpty else { return }
        try create(in: folder)
        guard let file = descriptor?.number else { return }
        var done = 0
        do throws(Errno) {
            while done < buffer.count {
                let count = try write(buffer[done...], file, Int(written.bytes) + done)
                // The kernel says 0 for a regular file only when something is very wrong.
                guard count > 0 else { throw Errno(EIO) }
                done += count
            }
        } catch {
            mayEndInHalf = true
            keepWholeLines(of: done)
            throw error
        }
        written = composed
        mayEndInHalf = false
        if buffer.capacity > 4 * Self.batchSize { buffer = [] } else { buffer.removeAll(keepingCapacity: true) }
    }

    /// A stream is written when this much waits, so that memory stays bounded while a full queue is emptied.
    static let batchSize = 128 << 10

    /// Takes the whole lines among the first `count` buffered bytes as written, and cuts a half line off the file.
    private mutating func keepWholeLines(of count: Int) {
        let newline = UInt8(ascii: "\n")
        if let last = buffer[..<count].lastIndex(of: newline) {
            let start = buffer[..<last].lastIndex(of: newline).map { $0 + 1 } ?? 0
            written.head = SHA256.digest(of: buffer.span.extracting(start..<last))
            written.lines += UInt64(buffer[...last].count { $0 == newline })
            written.bytes += UInt64(last + 1)
            buffer.removeSubrange(...last)
        }
        cutHalfLine()
    }

    /// Best effort: if it fails, the next write covers the half line, and the verifier names it if none comes.
    private mutating func cutHalfLine() {
        if mayEndInHalf, let file = descriptor?.number { try? RecordIO.truncate(file, to: Int(written.bytes)) }
    }

    /// Gives up what is buffered: the end has come and the disk still refuses.
    mutating func abandonBuffered() {
        lostToErrors += composed.lines - written.lines
        buffer = []
        composed = written
        cutHalfLine()
    }

    private static func append(_ number: UInt64, to output: inout [UInt8]) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var rest = number
        var first = 20
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        for index in first..<20 { output.append(digits[index]) }
    }
}
