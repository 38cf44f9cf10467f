import JSONText
import LinuxSystem

/// Finds out whether a session's folder still says what was written into it.
///
/// Checked are each line's form, number and chain, the manifest's seal, and that each stream ends where the manifest
/// says. Everything found is named, up to ``problemLimit`` for each file.
public struct SessionVerifier {
    /// Something that is not as it was written.
    public struct Problem: Sendable, Equatable, CustomStringConvertible {
        /// The file inside the session's folder.
        public let file: String
        /// Counted from 1; `nil` when it concerns the whole file.
        public let line: UInt64?
        public let kind: Kind
        /// What was found, and what should be there.
        public let detail: String

        public var description: String {
            line.map { "\(file):\($0): \(detail)" } ?? "\(file): \(detail)"
        }
    }

    public enum Kind: String, Sendable {
        /// The file cannot be read, or is something else than a file.
        case unreadable
        /// A line is not of the form we write.
        case malformed
        /// A line's content is not what its neighbours vouch for.
        case changed
        /// Lines are missing, doubled or in another order.
        case sequence
        /// The stream ends before the manifest says.
        case cut
        /// The stream goes on behind the manifest's end.
        case extended
        /// The manifest is not as it was sealed.
        case manifest
        /// The run never ended its record: the launcher was killed, or is still running.
        case unfinished
    }

    /// What was found.
    public struct Result: Sendable {
        /// From the manifest; `nil` if it cannot be read.
        public let session: String?
        public let problems: [Problem]
        /// Whole lines read, by stream.
        public let lines: [SessionStream: UInt64]

        /// Everything is as it was written, to the end.
        public var isIntact: Bool { problems.isEmpty }
    }

    /// The most problems named for one file.
    public static let problemLimit = 100

    /// The longest line that is read, bytes; the recorder writes none as long.
    static let lineLimit = 4 << 20

    /// Checks the session kept in `path`.
    public static func verify(_ path: String) throws(RecordError) -> Result {
        let folder: FileDescriptor
        do throws(Errno) {
            folder = try RecordIO.openFolder(path)
        } catch {
            throw RecordError("open the session", path, error, remedy: "give a session's folder")
        }
        let manifest = ManifestCheck(in: folder)
        var problems = manifest.problems
        var lines: [SessionStream: UInt64] = [:]
        for stream in SessionStream.allCases {
            var check = StreamCheck(stream, session: manifest.session, end: manifest.ends[stream])
            check.read(from: folder, mayBeMissing: manifest.isRunning)
            problems += check.problems
            lines[stream] = check.lines
        }
        return Result(session: manifest.session, problems: problems, lines: lines)
    }

    /// Reads a file of ours that should be small.
    static func readWhole(_ name: String, in folder: borrowing FileDescriptor, limit: Int) throws(Errno) -> [UInt8] {
        let file = try RecordIO.openFile(name, in: folder, writing: false)
        guard try RecordIO.status(of: file).st_mode & S_IFMT == S_IFREG else { throw Errno(EINVAL) }
        var bytes: [UInt8] = []
        while bytes.count <= limit {
            let count = try RecordIO.read(64 << 10, from: file, at: bytes.count, into: &bytes)
            if count == 0 { return bytes }
        }
        throw Errno(EFBIG)
    }
}

/// The manifest's own soundness, and the ends it vouches for.
private struct ManifestCheck {
    private(set) var session: String?
    private(set) var ends: [SessionStream: StreamCheck.End] = [:]
    private(set) var isRunning = false
    private(set) var problems: [SessionVerifier.Problem] = []

    init(in folder: borrowing FileDescriptor) {
        let bytes: [UInt8]
        do throws(Errno) {
            bytes = try SessionVerifier.readWhole(SessionManifest.fileName, in: folder, limit: 4 << 20)
        } catch {
            note(.unreadable, "cannot be read: \(error)")
            return
        }
        checkSeal(bytes)
        do throws(JSONError) {
            readMembers(try JSONReader.read(bytes))
        } catch {
            note(.manifest, "\(error)")
        }
    }

    private mutating func note(_ kind: SessionVerifier.Kind, _ detail: String) {
        problems.append(.init(file: SessionManifest.fileName, line: nil, kind: kind, detail: detail))
    }

    /// The file must end with the seal of everything before it, and with nothing else.
    private mutating func checkSeal(_ bytes: [UInt8]) {
        guard let start = SessionManifest.sealStart(in: bytes) else { return note(.manifest, "has no seal") }
        let seal = SHA256.digest(of: bytes.span.extracting(..<start))
        let expected = Array("\(SessionManifest.sealName): \"\(seal.text)\"\n}\n".utf8)
        guard bytes[start...].elementsEqual(expected) else {
            return note(.manifest, "was changed: its seal does not match its content")
        }
    }

    private mutating func readMembers(_ manifest: JSONValue) {
        guard manifest["format"]?.int64 == Int64(SessionManifest.format) else {
            return note(.manifest, "has a format this version does not know (\(SessionManifest.format) is known)")
        }
        guard let session = manifest["session"]?.string, SessionIdentifier(session) != nil else {
            return note(.manifest, "names no session")
        }
        self.session = session
        switch manifest["state"]?.string.flatMap(SessionManifest.State.init) {
        case .running:
            isRunning = true
            note(.unfinished, "the run's end was never recorded; the ends of the streams cannot be checked")
        case .ended:
            for stream in SessionStream.allCases {
                let value = manifest["streams"]?[stream.name]
                guard let lines = value?["count"]?.uint64, let bytes = value?["bytes"]?.uint64,
                    let text = value?["head"]?.string, let head = SHA256.Digest(hexadecimal: text.utf8.span)
                else {
                    note(.manifest, "does not say how the \(stream.name) stream ends")
                    continue
                }
                ends[stream] = StreamCheck.End(lines: lines, bytes: bytes, head: head)
            }
        case nil:
            note(.manifest, "has no state")
        }
    }
}
