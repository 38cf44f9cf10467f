import Enforce
import Foundation
import LinuxSystem
import Testing

@Suite(.serialized) struct HomeFilesTests {
    final class Scene {
        /// The home folder inside, on a tmpfs as in a sandbox; and the host's.
        let inside = TemporaryFolder("/dev/shm")
        let host = TemporaryFolder()
        let aside = TemporaryFolder()
        let files: HomeFiles
        let notes = Notes()
        private let loop: Loop
        private var isStopped = false

        final class Notes: @unchecked Sendable {
            private let lock = NSLock()
            private var all: [HomeFiles.Note] = []
            func add(_ note: HomeFiles.Note) { lock.withLock { all.append(note) } }
            var kinds: [HomeFiles.Note.Kind] { lock.withLock { all.map(\.kind) } }
        }

        init(
            _ names: [String] = ["config.json"], globs: [String] = [], settings: HomeFiles.Settings = .init(),
            prepare: (_ inside: TemporaryFolder, _ host: TemporaryFolder) -> Void = { inside, host in
                inside.file("config.json", "old")
                host.file("config.json", "old")
            }
        ) throws {
            prepare(inside, host)
            let host = self.host
            let notes = self.notes
            files = try HomeFiles(
                home: .open(inside.path, O_RDONLY | O_DIRECTORY),
                files: names.map {
                    .init(
                        names: $0.split(separator: "/").map { Array($0.utf8) }, hostPath: host.path + "/" + $0,
                        user: 1234, group: 1235)
                },
                patterns: globs.map { glob in
                    .init(folder: [], hostFolder: host.path, user: 1234, group: 1235) {
                        $0.starts(with: glob.utf8.dropLast())
                    }
                },
                keeper: Quarantine(path: aside.path + "/kept"), settings: settings, note: { notes.add($0) })
            let files = self.files
            loop = Loop([(files.descriptor, { files.handle() })])
        }

        func finish() {
            if !isStopped { loop.stop() }
            isStopped = true
            files.finish()
        }

        deinit { if !isStopped { loop.stop() } }

        func save(_ name: String, _ text: String) {
            inside.file(name + ".tmp", text)
            rename("\(inside.path)/\(name).tmp", "\(inside.path)/\(name)")
        }

        func hostHas(_ name: String, _ text: String?) -> Bool { eventually { self.host.text(name) == text } }
        var hostNames: [String] { (try? FileManager.default.contentsOfDirectory(atPath: host.path).sorted()) ?? [] }
    }

    @Test func changesInPlaceAndByRename() throws {
        let scene = try Scene()
        chmod(scene.host.path + "/config.json", 0o640)
        chown(scene.host.path + "/config.json", 4321, 4322)
        scene.inside.file("config.json", "in place")
        #expect(scene.hostHas("config.json", "in place"))
        scene.save("config.json", "renamed over")
        #expect(scene.hostHas("config.json", "renamed over"))
        // Owned as before, and no neighbour is left.
        let status = try FileStatus(of: scene.host.path + "/config.json")
        #expect(status.user == 4321 && status.group == 4322 && status.mode & 0o7777 == 0o640)
        #expect(scene.hostNames == ["config.json"])
        #expect(eventually { scene.notes.kinds == [.written, .written] })
    }

    @Test func whatIsNotListedStaysInside() throws {
        let scene = try Scene()
        scene.inside.file("other.json", "secret")
        scene.save("config.json", "new")
        #expect(scene.hostHas("config.json", "new"))
        scene.finish()
        #expect(scene.hostNames == ["config.json"])
    }

    @Test func filesMadeNew() throws {
        let scene = try Scene(["new.json", ".config/tool/settings"]) { _, host in host.folder(".config/tool") }
        scene.inside.file("new.json", "made")
        chmod(scene.inside.path + "/new.json", 0o4755)
        scene.inside.file(".config/tool/settings", "nested")
        #expect(scene.hostHas("new.json", "made"))
        #expect(scene.hostHas(".config/tool/settings", "nested"))
        let status = try FileStatus(of: scene.host.path + "/new.json")
        #expect(status.user == 1234 && status.group == 1235)
        #expect(status.mode & 0o7000 == 0)
        // The folder inside removed and made again.
        try FileManager.default.removeItem(atPath: scene.inside.path + "/.config")
        scene.inside.file(".config/tool/settings", "again")
        #expect(scene.hostHas(".config/tool/settings", "again"))
    }

    @Test func changesOutsideAreBroughtIn() throws {
        let scene = try Scene()
        scene.host.file("config.json.neighbour", "from outside")
        rename(scene.host.path + "/config.json.neighbour", scene.host.path + "/config.json")
        #expect(eventually { scene.inside.text("config.json") == "from outside" })
        #expect(eventually { scene.notes.kinds == [.updatedInside] })
        scene.save("config.json", "and back")
        #expect(scene.hostHas("config.json", "and back"))
    }

    @Test func changesBetweenCopyAndStart() throws {
        let scene = try Scene {
            $0.file("config.json", "copied")
            $1.file("config.json", "changed since")
        }
        #expect(scene.inside.text("config.json") == "changed since")
        scene.finish()
        #expect(scene.host.text("config.json") == "changed since")
    }

    @Test func theLaterChangeWinsAndTheOtherIsKept() throws {
        var settings = HomeFiles.Settings()
        // Both changes have to come within it, on a busy machine too.
        settings.debounce = 1500
        let scene = try Scene(settings: settings)
        scene.host.file("config.json", "outside")
        usleep(20_000)
        scene.inside.file("config.json", "inside")
        #expect(scene.hostHas("config.json", "inside"))
        #expect(eventually { scene.notes.kinds.contains(.written) })
        #expect(scene.notes.kinds == [.conflict(insideWon: true, kept: "1-config.json"), .written])
        #expect(scene.aside.text("kept/1-config.json") == "outside")

        scene.inside.file("config.json", "inside again")
        usleep(20_000)
        scene.host.file("config.json", "outside again")
        #expect(eventually { scene.inside.text("config.json") == "outside again" })
        #expect(eventually { scene.notes.kinds.count == 4 })
        #expect(scene.aside.text("kept/2-config.json") == "inside again")
    }

    @Test func removalWaitsForTheEnd() throws {
        let scene = try Scene(["config.json", "stays.json"]) {
            for folder in [$0, $1] {
                folder.file("config.json", "old")
                folder.file("stays.json", "old")
            }
        }
        unlink(scene.inside.path + "/config.json")
        unlink(scene.inside.path + "/stays.json")
        usleep(100_000)
        #expect(scene.host.text("config.json") == "old")
        // A program that saves by removing and making anew.
        scene.inside.file("stays.json", "new")
        #expect(scene.hostHas("stays.json", "new"))
        scene.finish()
        #expect(!scene.host.exists("config.json"))
        #expect(scene.host.text("stays.json") == "new")
        #expect(scene.notes.kinds.contains(.removed))
    }

    @Test func removalDoesNotTakeWhatOthersChanged() throws {
        let scene = try Scene()
        scene.finish()
        unlink(scene.inside.path + "/config.json")
        scene.host.file("config.json", "changed by another")
        scene.files.finish()
        #expect(scene.host.text("config.json") == "changed by another")
    }

    @Test func halfWrittenFilesWait() throws {
        let scene = try Scene()
        let descriptor = open(scene.inside.path + "/config.json", O_WRONLY | O_TRUNC)
        _ = write(descriptor, "ha", 2)
        // Another one closes it meanwhile: that completes nothing.
        close(open(scene.inside.path + "/config.json", O_WRONLY))
        usleep(150_000)
        #expect(scene.host.text("config.json") == "old")
        _ = write(descriptor, "lf", 2)
        close(descriptor)
        #expect(scene.hostHas("config.json", "half"))
        // Emptied and closed: the contents often follow.
        truncate(scene.inside.path + "/config.json", 0)
        close(open(scene.inside.path + "/config.json", O_WRONLY))
        usleep(150_000)
        #expect(scene.host.text("config.json") == "half")
        scene.finish()
        #expect(scene.host.text("config.json") == "")
    }

    @Test func symlinksAndOtherKindsAreNotFollowed() throws {
        let victim = TemporaryFolder()
        victim.file("secret", "token")
        let scene = try Scene(["config.json", ".config/file", "fifo"]) { inside, host in
            inside.file("config.json", "old")
            host.file("config.json", "old")
            host.folder(".config")
            inside.file(".config/file", "fine")
        }
        #expect(scene.host.text(".config/file") == nil)
        unlink(scene.inside.path + "/config.json")
        symlink(victim.path + "/secret", scene.inside.path + "/config.json")
        try FileManager.default.removeItem(atPath: scene.inside.path + "/.config")
        victim.file("file", "token")
        symlink(victim.path, scene.inside.path + "/.config")
        mkfifo(scene.inside.path + "/fifo", 0o600)
        usleep(150_000)
        scene.finish()
        #expect(scene.host.text("config.json") == "old")
        #expect(!scene.host.exists(".config/file"))
        #expect(!scene.host.exists("fifo"))
        #expect(scene.notes.kinds.filter { $0 == .notCarried("not a regular file inside") }.count == 2)
    }

    @Test func globs() throws {
        let scene = try Scene(["config.json"], globs: [".aider*"])
        scene.inside.file(".aider.history", "one")
        #expect(scene.hostHas(".aider.history", "one"))
        scene.inside.file(".aider.history", "two")
        #expect(scene.hostHas(".aider.history", "two"))
        // Names that come and go within moments leave nothing.
        for index in 0..<50 {
            scene.inside.file(".aider.tmp.\(index)", "x")
            unlink(scene.inside.path + "/.aider.tmp.\(index)")
        }
        scene.inside.file("other", "x")
        scene.inside.file(".aider.folder/deep/file", "in a folder")
        symlink("/etc/passwd", scene.inside.path + "/.aider.folder/link")
        scene.finish()
        #expect(scene.host.text(".aider.folder/deep/file") == "in a folder")
        #expect(!scene.host.exists(".aider.folder/link"))
        let names = scene.hostNames.filter { !$0.hasPrefix(".aider.tmp.") }
        #expect(names == [".aider.folder", ".aider.history", "config.json"])
        let status = try FileStatus(of: scene.host.path + "/.aider.folder/deep")
        #expect(status.user == 1234 && status.group == 1235)
    }

    @Test func limits() throws {
        var settings = HomeFiles.Settings()
        settings.liveLimit = 100
        settings.limit = 1000
        let scene = try Scene(["middle", "large"], settings: settings) { _, _ in }
        scene.inside.file("middle", String(repeating: "m", count: 500))
        scene.inside.file("large", String(repeating: "l", count: 5000))
        usleep(100_000)
        #expect(scene.hostNames.isEmpty)
        scene.finish()
        #expect(scene.hostNames == ["middle"])
        #expect(scene.notes.kinds.contains(.notCarried("larger than 1000 bytes")))
    }

    /// Two sandboxes and their agents save the same file again and again: every reader on the host finds a whole one,
    /// and in the end all three agree.
    @Test func twoAgentsAtOnce() throws {
        let host = TemporaryFolder()
        let aside = TemporaryFolder()
        func whole(_ text: String) -> Bool { text.count == 40_001 && Set(text).count <= 2 }
        func contents(_ letter: Character) -> String { String(repeating: letter, count: 40_000) + "\n" }
        host.file("config.json", contents("0"))
        let homes = [TemporaryFolder("/dev/shm"), TemporaryFolder("/dev/shm")]
        var all: [HomeFiles] = []
        var loops: [Loop] = []
        for (index, home) in homes.enumerated() {
            home.file("config.json", contents("0"))
            let files = try HomeFiles(
                home: .open(home.path, O_RDONLY | O_DIRECTORY),
                files: [
                    .init(names: [Array("config.json".utf8)], hostPath: host.path + "/config.json", user: 0, group: 0)
                ],
                patterns: [], keeper: Quarantine(path: aside.path + "/kept\(index)"), note: { _ in })
            all.append(files)
            loops.append(Loop([(files.descriptor, { files.handle() })]))
        }
        var torn = 0
        for round in 0..<60 {
            let home = homes[round % 2]
            if round % 3 == 0 {
                home.file("config.json", contents(Character("\(round % 10)")))
            } else {
                home.file("neighbour", contents(Character("\(round % 10)")))
                rename(home.path + "/neighbour", home.path + "/config.json")
            }
            for _ in 0..<10 {
                if let text = host.text("config.json"), !whole(text) { torn += 1 }
                usleep(700)
            }
        }
        #expect(torn == 0)
        #expect(
            eventually {
                let text = host.text("config.json")
                return homes.allSatisfy { $0.text("config.json") == text } && text.map(whole) == true
            })
        for loop in loops { loop.stop() }
        for files in all { files.finish() }
        #expect(host.text("config.json").map(whole) == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: host.path) == ["config.json"])
    }
}
