public import LinuxSystem

/// Looks at the host's file system; the only impure part of planning.
public enum HostProbe {
    /// Resolves `path` and says what is there. Never follows a symlink implicitly: each is read and kept.
    public static func look(at path: String) -> HostObject {
        // Most listed paths do not exist, and most that do hold no symlink: one call for those, three for these.
        do throws(Errno) {
            let file = try FileDescriptor.openWithoutSymlinks(path, O_PATH)
            return .present(.init(canonical: path, status: try file.status()))
        } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return .absent }
        }
        return resolve(path)
    }

    private static func resolve(_ path: String) -> HostObject {
        var links: [HostObject.Link] = []
        var pending = Array(path.split(separator: "/").map(String.init).reversed())
        var at = "/"
        while let component = pending.popLast() {
            if component == ".." {
                at = Paths.parent(at)
                continue
            }
            let next = Paths.join(at, component)
            guard let status = try? FileStatus(of: next) else { return .absent }
            if status.isSymlink {
                guard links.count < 40, let target = try? readLink(next) else { return .absent }
                links.append(.init(path: next, target: target))
                if target.hasPrefix("/") { at = "/" }
                pending.append(
                    contentsOf: target.split(separator: "/").filter { $0 != "." }.map(String.init).reversed())
            } else {
                at = next
            }
        }
        guard let status = try? FileStatus(of: at) else { return .absent }
        return .present(.init(canonical: at, links: links, status: status))
    }

    /// Mount points of this process's mount namespace.
    public static func mountPoints() throws(Errno) -> [String] {
        let file = try FileDescriptor.open("/proc/self/mountinfo", O_RDONLY)
        guard let table = try file.readAll(limit: 16 << 20) else { throw Errno(EFBIG) }
        return mountPoints(in: table)
    }

    /// The fifth field of each line of a mountinfo table. Its bytes are looked at one by one: a start waits for this.
    static func mountPoints(in table: [UInt8]) -> [String] {
        var points: [String] = []
        var point: [UInt8] = []
        var field = 0
        for byte in table {
            switch byte {
            case UInt8(ascii: "\n"):
                if field >= 4 { points.append(unescape(point)) }
                point.removeAll(keepingCapacity: true)
                field = 0
            case UInt8(ascii: " "): field += 1
            default: if field == 4 { point.append(byte) }
            }
        }
        return points
    }

    /// mountinfo writes space, tab, newline and backslash as three octal digits.
    private static func unescape(_ text: [UInt8]) -> String {
        guard text.contains(UInt8(ascii: "\\")) else { return String(decoding: text, as: UTF8.self) }
        var bytes: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The folder git keeps `workspace`'s history in: its own `.git`, or the common folder a linked worktree's
    /// `.git` file points to.
    ///
    /// A `.git` file is something an agent could have written. So the folder it names counts only when that folder
    /// points back at this very workspace, which only git, or whoever may write there anyway, can have arranged.
    public static func gitCommonFolder(workspace: String) -> String? {
        let dot = Paths.join(workspace, ".git")
        guard let status = try? FileStatus(of: dot) else { return nil }
        if status.isFolder { return dot }
        guard status.isFile, let text = try? readText(dot, limit: 4096), text.hasPrefix("gitdir: ") else { return nil }
        let folder = Paths.normal(line(text.dropFirst("gitdir: ".count)), base: workspace)
        guard let back = try? readText(Paths.join(folder, "gitdir"), limit: 4096),
            Paths.normal(line(back[...]), base: folder) == dot,
            let common = try? readText(Paths.join(folder, "commondir"), limit: 4096)
        else { return nil }
        let found = Paths.normal(line(common[...]), base: folder)
        guard Paths.isAtOrBelow(folder, Paths.join(found, "worktrees")) else { return nil }
        return found
    }

    private static func line(_ text: Substring) -> String {
        String(text.prefix { $0 != "\n" && $0 != "\r" })
    }
}
