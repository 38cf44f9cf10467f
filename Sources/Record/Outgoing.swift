import JSONText
import LinuxSystem

/// The writing side of a record: files, chains and what to do when the disk refuses.
struct Outgoing: ~Copyable {
    /// What was taken out of the queue and is being written.
    var batch = RecordQueue.Batch()

    private let folder: SessionFolder
    private let description: SessionDescription
    private let limits: SessionRecorder.Limits
    private let write: PositionedWrite
    private let started = EventTime.now()
    private var files: StreamFiles
    /// The final manifest's file, under its temporary name.
    private var nextManifest: FileDescriptor?
    /// CLOCK_MONOTONIC, ns; before it a disk that refused is left alone.
    private var nextAttempt: UInt64 = 0
    private(set) var isStalled = false
    private var trouble: [SessionRecorder.Trouble] = []
    private var reported = Reported()

    private struct Reported {
        var disk = false
        var limit = false
        var queue = false
    }

    /// How long a disk that refused is left alone.
    static let retryMilliseconds: Int32 = 250

    init(
        folder: consuming SessionFolder, description: SessionDescription, limits: SessionRecorder.Limits,
        write: @escaping PositionedWrite
    ) {
        let session = folder.identifier.text
        self.folder = folder
        self.description = description
        self.limits = limits
        self.write = write
        files = StreamFiles(session: session)
    }

    /// Whether a disk that refused may be tried again.
    var mayTry: Bool { !isStalled || EventTime.now().monotonic >= nextAttempt }

    /// Lines lost on this side.
    var lost: UInt64 {
        var lines: UInt64 = 0
        for stream in SessionStream.allCases { lines += files[stream].lostToLimit + files[stream].lostToErrors }
        return lines
    }

    // MARK: Lines

    /// Composes and writes the batch; stops where the disk refuses, to go on from there the next time.
    mutating func writeBatch() {
        isStalled = false
        for stream in SessionStream.allCases where !flush(stream) { return }
        while !batch.isDone {
            let entry = batch.entries[batch.next]
            let fields = batch.fields
            let stream = entry.stream
            batch.next += 1
            if hasRoom(for: fields.count + StreamFile.headerLimit, entry.priority) {
                let line = batch.writer.bytes[fields]
                files[stream].compose(entry, fields: line.span)
                if files[stream].waiting >= StreamFile.batchSize && !flush(stream) { return }
            } else {
                files[stream].refuse(entry)
                reportLimit()
            }
        }
        for stream in SessionStream.allCases where !flush(stream) { return }
    }

    /// What the two manifests may take; the temporary one stands beside the first for a moment.
    private static let manifestRoom: UInt64 = 32 << 10

    private func hasRoom(for bytes: Int, _ priority: RecordPriority) -> Bool {
        let reserve = priority == .alert ? 0 : min(limits.disk / 8, 4 << 20)
        let used = files[.execution].size + files[.reasoning].size + files[.outcome].size
        return used + UInt64(bytes) + reserve + min(Self.manifestRoom, limits.disk / 8) <= limits.disk
    }

    /// - Returns: whether the stream has nothing left to write.
    private mutating func flush(_ stream: SessionStream) -> Bool {
        do throws(Errno) {
            try files[stream].flush(in: folder.folder, by: write)
            return true
        } catch {
            isStalled = true
            nextAttempt = EventTime.now().monotonic + UInt64(Self.retryMilliseconds) * 1_000_000
            report(RecordError("write", folder.path + "/" + stream.fileName, error))
            return false
        }
    }

    // MARK: Trouble

    mutating func noteLost(_ queue: borrowing RecordQueue) {
        guard !reported.queue else { return }
        for stream in SessionStream.allCases where queue.lost[stream] > 0 {
            reported.queue = true
            trouble.append(.queue(stream))
            return
        }
    }

    private mutating func reportLimit() {
        guard !reported.limit else { return }
        reported.limit = true
        trouble.append(.limit(limits.disk))
    }

    private mutating func report(_ error: RecordError) {
        guard !reported.disk else { return }
        reported.disk = true
        trouble.append(.disk(error))
    }

    mutating func takeTrouble() -> [SessionRecorder.Trouble] {
        defer { trouble = [] }
        return trouble
    }

    // MARK: Manifest

    mutating func writeFirstManifest() throws(Errno) {
        let text = manifest(RecordQueue(limit: 0, lineLimit: 0), ended: nil).text().bytes
        let file = try RecordIO.createFile(SessionManifest.fileName, in: folder.folder)
        try writeAll(text, to: file.number)
    }

    /// Takes back a record that could not be begun. Nothing ran yet, and the folder's name is random: what the path
    /// leads to is the folder we made.
    func removeFolder() {
        try? RecordIO.remove(SessionManifest.fileName, in: folder.folder)
        try? RecordIO.removeFolder(folder.path)
    }

    /// Makes the files that will be needed in the end, while there is time: the agent's start does not wait for them,
    /// and its end finds them made. What fails now is tried again then.
    mutating func prepare() {
        for stream in SessionStream.allCases { try? files[stream].create(in: folder.folder) }
        if nextManifest == nil {
            nextManifest = try? RecordIO.createFile(SessionManifest.temporaryName, in: folder.folder)
            // Room that is there already needs no finding on a full disk; and ext4, before a file is put in another's
            // place, starts writing out what has no place of its own yet.
            if let file = nextManifest?.number { RecordIO.reserve(4096, in: file) }
        }
    }

    private func manifest(_ queue: borrowing RecordQueue, ended: EventTime?) -> SessionManifest {
        var streams: [StreamSummary] = []
        for stream in SessionStream.allCases {
            streams.append(files[stream].summary(lostToQueue: queue.lost[stream]))
        }
        return SessionManifest(
            identifier: folder.identifier, description: description, started: started, ended: ended, streams: streams)
    }

    private func writeAll(_ bytes: [UInt8], to file: Int32) throws(Errno) {
        var done = 0
        while done < bytes.count {
            let count = try write(bytes[done...], file, done)
            guard count > 0 else { throw Errno(EIO) }
            done += count
        }
    }

    mutating func finish(
        _ queue: borrowing RecordQueue, at time: EventTime
    ) -> (SessionSummary, [SessionRecorder.Trouble]) {
        noteLost(queue)
        // The last attempt has been made: what is still here stays unwritten.
        while !batch.isDone {
            files[batch.entries[batch.next].stream].abandon(1)
            batch.next += 1
        }
        for stream in SessionStream.allCases { finishStream(stream) }
        let manifest = manifest(queue, ended: time)
        let (text, seal) = manifest.text()
        let isSealed = replaceManifest(text)
        let summary = SessionSummary(
            identifier: folder.identifier, path: folder.path, streams: manifest.streams, isSealed: isSealed,
            seal: seal.text)
        return (summary, takeTrouble())
    }

    private mutating func finishStream(_ stream: SessionStream) {
        files[stream].abandonBuffered()
        do throws(Errno) {
            try files[stream].create(in: folder.folder)
        } catch {
            report(RecordError("make", folder.path + "/" + stream.fileName, error))
        }
    }

    private mutating func replaceManifest(_ text: [UInt8]) -> Bool {
        do throws(Errno) {
            do throws(Errno) {
                if nextManifest == nil {
                    nextManifest = try RecordIO.createFile(SessionManifest.temporaryName, in: folder.folder)
                }
                guard let file = nextManifest?.number else { return false }
                try writeAll(text, to: file)
                try RecordIO.rename(
                    SessionManifest.temporaryName, to: SessionManifest.fileName, in: folder.folder)
            } catch {
                try? RecordIO.remove(SessionManifest.temporaryName, in: folder.folder)
                report(RecordError("write", folder.path + "/" + SessionManifest.fileName, error))
                try overwriteManifest(text, because: error)
            }
            return true
        } catch {
            return false
        }
    }

    /// On a full disk no second file can be made, but the first manifest's block is ours already: what fits into it is
    /// written in place, so that the counts of what was lost are kept.
    private func overwriteManifest(_ text: [UInt8], because answer: Errno) throws(Errno) {
        let file = try RecordIO.openFile(SessionManifest.fileName, in: folder.folder, writing: true)
        let status = try RecordIO.status(of: file)
        guard text.count <= Int(status.st_blocks) * 512 else { throw answer }
        try writeAll(text, to: file.number)
        try RecordIO.truncate(file.number, to: text.count)
    }
}

/// The three files, by stream.
private struct StreamFiles: ~Copyable {
    private var execution: StreamFile
    private var reasoning: StreamFile
    private var outcome: StreamFile

    init(session: String) {
        execution = StreamFile(.execution, session: session)
        reasoning = StreamFile(.reasoning, session: session)
        outcome = StreamFile(.outcome, session: session)
    }

    subscript(stream: SessionStream) -> StreamFile {
        _read {
            switch stream {
            case .execution: yield execution
            case .reasoning: yield reasoning
            case .outcome: yield outcome
            }
        }
        _modify {
            switch stream {
            case .execution: yield &execution
            case .reasoning: yield &reasoning
            case .outcome: yield &outcome
            }
        }
    }
}

extension StreamFile {
    func summary(lostToQueue: UInt64) -> StreamSummary {
        StreamSummary(
            stream: stream, lines: written.lines, bytes: written.bytes, head: written.head,
            lostToQueue: lostToQueue, lostToLimit: lostToLimit, lostToErrors: lostToErrors)
    }
}
