import Enforce
import Foundation
import LinuxSystem
import Testing

@Suite(.serialized) struct NameWatcherTests {
    final class Scene {
        let folder: TemporaryFolder
        let aside: TemporaryFolder
        let reports = Reports()
        let watcher: NameWatcher
        private let loop: Loop
        private var isStopped = false
        var root: String { folder.path + "/root" }

        /// - Parameter aside: where the session's folder is made; another file system than /tmp's for EXDEV.
        init(_ names: [String], aside: String = "/tmp", prepare: (TemporaryFolder) -> Void = { _ in }) throws {
            folder = TemporaryFolder()
            self.aside = TemporaryFolder(aside)
            folder.folder("root")
            prepare(folder)
            let root = folder.path + "/root"
            let paths = names.map { name in
                NameWatcher.ProtectedPath(
                    root: root, names: name.utf8.split(separator: UInt8(ascii: "/")).map(Array.init),
                    rule: RuleReference(text: "protect \(name)"))
            }
            watcher = try NameWatcher(
                paths, quarantine: Quarantine(path: self.aside.path + "/aside"), gate: ViolationGate(reports, window: 0)
            )
            let watcher = self.watcher
            loop = Loop([(watcher.descriptor, { watcher.handle() })])
        }

        func stop() {
            if !isStopped { loop.stop() }
            isStopped = true
        }

        deinit { stop() }

        func gone(_ name: String) -> Bool { eventually { !self.folder.exists("root/" + name) } }

        var keptNames: [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: aside.path + "/aside")) ?? []).sorted()
        }
    }

    @Test(arguments: ["/tmp", "/dev/shm"]) func filesAreMovedAside(_ aside: String) throws {
        let scene = try Scene([".mcp.json"], aside: aside)
        scene.folder.file("root/.mcp.json", "evil")
        scene.folder.file("root/other.json", "fine")
        #expect(scene.gone(".mcp.json"))
        #expect(eventually { scene.reports.violations.count == 1 })
        let violation = try #require(scene.reports.violations.first)
        #expect(violation.operation == "create")
        #expect(violation.layer == .watch)
        #expect(violation.object == Array("\(scene.root)/.mcp.json".utf8))
        #expect(violation.rule.text == "protect .mcp.json")
        #expect(scene.keptNames == ["1-.mcp.json"])
        // Other file systems: written while it is copied away, so only its name is certain.
        if aside == "/tmp" { #expect(scene.aside.text("aside/1-.mcp.json") == "evil") }
        #expect(scene.folder.text("root/other.json") == "fine")
    }

    @Test(arguments: ["/tmp", "/dev/shm"]) func foldersOnTheWayStay(_ aside: String) throws {
        let scene = try Scene([".claude/commands", ".claude/agents"], aside: aside)
        scene.folder.file("root/.claude/settings.json")
        scene.folder.file("root/.claude/commands/deep/er/evil.md", "evil")
        #expect(scene.gone(".claude/commands"))
        scene.folder.folder("root/.claude/agents")
        #expect(scene.gone(".claude/agents"))
        #expect(scene.folder.exists("root/.claude/settings.json"))
        scene.stop()
        #expect(scene.watcher.sweep().isEmpty)
    }

    @Test func foldersMovedIntoPlace() throws {
        let scene = try Scene(["a/b/c"])
        scene.folder.file("root/x/b/c/evil")
        scene.folder.file("root/x/fine")
        rename(scene.root + "/x", scene.root + "/a")
        #expect(scene.gone("a/b/c"))
        #expect(scene.folder.exists("root/a/fine"))
        // Away and back: watched again under the same name.
        rename(scene.root + "/a", scene.root + "/y")
        scene.folder.file("root/y/b/c", "again")
        rename(scene.root + "/y", scene.root + "/a")
        #expect(scene.gone("a/b/c"))
    }

    @Test func symlinksAreNotFollowed() throws {
        let outside = TemporaryFolder()
        outside.file("keep/hooks/file", "precious")
        let scene = try Scene([".husky", "way/hooks"])
        symlink(outside.path, scene.root + "/.husky")
        #expect(scene.gone(".husky"))
        // The protected name would exist behind it.
        symlink(outside.path + "/keep", scene.root + "/way")
        #expect(scene.gone("way"))
        #expect(outside.text("keep/hooks/file") == "precious")
        #expect(scene.keptNames == ["1-.husky", "2-way"])
        scene.folder.folder("root/way/lawful")
        usleep(50_000)
        #expect(scene.folder.exists("root/way/lawful"))
    }

    @Test func namesAreBytes() throws {
        let scene = try Scene([])
        let watcher = try NameWatcher(
            [.init(root: scene.root, names: [[0xff, 0x2e]], rule: RuleReference(text: "protect bytes"))],
            quarantine: Quarantine(path: scene.aside.path + "/bytes"), gate: ViolationGate(scene.reports))
        let path = Array((scene.root + "/").utf8) + [0xff, 0x2e]
        let made = (path + [0]).withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { mkdir($0.baseAddress!, 0o755) }
        }
        #expect(made == 0)
        watcher.handle()
        #expect(watcher.taken == 1)
        #expect(scene.reports.violations.first?.object == path)
    }

    @Test func sweepFindsWhatNoWatchTold() throws {
        let scene = try Scene(["p/q", "r"])
        scene.stop()
        scene.folder.file("root/p/q/evil")
        scene.folder.file("root/r")
        scene.folder.file("root/s")
        #expect(scene.watcher.sweep().isEmpty)
        #expect(!scene.folder.exists("root/p/q") && !scene.folder.exists("root/r"))
        #expect(scene.folder.exists("root/p") && scene.folder.exists("root/s"))
        #expect(scene.reports.violations.count == 2)
    }

    /// Somebody who makes, swaps and removes as fast as it goes.
    @Test(arguments: ["/tmp", "/dev/shm"]) func races(_ aside: String) throws {
        let outside = TemporaryFolder()
        outside.file("victim/b/file", "precious")
        let scene = try Scene(["a/b"], aside: aside)
        let root = scene.root
        let script = """
            import os, shutil
            root, outside = "\(root)", "\(outside.path)/victim"
            os.chdir(root)
            def tried(call, *words):
                try: call(*words)
                except OSError: pass
            for i in range(400):
                tried(os.makedirs, "a/b/c")
                tried(os.rename, "a", "x%d" % (i % 3))
                tried(os.symlink, outside, "a")
                tried(os.unlink, "a")
                tried(os.makedirs, "x%d/b" % (i % 3))
                tried(os.rename, "x%d" % (i % 3), "a")
                tried(shutil.rmtree, "x%d" % ((i + 1) % 3))
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-c", script]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        scene.stop()
        #expect(scene.watcher.sweep().isEmpty)
        #expect(!scene.folder.exists("root/a/b"))
        #expect(outside.text("victim/b/file") == "precious")
        #expect(scene.watcher.taken > 0)
        #expect(scene.reports.lost.isEmpty, "\(scene.reports.lost)")
    }

    @Test func whatIsTooMuchIsRemovedAllTheSame() throws {
        let folder = TemporaryFolder()
        folder.folder("root")
        var limits = Quarantine.Limits()
        limits.bytes = 1000
        limits.entries = 20
        let aside = TemporaryFolder("/dev/shm")
        let reports = Reports()
        let watcher = try NameWatcher(
            [
                .init(
                    root: folder.path + "/root", names: [Array("evil".utf8)], rule: RuleReference(text: "protect evil"))
            ],
            quarantine: Quarantine(path: aside.path + "/aside", limits: limits), gate: ViolationGate(reports))
        for index in 0..<50 { folder.file("root/evil/f\(index)", String(repeating: "x", count: 100)) }
        var deep = folder.path + "/root/evil"
        for _ in 0..<120 {
            deep += "/d"
            mkdir(deep, 0o755)
        }
        #expect(watcher.sweep().isEmpty)
        #expect(!folder.exists("root/evil"))
        #expect(reports.lost.isEmpty)
    }
}
