import Enforce
import Foundation
import LinuxSystem
import Profile
import Testing

@Suite(.serialized) struct NamePatternWatcherTests {
    final class Scene {
        let folder = TemporaryFolder()
        let work: String
        let reports = Reports()
        let arbiter: FanotifyArbiter
        let watcher: NamePatternWatcher
        let python: SandboxedPython
        private let loop: Loop

        init(
            deny: [String] = [], protect: [String] = [], watches: Bool = true, ownPids: Bool = true,
            prepare: (TemporaryFolder) -> Void = { _ in }
        ) throws {
            work = folder.folder("work")
            prepare(folder)
            let rules =
                [rule(.write, work), rule(.read, "/usr")] + deny.map { rule(.deny, "**/" + $0) }
                + protect.map { rule(.protect, "**/" + $0) }
            let decider = ProfileDecider(RuleSet(rules), unknown: .deny, mounts: [])
            let gate = ViolationGate(reports, window: 0)
            let group = try FanotifyGroup()
            let texts = deny.map { ($0, NamePattern.Access.deny) } + protect.map { ($0, .protect) }
            watcher = try NamePatternWatcher(
                roots: [.init(hostPath: work, insidePath: work)],
                patterns: texts.enumerated().map { index, pattern in
                    NamePattern(
                        names: pattern.0.split(separator: "/").map(String.init), access: pattern.1,
                        rule: Int32(2 + index))
                }, decider: decider, quarantine: Quarantine(path: folder.path + "/aside"), gate: gate)
            arbiter = try FanotifyArbiter(
                group: group, decider: decider, deniedObjects: DeniedObjects(), gate: gate,
                names: watches ? watcher : nil)
            python = try SandboxedPython(
                base: folder.path + "/root",
                mounts: [.init(path: work), .init(path: "/usr", readOnly: true)], ownPids: ownPids)
            try group.mark(mountAt: "/proc/\(python.pid)/root\(work)")
            let (arbiter, watcher) = (self.arbiter, self.watcher)
            loop = Loop([(arbiter.descriptor, { arbiter.handle() }), (watcher.descriptor, { watcher.handle() })])
        }

        deinit { loop.stop() }

        func stop() { loop.stop() }
    }

    @Test func fileSystemsThatTellNames() throws {
        let scene = try Scene(deny: [".env"])
        #expect(scene.watcher.unwatched.isEmpty)
        let memory = TemporaryFolder("/dev/shm")
        let other = try NamePatternWatcher(
            roots: [
                .init(hostPath: memory.path, insidePath: memory.path), .init(hostPath: "/proc", insidePath: "/proc"),
            ],
            patterns: [NamePattern(names: [".env"], access: .deny, rule: 0)],
            decider: ProfileDecider(RuleSet([]), unknown: .deny, mounts: []),
            quarantine: Quarantine(path: memory.path + "/aside"), gate: ViolationGate(Reports()))
        #expect(other.unwatched == [.init(hostPath: "/proc", insidePath: "/proc")])
    }

    @Test func renamedAwayStaysDenied() throws {
        let scene = try Scene(deny: [".env"]) {
            $0.file("work/.env", "token")
            $0.file("work/plain", "fine")
            $0.folder("work/sub")
        }
        let work = scene.work
        scene.python.run("os.rename('\(work)/.env', '\(work)/x')")
        #expect(scene.python.run("read('\(work)/x')") == "EPERM")
        scene.python.run("os.rename('\(work)/x', '\(work)/sub/y')")
        #expect(scene.python.run("read('\(work)/sub/y')") == "EPERM")
        scene.python.run("os.link('\(work)/sub/y', '\(work)/z')")
        #expect(scene.python.run("read('\(work)/z')") == "EPERM")
        #expect(try scene.reports.first("\(work)/z").rule.text == "deny \"**/.env\"")
        // Others are as free as before, in whatever direction they are renamed.
        scene.python.run("os.rename('\(work)/plain', '\(work)/sub/plain')")
        #expect(scene.python.run("read('\(work)/sub/plain')") == "fine")
        scene.python.run("write('\(work)/draft'); os.rename('\(work)/draft', '\(work)/.env')")
        #expect(scene.python.run("read('\(work)/.env')") == "EPERM")
    }

    @Test func withoutTheWatcherARenameUncovers() throws {
        // The control: it is the watcher that holds the pattern against a rename.
        let scene = try Scene(deny: [".env"], watches: false) { $0.file("work/.env", "token") }
        scene.python.run("os.rename('\(scene.work)/.env', '\(scene.work)/x')")
        #expect(scene.python.run("read('\(scene.work)/x')") == "token")
    }

    @Test func renamedFoldersTakeTheirContentsAlong() throws {
        let scene = try Scene(deny: ["secrets", "keys/*.pem"]) {
            $0.file("work/secrets/deep/key", "token")
            $0.file("work/keys/a.pem", "token")
            $0.file("work/keys/a.pub", "fine")
        }
        let work = scene.work
        scene.python.run("os.rename('\(work)/secrets', '\(work)/open')")
        #expect(scene.python.run("read('\(work)/open/deep/key')") == "EPERM")
        #expect(scene.python.run("os.listdir('\(work)/open')") == "EPERM")
        scene.python.run("os.rename('\(work)/open/deep/key', '\(work)/out')")
        #expect(scene.python.run("read('\(work)/out')") == "EPERM")
        // Whatever leaves it, also what nobody had seen in it.
        scene.folder.file("work/open/deep/late", "token")
        scene.python.run("os.rename('\(work)/open/deep/late', '\(work)/late')")
        #expect(scene.python.run("read('\(work)/late')") == "EPERM")
        scene.python.run("os.rename('\(work)/keys', '\(work)/locks')")
        #expect(scene.python.run("read('\(work)/locks/a.pem')") == "EPERM")
        #expect(scene.python.run("read('\(work)/locks/a.pub')") == "fine")
        scene.python.run("os.rename('\(work)/locks/a.pub', '\(work)/b.pem')")
        #expect(scene.python.run("read('\(work)/b.pem')") == "fine")
    }

    /// Renames and opens from two threads: the open must not win once.
    @Test(arguments: [false, true]) func renamesCannotBeOutrun(_ folders: Bool) throws {
        let scene = try Scene(deny: [".env"])
        let code = """
            os.chdir('\(scene.work)')
            over, seen, tried, renamed = False, 0, 0, 0
            fresh = 0
            def reader():
                global seen, tried
                while not over:
                    try:
                        fd = os.open('x/key' if \(folders ? "True" : "False") else 'x', os.O_RDONLY)
                        tried += 1
                        if os.read(fd, 10) == b'token': seen += 1
                        os.close(fd)
                    except FileNotFoundError: pass
                    except PermissionError: tried += 1
                    except OSError: pass
            threads = [threading.Thread(target=reader) for i in range(2)]
            """
        #expect(scene.python.run(code) == "None")
        // The token is put there from outside, again and again, each time in a new object.
        let rounds = 300
        scene.python.run("[t.start() for t in threads]")
        for round in 0..<rounds {
            if folders {
                scene.folder.file("stage\(round)/key", "token")
                rename("\(scene.folder.path)/stage\(round)", "\(scene.work)/.env")
            } else {
                scene.folder.file("stage\(round)", "token")
                rename("\(scene.folder.path)/stage\(round)", "\(scene.work)/.env")
            }
            scene.python.run("os.rename('.env', 'x')")
            usleep(200)
            scene.python.run("os.rename('x', 'old\(round)')")
        }
        scene.python.run("over = True; [t.join() for t in threads]")
        #expect(scene.python.run("seen") == "0")
        #expect(Int(scene.python.run("tried")) ?? 0 > rounds / 2)
        #expect(scene.reports.lost.isEmpty)
    }

    @Test func protectedNamesAreTakenAway() throws {
        let scene = try Scene(protect: [".husky", ".git/hooks"])
        let work = scene.work
        scene.python.run("os.makedirs('\(work)/a/b'); os.mkdir('\(work)/a/b/.husky')")
        #expect(eventually { !scene.folder.exists("work/a/b/.husky") })
        #expect(try scene.reports.first("\(work)/a/b/.husky").layer == .watch)
        scene.python.run("os.makedirs('\(work)/.git/hooks')")
        #expect(eventually { !scene.folder.exists("work/.git/hooks") })
        scene.python.run("os.mkdir('\(work)/hooks'); write('\(work)/hooks/x')")
        scene.python.run("write('\(work)/draft'); os.rename('\(work)/draft', '\(work)/.husky')")
        #expect(eventually { !scene.folder.exists("work/.husky") })
        #expect(scene.folder.exists("work/hooks/x") && scene.folder.exists("work/.git"))
        #expect(eventually { scene.reports.violations.count == 3 })
    }

    @Test func protectedNamesAreMovedBack() throws {
        let scene = try Scene(protect: [".envrc"]) { $0.file("work/.envrc", "use nix") }
        let work = scene.work
        scene.python.run("os.rename('\(work)/.envrc', '\(work)/gone')")
        #expect(eventually { scene.folder.text("work/.envrc") == "use nix" })
        #expect(!scene.folder.exists("work/gone"))
        #expect(try scene.reports.first("\(work)/.envrc").operation == "rename")
    }

    @Test func whatTheUserDoesOutsideIsHisOwn() throws {
        let scene = try Scene(protect: [".husky"])
        scene.folder.folder("work/.husky")
        scene.folder.folder("elsewhere/.husky")
        scene.python.run("os.mkdir('\(scene.work)/done')")
        usleep(100_000)
        #expect(scene.folder.exists("work/.husky") && scene.folder.exists("elsewhere/.husky"))
        #expect(scene.reports.violations.isEmpty)
    }

    /// The kernel tells of renames on the whole file system: others' must not be followed, nor use up descriptors.
    @Test func renamesElsewhereAreNotFollowed() throws {
        let scene = try Scene(deny: [".env", "secrets"]) {
            $0.file("elsewhere/.env", "another project's")
            $0.file("elsewhere/secrets/key", "another project's")
            $0.file("work/.env", "token")
        }
        let (elsewhere, work) = (scene.folder.path + "/elsewhere", scene.work)
        #expect(rename(elsewhere + "/.env", elsewhere + "/plain") == 0)
        #expect(rename(elsewhere + "/secrets", elsewhere + "/open") == 0)
        // Shown to the sandbox by somebody outside, under a name that no pattern speaks of.
        #expect(link(elsewhere + "/plain", work + "/plain") == 0)
        #expect(scene.python.run("read('\(work)/plain')") == "another project's")
        #expect(scene.watcher.followed == 0)
        scene.python.run("os.rename('\(work)/.env', '\(work)/x')")
        #expect(scene.python.run("read('\(work)/x')") == "EPERM")
        #expect(scene.watcher.followed == 1)
    }
}
