import ArgumentParser
import JSONText
import LinuxSystem
import PolicyFiles
import ThreatPolicy

/// `mis policy push BUNDLE`
struct PolicyPush: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Bring a signed bundle into force on this machine, in running sandboxes too.")

    @Argument(help: "The bundle.")
    var bundle: String

    @Option(help: "Of the sandboxes, 1 to 99: these get it first. Push it again without this to give it to all.")
    var canary: Int?

    func run() throws {
        if let canary, !(1...99).contains(canary) { throw ValidationError("--canary \(canary): not 1 to 99") }
        let bytes = try PolicyTools.read(bundle, limit: BundleKind.base.largestFile)
        let folder = try PolicyTools.folder()
        do throws(PolicyFolderError) {
            let taken = try folder.push(bytes, percent: canary ?? 100, now: PolicyTools.now)
            PolicyTools.print(canary.map { "\(taken.description) in \($0)% of the sandboxes" } ?? taken.description)
        } catch {
            throw PolicyTools.failure("\(bundle): refused: \(error.description)")
        }
    }
}

/// `mis policy rollback KIND`
struct PolicyRollback: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Take a canary back, or go back to one of the last ten bundles.")

    @Argument(help: "base or hotfix.")
    var kind: String

    @Option(
        help: "A serial of 'mis policy status'; default: with a canary, what the others have, else the one before.")
    var to: UInt64?

    func run() throws {
        guard let kind = BundleKind(label: kind) else { throw ValidationError("\(kind): not base or hotfix") }
        let folder = try PolicyTools.folder()
        let serial = try PolicyTools.telling { try folder.rollBack(kind, to: to, now: PolicyTools.now) }
        PolicyTools.print(serial.map { "\(kind.label) \($0) is in force" } ?? "no \(kind.label) is in force")
    }
}

/// `mis policy status`
struct PolicyStatus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say what is in force on this machine, what is kept, and what was refused.")

    @Flag(help: "As one JSON object.")
    var json = false

    func run() throws {
        let folder = try PolicyTools.folder()
        let active = try PolicyTools.telling { try folder.active() }
        let whitelist = try PolicyTools.telling { try folder.readWhitelist(calls: PolicyTools.callNumber) }
        let now = PolicyTools.now
        if json {
            var writer = JSONWriter()
            writer.object { writer in
                writer.member("folder", folder.path)
                for kind in BundleKind.allCases { write(kind, active, folder, &writer) }
                FeedReport.write(folder, to: &writer)
                writer.member("whitelist", whitelist.version)
                writer.member("whitelist_entries", whitelist.entries.count)
                writer.array("refused") { writer in
                    for refused in active.refused {
                        writer.object { writer in
                            writer.member("time", UTCTime.text(refused.time))
                            writer.member("file", refused.name)
                            writer.member("reason", refused.reason)
                        }
                    }
                }
            }
            Messages.print(writer.bytes + [10])
            return
        }
        PolicyTools.print("folder     \(folder.path)")
        for kind in BundleKind.allCases {
            PolicyTools.print(line(kind, active[kind].current, folder, now: now))
            if let canary = active[kind].canary {
                PolicyTools.print(
                    line(kind, canary.file, folder, now: now) + ", in \(canary.percent)% of the sandboxes")
            }
            let others = folder.storedNames(kind).filter {
                $0 != active[kind].current && $0 != active[kind].canary?.file
            }
            let serials = others.compactMap { try? folder.stored($0).header.serial }
            if !serials.isEmpty {
                PolicyTools.print("           kept: \(serials.map { "\($0)" }.joined(separator: ", "))")
            }
        }
        let expired = whitelist.entries.count { $0.expires <= now }
        PolicyTools.print(
            "whitelist  \(whitelist.entries.count) entries\(expired > 0 ? ", \(expired) of them expired" : "")")
        for line in FeedReport.lines(folder) { PolicyTools.print(line) }
        for refused in active.refused {
            PolicyTools.print(
                TerminalText.escaped("refused    \(UTCTime.text(refused.time)) \(refused.name): \(refused.reason)"))
        }
    }

    private func line(_ kind: BundleKind, _ file: String?, _ folder: PolicyFolder, now: Int64) -> String {
        let label = kind.label + String(repeating: " ", count: 11 - kind.label.utf8.count)
        guard let file else { return label + "none" }
        do throws(PolicyFolderError) {
            let header = try folder.stored(file).header
            return "\(label)\(header.serial) \"\(TerminalText.escaped(header.title))\", \(header.entries) keys, "
                + "\(header.expires > now ? "expires" : "EXPIRED") \(UTCTime.text(header.expires))"
        } catch {
            return label + "cannot be used: \(error.description)"
        }
    }

    private func write(
        _ kind: BundleKind, _ active: ActivePolicy, _ folder: PolicyFolder, _ writer: inout JSONWriter
    ) {
        func serial(_ file: String?) -> UInt64? { file.flatMap { try? folder.stored($0).header.serial } }
        writer.object(kind.label) { writer in
            writer.member("serial", serial(active[kind].current))
            writer.member("highest", active[kind].highest)
            writer.member("canary", serial(active[kind].canary?.file))
            writer.member("canary_percent", active[kind].canary?.percent)
            writer.array("kept") { writer in
                for name in folder.storedNames(kind) {
                    if let serial = serial(name) { writer.uint(serial) }
                }
            }
        }
    }
}

/// `mis policy log`
struct PolicyLog: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Print what came into force and what was refused, and the whitelist's history in git.")

    func run() throws {
        let folder = try PolicyTools.folder()
        for file in [folder.olderHistoryFile, folder.historyFile] where (try? FileStatus(of: file)) != nil {
            Messages.print(try PolicyTools.read(file, limit: 64 << 20))
        }
        guard (try? FileStatus(of: folder.whitelistFile, flags: 0)) != nil else { return }
        // Where a symlink leads is where git knows the file.
        guard let real = try? FileDescriptor.open(folder.whitelistFile, O_PATH),
            let path = try? readLink("/proc/self/fd/\(real.number)"), let slash = path.lastIndex(of: "/")
        else { return }
        let directory = slash == path.startIndex ? "/" : String(path[..<slash])
        guard Self.isInRepository(directory) else {
            Messages.say("\(path) is in no git repository, so there is no history of the whitelist to show")
            return
        }
        Program.replace(["git", "-C", directory, "--no-pager", "log", "--patch", "--follow", "--", path])
        throw PolicyTools.failure("git is not installed: the whitelist's history cannot be shown")
    }

    /// As git looks for it: in the folder and in all above.
    private static func isInRepository(_ folder: String) -> Bool {
        if Environment.value("GIT_DIR") != nil { return true }
        var above = folder[...]
        while true {
            if (try? FileStatus(of: "\(above)/.git")) != nil { return true }
            guard let slash = above.lastIndex(of: "/") else { return false }
            above = above[..<slash]
        }
    }
}

/// Another program in this one's place. Unsafe: an argument vector.
enum Program {
    /// Returns only when it cannot be started.
    static func replace(_ arguments: [String]) {
        var strings = unsafe arguments.map { unsafe strdup($0) }
        unsafe strings.append(nil)
        if let name = unsafe strings[0] { unsafe execvp(name, strings) }
    }
}
