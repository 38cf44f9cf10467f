import JSONText
import LinuxSystem

/// Follows one stream's chain from its genesis to its end.
///
/// A link joins two neighbours: the digest of one line and the `prev` of the next. A changed line breaks the link
/// behind it; a changed `prev` breaks the links on both sides of its line. So in a row of broken links the lines between
/// them are named, and at a single one the line before it.
struct StreamCheck {
    /// Where the manifest says the stream ends.
    struct End {
        let lines: UInt64
        let bytes: UInt64
        let head: SHA256.Digest
    }

    private(set) var problems: [SessionVerifier.Problem] = []
    private(set) var lines: UInt64 = 0

    private let stream: SessionStream
    private let end: End?
    /// What the next line's `prev` must be; `nil` when nothing is known.
    private var head: SHA256.Digest?
    private var expectedNumber: UInt64 = 0
    /// Broken links, each by the line behind it (1 is the link to the genesis).
    private var broken: [UInt64] = []

    init(_ stream: SessionStream, session: String?, end: End?) {
        self.stream = stream
        self.end = end
        head = session.map { stream.genesis(session: $0) }
    }

    private mutating func note(_ kind: SessionVerifier.Kind, line: UInt64?, _ detail: String) {
        guard problems.count < SessionVerifier.problemLimit else { return }
        problems.append(.init(file: stream.fileName, line: line, kind: kind, detail: detail))
    }

    /// Reads the file and checks every line.
    mutating func read(from folder: borrowing FileDescriptor, mayBeMissing: Bool) {
        do throws(Errno) {
            let file = try RecordIO.openFile(stream.fileName, in: folder, writing: false)
            guard try RecordIO.status(of: file).st_mode & S_IFMT == S_IFREG else {
                return note(.unreadable, line: nil, "is not a regular file")
            }
            let size = try readLines(of: file)
            finish(size: size)
        } catch {
            // A run that goes on, or was killed, has only the files it had lines for.
            if error.code == ENOENT && mayBeMissing { return }
            note(.unreadable, line: nil, error.code == ENOENT ? "is missing" : "cannot be read: \(error)")
        }
    }

    private mutating func readLines(of file: borrowing FileDescriptor) throws(Errno) -> UInt64 {
        let newline = UInt8(ascii: "\n")
        var buffer: [UInt8] = []
        var offset = 0
        var isTooLong = false
        while true {
            let searched = buffer.count
            let count = try RecordIO.read(256 << 10, from: file, at: offset, into: &buffer)
            if count == 0 { break }
            offset += count
            var start = 0
            var index = searched
            while index < buffer.count {
                if buffer[index] == newline {
                    if isTooLong {
                        lines += 1
                        isTooLong = false
                    } else {
                        check(buffer.span.extracting(start..<index))
                    }
                    start = index + 1
                }
                index += 1
            }
            buffer.removeSubrange(..<start)
            if buffer.count > SessionVerifier.lineLimit {
                if !isTooLong { note(.malformed, line: lines + 1, "is longer than any line we write") }
                isTooLong = true
                head = nil
                buffer = []
            }
        }
        if !buffer.isEmpty || isTooLong {
            note(.cut, line: lines + 1, "ends in the middle: the stream was cut, or its last write did not finish")
        }
        return UInt64(offset)
    }

    private mutating func check(_ line: Span<UInt8>) {
        lines += 1
        guard let header = LineHeader(line) else {
            note(.malformed, line: lines, "is not a line we write")
            // What it vouched for is unknown; its number is taken to be the one that was due.
            expectedNumber &+= 1
            head = nil
            return
        }
        if header.number != expectedNumber {
            note(
                .sequence, line: lines,
                "has number \(header.number) where \(expectedNumber) should stand: lines are missing, doubled or moved")
        } else if let head, header.previous != head, broken.count < SessionVerifier.problemLimit {
            broken.append(lines)
        }
        expectedNumber = header.number &+ 1
        head = SHA256.digest(of: line)
    }

    private mutating func finish(size: UInt64) {
        if let end {
            if lines < end.lines {
                note(.cut, line: nil, "has \(lines) lines, the manifest counts \(end.lines): the end was cut")
            } else if lines > end.lines {
                note(.extended, line: nil, "has \(lines) lines, the manifest counts \(end.lines): something was added")
            } else if let head, head != end.head {
                broken.append(lines + 1)
            }
        }
        nameChangedLines()
        if let end, size != end.bytes, problems.isEmpty {
            note(.changed, line: nil, "has \(size) bytes, the manifest counts \(end.bytes)")
        }
    }

    private mutating func nameChangedLines() {
        var index = 0
        while index < broken.count {
            var last = index
            while last + 1 < broken.count, broken[last + 1] == broken[last] + 1 { last += 1 }
            if last > index {
                for line in broken[index]..<broken[last] {
                    note(
                        .changed, line: line, "was changed (or the line before it): its neighbours do not vouch for it")
                }
            } else if broken[index] == 1 {
                note(
                    .changed, line: lines == 0 ? nil : 1, "does not begin as this session's \(stream.name) stream does")
            } else {
                note(.changed, line: broken[index] - 1, "was changed: the next line vouches for another content")
            }
            index = last + 1
        }
    }
}

/// The members every line begins with, read as strictly as they are written.
struct LineHeader {
    let number: UInt64
    let previous: SHA256.Digest

    /// Reads `{"seq":N,"time":"<27 bytes>","mono_ns":N,"prev":"<64 digits>"`; `nil` for anything else.
    init?(_ line: Span<UInt8>) {
        var index = 0

        func take(_ text: StaticString) -> Bool {
            for byte in text.description.utf8 {
                guard index < line.count, line[index] == byte else { return false }
                index += 1
            }
            return true
        }

        func number() -> UInt64? {
            let start = index
            var value: UInt64 = 0
            while index < line.count, line[index] >= UInt8(ascii: "0"), line[index] <= UInt8(ascii: "9") {
                let (product, overflow) = value.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(UInt64(line[index] - UInt8(ascii: "0")))
                if overflow || carry { return nil }
                value = sum
                index += 1
            }
            return index > start ? value : nil
        }

        guard take("{\"seq\":"), let sequence = number(), take(",\"time\":\"") else { return nil }
        index += Self.timeLength
        guard take("\",\"mono_ns\":"), number() != nil, take(",\"prev\":\""), index + 64 <= line.count,
            let digest = SHA256.Digest(hexadecimal: line.extracting(index..<index + 64))
        else { return nil }
        index += 64
        guard take("\""), line[line.count - 1] == UInt8(ascii: "}") else { return nil }
        self.number = sequence
        previous = digest
    }

    private static let timeLength = 27
}
