import Enforce
import Foundation
import LinuxSystem
import Profile
import Testing

/// Needs root and permission events: on a machine without, these fail, for a skipped test proves nothing.
@Suite(.serialized) struct FanotifyArbiterTests {
    /// A sandbox with one writable and one read-only folder, `/usr`, and rules over them.
    final class Scene {
        let folder = TemporaryFolder()
        let work: String
        let fixed: String
        let reports = Reports()
        let arbiter: FanotifyArbiter
        let python: SandboxedPython
        private let gate: ViolationGate
        let loop: Loop

        init(
            _ extra: (_ work: String) -> [PathRule] = { _ in [] }, unknown: Profile.Enforcement.Unknown = .deny,
            denied: [String] = [], prepare: (TemporaryFolder) -> Void = { _ in }, marked: Bool = true
        ) throws {
            let folder = self.folder
            work = folder.folder("work")
            fixed = folder.folder("fixed")
            prepare(folder)
            let rules =
                [rule(.write, work), rule(.read, fixed), rule(.read, "/usr"), rule(.execute, "/usr")] + extra(work)
            let decider = ProfileDecider(
                RuleSet(rules), unknown: unknown,
                mounts: [
                    .init(target: work, isSettled: false), .init(target: fixed, isSettled: true),
                    .init(target: "/usr", isSettled: true),
                ])
            gate = ViolationGate(reports, window: 0)
            let group = try FanotifyGroup()
            var objects = DeniedObjects()
            for (index, rule) in rules.enumerated() where rule.access == .deny && denied.contains(rule.text) {
                objects[try identity(of: rule.text)] = Int32(index)
            }
            arbiter = try FanotifyArbiter(group: group, decider: decider, deniedObjects: objects, gate: gate)
            python = try SandboxedPython(
                base: folder.path + "/root",
                mounts: [.init(path: work), .init(path: fixed, readOnly: true), .init(path: "/usr", readOnly: true)])
            if marked {
                for mount in [work, fixed, "/usr"] { try group.mark(mountAt: "/proc/\(python.pid)/root\(mount)") }
            }
            let arbiter = self.arbiter
            loop = Loop([(arbiter.descriptor, { arbiter.handle() })])
        }

        deinit { loop.stop() }
    }

    /// Each access, with what it is for; no place is settled meanwhile, or the second look would not be told.
    @Test func whatIsAllowedIsToldWhereThatIsWanted() throws {
        let scene = try Scene(prepare: {
            $0.file("work/open", "fine")
            $0.file("fixed/system", "fine")
        })
        let (work, fixed) = (scene.work, scene.fixed)
        #expect(scene.python.run("read('\(fixed)/system')") == "fine")
        #expect(scene.reports.allowed == [])
        scene.arbiter.tellsAllowed = true
        for _ in 0..<2 { #expect(scene.python.run("read('\(work)/open')") == "fine") }
        #expect(scene.python.run("write('\(work)/open')") == "None")
        #expect(
            eventually {
                scene.reports.allowed.filter { $0.hasSuffix("/open") }
                    == ["open \(work)/open", "open \(work)/open", "write \(work)/open"]
            }, "\(scene.reports.allowed)")
        #expect(scene.reports.violations == [])
    }

    @Test func pathsDecide() throws {
        let scene = try Scene(
            { [rule(.deny, $0 + "/secret")] },
            prepare: {
                $0.file("work/secret/key", "token")
                $0.file("work/open", "fine")
            })
        let work = scene.work
        #expect(scene.python.run("read('\(work)/open')") == "fine")
        #expect(scene.python.run("read('\(work)/secret/key')") == "EPERM")
        #expect(scene.python.run("os.listdir('\(work)/secret')") == "EPERM")
        #expect(scene.python.run("write('\(work)/secret/new')") == "EPERM")
        #expect(scene.python.run("write('\(work)/new')") == "None")
        let violation = try scene.reports.first("\(work)/secret/key")
        #expect(violation.operation == "open")
        #expect(violation.layer == .fanotify)
        #expect(violation.rule.text == "deny \"\(work)/secret\"")
        #expect(violation.rule.origin == "test.toml:1")
        #expect(violation.pid == scene.python.pid)
        #expect(violation.program == Array("python3".utf8))
        #expect(scene.reports.about("\(work)/open").isEmpty)
    }

    @Test func withoutMarksNothingIsRefused() throws {
        // The control: what refuses is the arbiter, and nothing else in this scene.
        let scene = try Scene(
            { [rule(.deny, $0 + "/secret")] }, prepare: { $0.file("work/secret/key", "token") }, marked: false)
        #expect(scene.python.run("read('\(scene.work)/secret/key')") == "token")
    }

    @Test func patternsHoldForFilesMadeLater() throws {
        let scene = try Scene { _ in [rule(.deny, "**/.env"), rule(.deny, "**/keys/*.pem")] }
        let work = scene.work
        #expect(scene.python.run("write('\(work)/.env')") == "EPERM")
        #expect(scene.python.run("os.makedirs('\(work)/a/keys')") == "None")
        #expect(scene.python.run("write('\(work)/a/keys/x.pem')") == "EPERM")
        #expect(scene.python.run("write('\(work)/a/keys/x.pub')") == "None")
        #expect(scene.python.run("write('\(work)/.environment')") == "None")
        // Created by the open that was refused; empty, and not to be read.
        #expect(scene.python.run("read('\(work)/.env')") == "EPERM")
    }

    @Test func otherSpellingsMeanTheSameObject() throws {
        let scene = try Scene(
            { _ in [rule(.deny, "**/.env")] },
            prepare: {
                $0.file("work/.env", "token")
                $0.folder("work/deep/er")
            })
        let work = scene.work
        scene.python.run("os.symlink('.env', '\(work)/link')")
        scene.python.run("os.symlink('\(work)', '\(work)/deep/up')")
        for spelling in [
            "\(work)/link", "\(work)/deep/up/.env", "\(work)//deep/../.env", "/proc/self/root\(work)/.env",
            "\(work)/deep/er/../../link",
        ] {
            #expect(scene.python.run("read('\(spelling)')") == "EPERM", "\(spelling)")
        }
        #expect(scene.python.run("read('/proc/self/fd/%d' % os.open('\(work)/.env', os.O_PATH))") == "EPERM")
        #expect(scene.python.run("write('\(work)/plain'); result = read('/proc/self/root\(work)/plain')") == "new")
    }

    @Test func unlinkingDoesNotUncover() throws {
        let scene = try Scene({ _ in [rule(.deny, "**/.env")] }, prepare: { $0.file("work/.env", "token") })
        let work = scene.work
        let code = """
            fd = os.open('\(work)/.env', os.O_PATH)
            os.unlink('\(work)/.env')
            result = read('/proc/self/fd/%d' % fd)
            """
        #expect(scene.python.run(code) == "EPERM")
        #expect(eventually { !scene.reports.about("\(work)/.env (deleted)").isEmpty })
        // The same with an ordinary file, and a file really called like that.
        #expect(scene.python.run(code.replacingOccurrences(of: "/.env", with: "/plain")) == "ENOENT")
        scene.python.run("write('\(work)/plain')")
        #expect(scene.python.run(code.replacingOccurrences(of: "/.env", with: "/plain")) == "new")
        #expect(scene.python.run("write('\(work)/x (deleted)'); result = read('\(work)/x (deleted)')") == "new")
        #expect(scene.python.run("fd = os.open('\(work)', os.O_TMPFILE | os.O_RDWR); os.write(fd, b'x')") == "None")
    }

    @Test func hardLinksOfDeniedObjects() throws {
        let folder = TemporaryFolder()
        let key = folder.file("key", "token")
        let scene = try Scene(
            { _ in [rule(.deny, key)] }, denied: [key],
            prepare: { inner in
                link(key, inner.folder("work") + "/innocent")
                inner.file("work/other", "fine")
                link(inner.path + "/work/other", inner.path + "/work/another")
            })
        #expect(scene.python.run("read('\(scene.work)/innocent')") == "EPERM")
        #expect(scene.python.run("read('\(scene.work)/another')") == "fine")
        _ = eventually { !scene.reports.violations.isEmpty }
        #expect(scene.reports.violations.map(\.rule.text) == ["deny \"\(key)\""])
    }

    @Test func executionHasRulesOfItsOwn() throws {
        let scene = try Scene()
        let work = scene.work
        #expect(scene.python.run("spawn('/usr/bin/true')") == "0")
        scene.python.run("write('\(work)/tool', read('/usr/bin/true')); os.chmod('\(work)/tool', 0o755)")
        #expect(scene.python.run("spawn('\(work)/tool')") == "\(EPERM)")
        let violation = try scene.reports.first("\(work)/tool")
        #expect(violation.operation == "execute")
        // Reading it is allowed.
        #expect(scene.python.run("len(read('\(work)/tool')) > 1000") == "True")
    }

    @Test func executionWhereTheRulesAllowIt() throws {
        let scene = try Scene { [rule(.execute, $0)] }
        let work = scene.work
        scene.python.run("write('\(work)/tool', read('/usr/bin/true')); os.chmod('\(work)/tool', 0o755)")
        #expect(scene.python.run("spawn('\(work)/tool')") == "0")
    }

    @Test func protectedPatternsAreReadAndNotWritten() throws {
        let scene = try Scene({ _ in [rule(.protect, "**/.envrc")] }, prepare: { $0.file("work/.envrc", "use nix") })
        let work = scene.work
        #expect(scene.python.run("read('\(work)/.envrc')") == "use nix")
        for flags in ["O_WRONLY", "O_RDWR", "O_RDONLY | os.O_TRUNC", "O_WRONLY | os.O_APPEND | os.O_CREAT"] {
            #expect(scene.python.run("os.open('\(work)/.envrc', os.\(flags))") == "EPERM", "\(flags)")
        }
        #expect(scene.folder.text("work/.envrc") == "use nix")
        #expect(scene.python.run("os.mkdir('\(work)/sub'); write('\(work)/sub/.envrc')") == "EPERM")
        // openat2 keeps its flags in memory: nobody can tell, so it is refused even for reading.
        let openat2 = """
            how = (ctypes.c_uint64 * 3)(0, 0, 0)
            check(min(0, libc.syscall(437, -100, b'\(work)/%s', ctypes.byref(how), 24)))
            """
        #expect(scene.python.run(openat2.replacingOccurrences(of: "%s", with: ".envrc")) == "EPERM")
        scene.python.run("write('\(work)/plain')")
        #expect(scene.python.run(openat2.replacingOccurrences(of: "%s", with: "plain")) == "None")
        #expect(eventually { scene.reports.about("\(work)/.envrc").contains { $0.operation == "write" } })
    }

    @Test func whatCannotBeToldIsDenied() throws {
        let scene = try Scene()
        let deep = """
            os.chdir('\(scene.work)')
            for i in range(20):
                os.mkdir('d' * 250)
                os.chdir('d' * 250)
            os.close(os.open('file', os.O_CREAT | os.O_RDWR))
            """
        #expect(scene.python.run(deep) == "EPERM")
        #expect(
            eventually { scene.reports.violations.last?.rule.text == "denied because its path cannot be told" })
        #expect(scene.python.run("os.chdir('\(scene.work)'); write('file'); result = read('file')") == "new")
        scene.python.run(
            """
            os.chdir('\(scene.work)')
            for i in range(20):
                os.chdir('d' * 250)
            try: os.unlink('file')
            except OSError: pass
            for i in range(20):
                os.chdir('..')
                os.rmdir('d' * 250)
            """)
    }

    @Test func unknownPlaces() throws {
        let outside = TemporaryFolder()
        outside.file("file", "text")
        for unknown in Profile.Enforcement.Unknown.allCases {
            let rules: (String) -> [PathRule] = { _ in [] }
            let reports = Reports()
            let decider = ProfileDecider(RuleSet(rules("")), unknown: unknown, mounts: [])
            let group = try FanotifyGroup()
            let arbiter = try FanotifyArbiter(
                group: group, decider: decider, deniedObjects: DeniedObjects(), gate: ViolationGate(reports))
            let base = TemporaryFolder()
            let python = try SandboxedPython(base: base.path + "/root", mounts: [.init(path: outside.path)])
            try group.mark(mountAt: "/proc/\(python.pid)/root\(outside.path)")
            let loop = Loop([(arbiter.descriptor, { arbiter.handle() })])
            let answer = python.run("read('\(outside.path)/file')")
            loop.stop()
            #expect(answer == (unknown == .trace ? "text" : "EPERM"))
            #expect(reports.traced == (unknown == .trace ? ["open \(outside.path)/file"] : []))
            #expect(arbiter.counts.trace == (unknown == .trace ? 1 : 0))
        }
    }

    @Test func settledObjectsAreNotAskedAboutAgain() throws {
        let scene = try Scene(
            prepare: {
                $0.file("fixed/one", "1")
                $0.file("fixed/linked", "2")
                $0.file("fixed/sub/below", "3")
                link($0.path + "/fixed/linked", $0.path + "/fixed/again")
                $0.file("work/file", "4")
            })
        func asked(_ code: String) -> UInt64 {
            // Counting and settling come after the answer.
            scene.python.run(code)
            scene.loop.finishTurn()
            let before = scene.arbiter.counts.allow
            scene.python.run("[\(code) for i in range(10)]")
            scene.loop.finishTurn()
            return scene.arbiter.counts.allow - before
        }
        #expect(asked("read('\(scene.fixed)/one')") == 0)
        #expect(asked("os.listdir('\(scene.fixed)/sub')") == 0)
        // The folder's mark is not about what lies in it: that is asked about once of its own.
        #expect(asked("read('\(scene.fixed)/sub/below')") == 0)
        #expect(asked("read('\(scene.fixed)/linked')") == 10)
        #expect(asked("read('\(scene.work)/file')") == 10)
        #expect(scene.arbiter.settled >= 3)
        // A change from outside makes it a new question.
        let before = scene.arbiter.counts.allow
        scene.folder.file("fixed/one", "changed")
        #expect(scene.python.run("read('\(scene.fixed)/one')") == "changed")
        #expect(eventually { scene.arbiter.counts.allow == before + 1 })
    }

    @Test func whatIsSettledBeforehandIsDecidedAsWhenAsked() throws {
        let scene = try Scene(
            { [rule(.execute, $0.replacingOccurrences(of: "/work", with: "/fixed")), rule(.deny, "**/.env")] },
            prepare: {
                $0.file("fixed/one", "1")
                $0.file("fixed/.env", "token")
                $0.file("fixed/linked", "2")
                link($0.path + "/fixed/linked", $0.path + "/fixed/again")
                $0.file("work/file", "3")
                mkfifo($0.path + "/fixed/pipe", 0o600)
            })
        // Whoever opened the pipe would wait for its other end.
        let names = ["fixed/one", "fixed/.env", "fixed/linked", "work/file", "fixed/absent", "fixed/pipe"]
        // Nobody asks meanwhile, so the loop's thread is not in the arbiter.
        func settleAll() {
            scene.arbiter.settle(beforehand: names.map { "\(scene.folder.path)/\($0)" })
        }
        func asked(_ name: String) -> (answer: String?, allowed: UInt64) {
            let before = scene.arbiter.counts.allow
            let answer = scene.python.run("read('\(scene.folder.path)/\(name)')")
            scene.loop.finishTurn()
            return (answer, scene.arbiter.counts.allow - before)
        }
        settleAll()
        #expect(asked("fixed/one") == ("1", 0))
        #expect(asked("fixed/.env").answer == "EPERM")
        #expect(asked("fixed/linked") == ("2", 1))
        #expect(asked("work/file") == ("3", 1))
        // Where each access is told none is settled.
        scene.folder.file("fixed/one", "changed")
        scene.arbiter.tellsAllowed = true
        settleAll()
        #expect(asked("fixed/one") == ("changed", 1))
    }

    /// The kernel asks twice about a program: as about an execution, and then as about any open.
    @Test func anExecutionSettlesItsOpen() throws {
        let scene = try Scene(
            { [rule(.execute, $0.replacingOccurrences(of: "/work", with: "/fixed"))] },
            prepare: {
                for name in ["first", "second", "linked"] {
                    _ = try? FileManager.default.copyItem(atPath: "/usr/bin/true", toPath: "\($0.path)/fixed/\(name)")
                }
                link($0.path + "/fixed/linked", $0.path + "/fixed/again")
            })
        func asked(_ name: String) -> UInt64 {
            let before = scene.arbiter.counts.allow
            let path = "\(scene.fixed)/\(name)"
            #expect(scene.python.run("os.waitpid(os.posix_spawn('\(path)', ['true'], {}), 0)[1]") == "0")
            scene.loop.finishTurn()
            return scene.arbiter.counts.allow - before
        }
        // What every program opens is settled by the first, but for libraries that have two names here.
        _ = asked("first")
        let first = asked("second")
        let libraries = asked("second")
        #expect(first == libraries + 1)
        // A file with two names may have another place.
        #expect(asked("linked") == libraries + 2)
        #expect(asked("linked") == libraries + 2)
    }

    @Test func deniedObjectsOnSettledMountsStayDenied() throws {
        let scene = try Scene({ _ in [rule(.deny, "**/.env")] }, prepare: { $0.file("fixed/sub/.env", "token") })
        for _ in 0..<3 {
            #expect(scene.python.run("len(os.listdir('\(scene.fixed)/sub'))") == "1")
            #expect(scene.python.run("read('\(scene.fixed)/sub/.env')") == "EPERM")
        }
    }

    @Test func symlinkFlips() throws {
        let scene = try Scene(
            { [rule(.deny, $0 + "/secret")] },
            prepare: {
                $0.file("work/secret/key", "token")
                $0.file("work/bait", "fine")
            })
        let work = scene.work
        let code = """
            seen = {'token': 0, 'fine': 0, 'refused': 0}
            over = False
            def flip():
                n = 0
                while not over:
                    n += 1
                    os.symlink('\(work)/secret/key' if n % 2 else '\(work)/bait', '\(work)/t')
                    os.rename('\(work)/t', '\(work)/link')
            os.symlink('\(work)/bait', '\(work)/link')
            thread = threading.Thread(target=flip)
            thread.start()
            for i in range(3000):
                try: seen[read('\(work)/link')] += 1
                except OSError: seen['refused'] += 1
            over = True
            thread.join()
            result = '%d %s %s' % (seen['token'], seen['fine'] > 0, seen['refused'] > 0)
            """
        #expect(scene.python.run(code) == "0 True True")
    }

    @Test func floodsDoNotStarveAndNothingIsLost() throws {
        let scene = try Scene({ _ in [rule(.deny, "**/.env")] }, prepare: { $0.file("work/.env", "token") })
        let code = """
            def flood():
                for i in range(2000):
                    try: read('\(scene.work)/.env'); wrong.append(1)
                    except PermissionError: pass
            wrong = []
            threads = [threading.Thread(target=flood) for i in range(4)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            result = len(wrong)
            """
        #expect(scene.python.run(code) == "0")
        #expect(eventually { scene.arbiter.counts.deny == 8000 })
        #expect(scene.reports.lost.isEmpty)
    }
}
