import Enforce
import Foundation
import LinuxSystem
import Profile
import Testing

@Suite(.serialized) struct SystemCallObserverTests {
    /// Numbers of calls, by the names the tests use.
    static let numbers: [String: Int32] = {
        #if arch(x86_64)
            [
                "mount": 165, "open": 2, "openat": 257, "openat2": 437, "creat": 85, "mkdir": 83, "mkdirat": 258,
                "unlink": 87, "unlinkat": 263, "rename": 82, "renameat2": 316, "link": 86, "linkat": 265,
                "symlink": 88, "symlinkat": 266, "chmod": 90, "fchmodat": 268, "truncate": 76, "utimensat": 280,
                "setxattr": 188, "rmdir": 84, "socket": 41, "chown": 92, "fchownat": 260,
            ]
        #else
            [
                "mount": 40, "openat": 56, "openat2": 437, "mkdirat": 34, "unlinkat": 35, "renameat2": 276,
                "renameat": 38, "linkat": 37, "symlinkat": 36, "fchmodat": 53, "truncate": 45, "utimensat": 88,
                "setxattr": 5, "socket": 198, "fchownat": 54,
            ]
        #endif
    }()

    static let refused: Set<String> = ["mount", "socket"]

    final class Scene {
        let folder = TemporaryFolder()
        let work: String
        let fixed: String
        let reports = Reports()
        let observer: SystemCallObserver
        let python: SandboxedPython
        let gate: ViolationGate
        private let loop: Loop

        init(refusesGuarded: Bool = true, unannounced: Set<String> = [], window: UInt64 = 0) throws {
            work = folder.folder("work")
            fixed = folder.folder("fixed")
            folder.file("work/secret/key", "token")
            folder.file("work/.mcp.json", "{}")
            folder.file("work/file", "text")
            folder.file("fixed/file", "text")
            let decider = ProfileDecider(
                RuleSet([
                    rule(.write, work), rule(.read, fixed), rule(.deny, work + "/secret"),
                    rule(.protect, "**/.mcp.json"),
                ]), unknown: .deny, mounts: [])
            gate = ViolationGate(reports, window: window)
            python = try SandboxedPython(
                base: folder.path + "/root",
                mounts: [.init(path: work), .init(path: fixed, readOnly: true), .init(path: "/usr", readOnly: true)])
            // The filter comes first, so that nothing is asked while nobody answers; then the answer to the command.
            let numbers = SystemCallObserverTests.numbers
            let told = numbers.values.map(String.init).joined(separator: ", ")
            let python = self.python
            let answer = python.run("notify(\(told))")
            guard answer == "None" else { throw SandboxedPython.Failure(said: answer) }
            let names = Dictionary(uniqueKeysWithValues: numbers.map { ($1, $0) })
            observer = try SystemCallObserver(
                listener: python.receiveDescriptor(),
                calls: .init(
                    notice: { number in
                        guard let name = names[number], !unannounced.contains(name) else { return nil }
                        return SystemCallObserverTests.refused.contains(name) ? .refused(counts: true) : .observed
                    }, name: { names[$0] }), decider: { decider }, gate: gate)
            observer.refusesGuarded = refusesGuarded
            let observer = self.observer
            loop = Loop([(observer.descriptor, { observer.handle() })])
        }

        deinit { loop.stop() }
    }

    @Test func refusedCallsAreNamedWithTheirArguments() throws {
        let scene = try Scene()
        #expect(scene.python.run("mount('proc', '/mnt', 'proc', 0)") == "EPERM")
        let violation = try scene.reports.first("mount(\"proc\", \"/mnt\", \"proc\")")
        #expect(violation.operation == "mount")
        #expect(violation.layer == .seccomp)
        #expect(violation.countsTowardsLevel)
        #expect(violation.pid == scene.python.pid)
        #expect(violation.program == Array("python3".utf8))
        #expect(scene.python.run("socket.socket(38, 5)") == "EPERM")
        #expect(try scene.reports.first("socket(0x26, 0x80005, 0x0)").operation == "socket")
    }

    @Test func numbersNobodyAnnouncedAreRefused() throws {
        let scene = try Scene(unannounced: ["truncate"])
        #expect(scene.python.run("os.truncate('\(scene.work)/file', 0)") == "EPERM")
        #expect(scene.folder.text("work/file") == "text")
        #expect(scene.python.run("os.mkdir('\(scene.work)/made')") == "None")
    }

    @Test func lawfulChangesGoOn() throws {
        let scene = try Scene()
        let work = scene.work
        let code = """
            os.chdir('\(work)')
            write('a'); os.mkdir('d'); os.rename('a', 'd/b'); os.link('d/b', 'c'); os.symlink('c', 'l')
            os.chmod('c', 0o600); os.chown('c', 0, 0); os.utime('c'); os.truncate('c', 1); os.unlink('l')
            os.setxattr('c', 'user.x', b'1')
            fd = os.open('d', os.O_RDONLY)
            os.unlink('b', dir_fd=fd); os.mkdir('e', dir_fd=fd); os.close(fd); os.rmdir('d/e'); os.rmdir('d')
            result = read('c')
            """
        #expect(scene.python.run(code) == "n")
        #expect(scene.reports.violations.isEmpty)
        #expect(eventually { scene.observer.counts.allow >= 14 })
    }

    @Test func attemptsOnGuardedPlacesAreRefusedAndTold() throws {
        let scene = try Scene()
        let work = scene.work
        for (code, operation) in [
            ("write('\(work)/.mcp.json')", "create"),
            ("os.open('\(work)/.mcp.json', os.O_RDWR)", "write"),
            ("os.truncate('\(work)/.mcp.json', 0)", "write"),
            ("os.unlink('\(work)/.mcp.json')", "remove"),
            ("os.rename('\(work)/.mcp.json', '\(work)/x')", "rename"),
            ("os.rename('\(work)/file', '\(work)/.mcp.json')", "rename"),
            ("os.link('\(work)/.mcp.json', '\(work)/x')", "link"),
            ("os.chmod('\(work)/.mcp.json', 0)", "change the mode of"),
            ("os.utime('\(work)/.mcp.json')", "change the times of"),
            ("os.setxattr('\(work)/.mcp.json', 'user.x', b'1')", "change the attributes of"),
        ] {
            let before = scene.reports.violations.count
            #expect(scene.python.run(code) == "EACCES", "\(code)")
            #expect(eventually { scene.reports.violations.count == before + 1 }, "\(code)")
            let violation = try #require(scene.reports.violations.last)
            #expect(violation.operation == operation)
            #expect(violation.layer == .mount)
            #expect(violation.object == Array("\(work)/.mcp.json".utf8))
            #expect(violation.rule.text == "protect \"**/.mcp.json\"")
            #expect(violation.countsTowardsLevel)
            #expect(violation.objectExists == true)
        }
        #expect(scene.folder.text("work/.mcp.json") == "{}")
        // Reading is none of its business, and neither is what only looks alike.
        #expect(scene.python.run("read('\(work)/.mcp.json')") == "{}")
        #expect(scene.python.run("write('\(work)/.mcp.json.bak')") == "None")
    }

    @Test func placesAreFoundHoweverTheyAreCalled() throws {
        let scene = try Scene()
        let work = scene.work
        scene.python.run("os.mkdir('\(work)/sub'); fd = os.open('\(work)/sub', os.O_RDONLY); os.chdir('\(work)/sub')")
        for code in [
            "os.mkdir('../.mcp.json')", "os.mkdir('//\(work)/./sub/../.mcp.json/')",
            "os.mkdir('../.mcp.json', dir_fd=fd)", "os.symlink('/x', '../.mcp.json')",
        ] {
            #expect(scene.python.run(code) == "EACCES", "\(code)")
        }
        #expect(scene.python.run("os.mkdir('.mcp.json', dir_fd=fd)") == "EACCES")
        let violation = try scene.reports.first("\(work)/sub/.mcp.json")
        #expect(violation.objectExists == false)
        #expect(scene.python.run("os.mkdir('other', dir_fd=fd)") == "None")
    }

    @Test func readOnlyPlacesAreLeftToTheirMounts() throws {
        let scene = try Scene()
        #expect(scene.python.run("write('\(scene.fixed)/file')") == "EROFS")
        let violation = try scene.reports.first("\(scene.fixed)/file")
        #expect(violation.rule.text == "read \"\(scene.fixed)\"")
        #expect(!violation.countsTowardsLevel)
        #expect(scene.python.run("os.mkdir('\(scene.fixed)/new')") == "EROFS")
        #expect(try scene.reports.first("\(scene.fixed)/new").objectExists == false)
    }

    @Test func observationAloneRefusesNothing() throws {
        let scene = try Scene(refusesGuarded: false)
        #expect(scene.python.run("write('\(scene.work)/.mcp.json')") == "None")
        #expect(try scene.reports.first("\(scene.work)/.mcp.json").countsTowardsLevel)
    }

    @Test func badPointersAreTheKernelsBusiness() throws {
        let scene = try Scene()
        #expect(scene.python.run("check(libc.truncate(ctypes.c_void_p(8), 0))") == "EFAULT")
        #expect(scene.python.run("os.mkdir('x', dir_fd=99)") == "EBADF")
        #expect(scene.python.run("os.mkdir('\(scene.work)/' + 'x' * 5000)") == "ENAMETOOLONG")
        #expect(scene.reports.lost.isEmpty)
    }

    @Test func floodsAreAddedUp() throws {
        let scene = try Scene(window: 60_000_000_000)
        let code = """
            for i in range(500):
                try: os.unlink('\(scene.work)/.mcp.json')
                except OSError: pass
            """
        scene.python.run(code)
        #expect(eventually { scene.observer.counts.deny == 500 })
        #expect(scene.reports.violations.map(\.count) == [1])
        scene.gate.finish()
        #expect(scene.reports.violations.map(\.count) == [1, 499])
    }

    /// Callers that die in the middle must neither block the observer nor be answered for others.
    @Test func callersThatDieInTheMiddle() throws {
        let scene = try Scene()
        let code = """
            for i in range(200):
                pid = os.fork()
                if pid == 0:
                    while True:
                        try: os.unlink('\(scene.work)/.mcp.json')
                        except OSError: pass
                time.sleep(0.0005 * (i % 5))
                os.kill(pid, 9)
                os.waitpid(pid, 0)
            """
        #expect(scene.python.run(code) == "None")
        #expect(scene.folder.text("work/.mcp.json") == "{}")
        #expect(scene.reports.lost.isEmpty)
    }
}
