import Foundation
import LinuxSystem
import Testing

@testable import Record

@Suite struct SessionFolderTests {
    private let identifier = SessionIdentifier("s1")

    private func make(
        in parent: String, confined: String? = nil, owners: [uid_t] = []
    ) throws -> (path: String, mode: mode_t) {
        let folder = try SessionFolder.make(try #require(identifier), in: parent, confined: confined, owners: owners)
        return (folder.path, try RecordIO.status(of: folder.folder).st_mode & 0o7777)
    }

    private func refusal(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return "\(error)"
        }
    }

    private func setMode(_ path: String, _ mode: mode_t) {
        let answer = unsafe chmod(path, mode)
        #expect(answer == 0)
    }

    @Test func theFolderIsOursAlone() throws {
        let parent = try TestFolder()
        #expect(try make(in: parent.path).mode == 0o700)
        #expect(parent.names == ["s1"])
        // Never reuses one.
        #expect(refusal { _ = try make(in: parent.path) }?.contains("EEXIST") == true)
    }

    @Test func missingParentsAreMade() throws {
        let parent = try TestFolder()
        #expect(try make(in: parent.path + "/a/b/c/").mode == 0o700)
        #expect(FileManager.default.fileExists(atPath: parent.path + "/a/b/c/s1"))
        let mode = try FileManager.default.attributesOfItem(atPath: parent.path + "/a/b")[.posixPermissions] as? Int
        #expect(mode == 0o700)
    }

    /// Attack C193: the log's place is a symlink, a FIFO, a file.
    @Test func aParentThatIsNoFolderIsRefused() throws {
        let parent = try TestFolder()
        try FileManager.default.createDirectory(atPath: parent.path + "/real", withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: parent.path + "/link", withDestinationPath: parent.path + "/real")
        for spelling in ["/link", "/link/", "/link/.", "/link/./"] {
            let message = refusal { _ = try make(in: parent.path + spelling) }
            #expect(message?.contains("is a symbolic link") == true, "\(spelling): \(message ?? "accepted")")
        }
        let fifo = unsafe mkfifo(parent.path + "/fifo", 0o600)
        #expect(fifo == 0)
        #expect(refusal { _ = try make(in: parent.path + "/fifo") }?.contains("ENOTDIR") == true)
        try parent.write("file", [])
        #expect(refusal { _ = try make(in: parent.path + "/file/below") }?.contains("ENOTDIR") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: parent.path + "/real").isEmpty)
        // The folder itself is fine, and so is one behind a link of the system's.
        _ = try make(in: parent.path + "/real")
        _ = try make(in: parent.path + "/link/deeper")
        #expect(FileManager.default.fileExists(atPath: parent.path + "/real/deeper/s1"))
    }

    /// Attack C028: inside the workspace no symlink is followed, wherever it stands.
    @Test func insideTheWorkspaceNoLinkIsFollowed() throws {
        let parent = try TestFolder()
        for name in ["/ws", "/ws/real", "/outside"] {
            try FileManager.default.createDirectory(atPath: parent.path + name, withIntermediateDirectories: false)
        }
        try FileManager.default.createSymbolicLink(
            atPath: parent.path + "/ws/link", withDestinationPath: parent.path + "/outside")
        let workspace = parent.path + "/ws"
        let message = refusal { _ = try make(in: workspace + "/link/deeper", confined: workspace) }
        #expect(message?.contains("link is a symbolic link") == true)
        #expect(refusal { _ = try make(in: workspace + "/real/../x", confined: workspace) }?.contains("..") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: parent.path + "/outside").isEmpty)
        _ = try make(in: workspace + "/real/deeper", confined: workspace)
        #expect(FileManager.default.fileExists(atPath: workspace + "/real/deeper/s1"))
        // A place outside the workspace is judged as any other.
        _ = try make(in: parent.path + "/outside", confined: workspace)
    }

    @Test func aFolderOthersCanChangeIsRefused() throws {
        let parent = try TestFolder()
        let open = parent.path + "/open"
        try FileManager.default.createDirectory(atPath: open, withIntermediateDirectories: false)
        setMode(open, 0o777)
        #expect(refusal { _ = try make(in: open) }?.contains("everybody may write") == true)
        setMode(open, 0o1777)
        _ = try make(in: open)
    }

    @Test(.enabled(if: geteuid() == 0, "giving a folder away needs root"))
    func somebodyElsesFolderIsRefused() throws {
        let parent = try TestFolder()
        let theirs = parent.path + "/theirs"
        try FileManager.default.createDirectory(atPath: theirs, withIntermediateDirectories: false)
        let given = unsafe chown(theirs, 12345, 12345)
        #expect(given == 0)
        #expect(refusal { _ = try make(in: theirs) }?.contains("belongs to user 12345") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: theirs).isEmpty)
        // Under sudo, the invoking user's folder will do.
        _ = try make(in: theirs, owners: [12345])
    }

    @Test func errorsNameDeedObjectAnswerAndRemedy() {
        let message = refusal { _ = try make(in: "/proc/no-such-folder") }
        #expect(message?.hasPrefix("cannot make the record in /proc/no-such-folder: ENOENT") == true)
        #expect(message?.contains("--record") == true)
        #expect(refusal { _ = try make(in: "") }?.contains("the name is empty") == true)
    }

    @Test func identifiersAreSafeNames() throws {
        for wrong in ["", ".", "..", ".hidden", "a/b", "a b", "a\n", String(repeating: "x", count: 65), "é"] {
            #expect(SessionIdentifier(wrong) == nil, "\(wrong)")
        }
        let time = EventTime(seconds: 1_795_436_825, nanoseconds: 0, monotonic: 0)
        let first = try SessionIdentifier.make(at: time)
        let second = try SessionIdentifier.make(at: time)
        #expect(first != second)
        #expect(SessionIdentifier(first.text) == first)
        #expect(first.text.hasPrefix("20261123T122705Z-"))
    }
}

@Suite struct EventTimeTests {
    @Test(arguments: [
        (0, 0, "1970-01-01T00:00:00.000000Z"), (951_782_400, 999_999_999, "2000-02-29T00:00:00.999999Z"),
        (4_107_542_399, 1000, "2100-02-28T23:59:59.000001Z"), (-1, 500_000_000, "1969-12-31T23:59:59.500000Z"),
        (1_795_436_825, 123_456_789, "2026-11-23T12:27:05.123456Z"),
    ])
    func textIsRFC3339(seconds: Int64, nanoseconds: Int64, expected: String) {
        #expect(EventTime(seconds: seconds, nanoseconds: nanoseconds, monotonic: 0).text == expected)
    }

    @Test func everyDayAgreesWithFoundation() {
        // From 1614 on: Foundation counts by the Julian calendar before 1582.
        let format = Date.ISO8601FormatStyle()
        for day in stride(from: Int64(-130_000), to: 200_000, by: 61) {
            let text = EventTime(seconds: day * 86_400 + 3661, nanoseconds: 0, monotonic: 0).text
            let expected = Date(timeIntervalSince1970: Double(day * 86_400 + 3661)).formatted(format)
            #expect(text.prefix(19) == expected.prefix(19))
        }
    }

    @Test func aMonotonicStampFindsItsWallClockTime() {
        let now = EventTime.now()
        let before = EventTime.at(monotonic: now.monotonic - 3_000_000_000)
        #expect(abs(now.seconds - before.seconds - 3) <= 1)
        #expect(before.monotonic == now.monotonic - 3_000_000_000)
        #expect((0..<1_000_000_000).contains(before.nanoseconds))
    }
}

@Suite struct SHA256Tests {
    @Test func knownAnswers() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(digest([]) == empty)
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(digest("abc".utf8) == abc)
        var pieces = SHA256()
        pieces.update("a".utf8.span)
        pieces.update("".utf8.span)
        pieces.update("bc".utf8.span)
        let whole = pieces.finish().text
        #expect(whole == abc)
    }
}
