import JSONText
import LinuxSystem

/// Where `--report` goes, opened before the agent runs.
///
/// A path is looked up once, at the start: what the agent does to the names on the way afterwards (a folder of the
/// workspace replaced by a symbolic link to /etc) cannot send the report elsewhere. A file is written beside its name and
/// renamed over it, so that a reader sees all of a report or none.
public struct ReportDestination: ~Copyable, Sendable {
    private let path: String
    private let target: Target

    private enum Target: ~Copyable, Sendable {
        /// Standard output, or a descriptor the caller's shell opened: not ours to close.
        case borrowed(Int32)
        /// A FIFO or a device.
        case stream(FileDescriptor)
        case file(NamedFile)
    }

    private struct NamedFile: ~Copyable, Sendable {
        let folder: FileDescriptor
        let name: String
    }

    private static let action = "write the report to"
    private static let remedy = "choose another place with --report"

    /// Opens the place a report is to be written to.
    /// - Parameters:
    ///   - path: a file that exists or not, a FIFO or device, `-` or /dev/stdout for standard output, /dev/fd/N.
    ///   - confined: a folder the agent can write to; below it no component may be a symbolic link.
    public static func open(_ path: String, confined: String? = nil) throws(RecordError) -> ReportDestination {
        if let number = descriptor(named: path) {
            guard RecordIO.isOpen(number) else { throw refusal(path, "descriptor \(number) is not open") }
            return ReportDestination(path: path, target: .borrowed(number))
        }
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let name = slash.map { String(path[path.utf8.index(after: $0)...]) } ?? path
        let above = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        guard !name.isEmpty, name != ".", name != ".." else { throw refusal(path, "this names no file") }
        let folder = try ParentFolder.open(above, confined: confined, purpose: .report)
        do throws(Errno) {
            switch try kind(of: name, in: folder) {
            case nil, S_IFREG:
                try RecordIO.checkWritable(folder)
                return ReportDestination(path: path, target: .file(NamedFile(folder: folder, name: name)))
            case S_IFIFO, S_IFCHR:
                let stream = try RecordIO.openFile(name, in: folder, writing: true)
                return ReportDestination(path: path, target: .stream(stream))
            case S_IFLNK:
                break
            default:
                throw Errno(EISDIR)
            }
        } catch {
            throw RecordError(action, path, error, remedy: error.code == ENXIO ? "open its reading end first" : remedy)
        }
        throw RecordError(action, path, problem: "it is a symbolic link", remedy: "give the file it leads to")
    }

    /// Writes the report, one line of JSON.
    public borrowing func write(_ report: RunReport) throws(RecordError) {
        do throws(Errno) {
            switch target {
            case .borrowed(let number): try RecordIO.writeAll(report.text, to: number)
            case .stream(let stream): try RecordIO.writeAll(report.text, to: stream.number)
            case .file(let file): try Self.replace(file.name, in: file.folder, with: report.text)
            }
        } catch {
            throw RecordError(Self.action, path, error, remedy: Self.remedy)
        }
    }

    private static func refusal(_ path: String, _ problem: String) -> RecordError {
        RecordError(action, path, problem: problem, remedy: remedy)
    }

    /// The descriptor a name stands for: opening such a name again could fail, or name another object.
    private static func descriptor(named path: String) -> Int32? {
        switch path {
        case "-", "/dev/stdout": return STDOUT_FILENO
        case "/dev/stderr": return STDERR_FILENO
        default: break
        }
        for folder in ["/dev/fd/", "/proc/self/fd/"] where path.hasPrefix(folder) {
            if let number = Int32(path.dropFirst(folder.count)), number >= 0 { return number }
        }
        return nil
    }

    private static func kind(of name: String, in folder: borrowing FileDescriptor) throws(Errno) -> mode_t? {
        do throws(Errno) {
            return try RecordIO.status(of: name, in: folder.number).st_mode & S_IFMT
        } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }

    private static func replace(
        _ name: String, in folder: borrowing FileDescriptor, with text: [UInt8]
    ) throws(Errno) {
        var random = [UInt8](repeating: 0, count: 8)
        try RecordIO.random(into: &random)
        let temporary = ".mis-report-\(Hexadecimal.text(of: random))"
        // Readable as the umask says: the caller asked for this file, and a CI job's next step may be another user.
        let file = try RecordIO.createFile(temporary, in: folder, mode: 0o644)
        do throws(Errno) {
            try RecordIO.writeAll(text, to: file.number)
            try RecordIO.rename(temporary, to: name, in: folder)
        } catch {
            try? RecordIO.remove(temporary, in: folder)
            throw error
        }
    }
}
