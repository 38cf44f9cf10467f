import HostView
import LinuxSystem
import Testing

/// Asked within `#expect`, which changes nothing.
private final class Asked {
    private var names: FolderNames

    init(below root: Int32 = AT_FDCWD) { names = FolderNames(below: root) }

    func areWithout(_ path: String) -> Bool { names.areWithout(path) }

    /// As often as it takes for a folder that is there to be read.
    func askOften(in folder: String) { for _ in 0..<18 { _ = names.areWithout(folder + "/never") } }
}

/// "Not there" may be said only of what is not there: a denied name that was taken for absent would not be masked.
@Suite struct FolderNamesTests {
    /// A folder of its own with these names in it, on a file system that tells all its names.
    private func folder(_ names: [String]) throws -> String {
        var template = Array("/dev/shm/mis-names-XXXXXX".utf8CString)
        let path = try #require(mkdtemp(&template).map { String(cString: $0) })
        for name in names { close(try kernel { open(path + "/" + name, O_CREAT | O_WRONLY, 0o600) }) }
        return path
    }

    private func remove(_ folder: String) throws {
        for name in try namesInFolder(folder) { unlink(folder + "/" + name) }
        rmdir(folder)
    }

    @Test func whatIsThereIsNeverCalledAbsent() throws {
        let place = try folder([".env", ".netrc", "notes"])
        defer { try? remove(place) }
        let names = Asked()
        for name in [".env", ".netrc", "notes", ".env", ".netrc", "notes", ".env", ".netrc", "notes"] {
            #expect(!names.areWithout(place + "/" + name))
        }
    }

    @Test func whatIsAskedOftenIsAnsweredFromTheNames() throws {
        let place = try folder(["notes"])
        defer { try? remove(place) }
        let names = Asked()
        #expect(!names.areWithout(place + "/.env"), "a question alone is not worth reading the folder")
        names.askOften(in: place)
        #expect(names.areWithout(place + "/.env"))
        #expect(names.areWithout(place + "/note"))
        #expect(names.areWithout(place + "/notes2"))
    }

    /// A folder may fold case; then another spelling is the same file.
    @Test func anotherSpellingIsNotCertainlyAbsent() throws {
        let place = try folder([".ENV"])
        defer { try? remove(place) }
        let names = Asked()
        names.askOften(in: place)
        #expect(!names.areWithout(place + "/.env"))
        #expect(names.areWithout(place + "/x"))
    }

    /// What folds to what beyond ASCII is the file system's business.
    @Test func namesBeyondASCIIMakeNothingCertain() throws {
        let place = try folder(["T\u{e9}l\u{e9}chargements"])
        defer { try? remove(place) }
        let names = Asked()
        for _ in 0..<20 { #expect(!names.areWithout(place + "/.env")) }
        let plain = try folder(["notes"])
        defer { try? remove(plain) }
        for _ in 0..<20 { #expect(!names.areWithout(plain + "/\u{212a}eys")) }
    }

    @Test func nothingIsInAFolderThatIsNotThere() throws {
        let place = try folder([])
        defer { try? remove(place) }
        let names = Asked()
        _ = names.areWithout(place + "/none/a")
        #expect(names.areWithout(place + "/none/a"))
    }

    /// A symlink on the way, a file in the folder's place, a file system that makes names when they are asked for.
    @Test func nothingIsCertainWhereTheFolderCannotBeRead() throws {
        let place = try folder(["file"])
        symlink("file", place + "/link")
        defer { try? remove(place) }
        let names = Asked()
        for folder in [place + "/link", place + "/file", "/proc/sys/fs"] {
            for _ in 0..<20 { #expect(!names.areWithout(folder + "/absent")) }
        }
    }

    @Test func aLargeFolderIsAskedNameByName() throws {
        let place = try folder((0..<2000).map { "a-file-of-many-\($0)" })
        defer { try? remove(place) }
        let names = Asked()
        for _ in 0..<20 { #expect(!names.areWithout(place + "/absent")) }
    }

    /// A sandbox's root, as its launcher sees it.
    @Test func pathsCanStandOnAnotherRoot() throws {
        let place = try folder(["notes"])
        defer { try? remove(place) }
        let root = try FileDescriptor.open("/dev/shm", O_PATH | O_DIRECTORY)
        let inside = String(place.dropFirst("/dev/shm".count))
        let names = Asked(below: root.number)
        names.askOften(in: inside)
        #expect(names.areWithout(inside + "/.env"))
        #expect(!names.areWithout(inside + "/notes"))
        // On the real root there is no such folder.
        let real = Asked()
        real.askOften(in: inside)
        #expect(real.areWithout(inside + "/notes"))
    }

    @Test func theRootIsThere() {
        let names = Asked()
        for _ in 0..<20 { #expect(!names.areWithout("/")) }
    }
}
