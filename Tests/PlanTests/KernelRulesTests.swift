import HostView
import Profile
import Testing

@testable import Plan

@Suite struct KernelRulesTests {
    private func world(_ change: (inout World) -> Void = { _ in }) -> World {
        var world = World()
        world.machine.tiers = [.bpf, .fanotify, .landlock]
        change(&world)
        return world
    }

    private func kernel(_ world: World) throws -> KernelRules { try #require(try world.plan().kernel) }

    @Test func onlyTierBpfHasThem() throws {
        #expect(try world().plan().tier == .bpf)
        #expect(try world { $0.machine.tiers = [.fanotify] }.plan().kernel == nil)
    }

    @Test func aPlaceHasTheRightsOfItsNearestRules() throws {
        let kernel = try kernel(
            world {
                $0.folder("/project/out", owner: 1000)
                $0.rule(.read, "/project/out")
            })
        func rights(_ path: String) -> KernelRules.Rights? { kernel.places.first { $0.path == path }?.rights }
        #expect(rights("/project") == [.read, .write, .execute])
        // Executing is a right of its own, and goes down.
        #expect(rights("/project/out") == [.read, .execute])
        #expect(rights("/usr") == [.read, .execute])
        #expect(rights("/") == [.read])
        #expect(rights("/home/ann") == [.read, .write])
        #expect(rights("/dev") == [.read, .write])
        #expect(Set(kernel.places.map(\.path)).count == kernel.places.count)
    }

    @Test func aDeniedFileIsDeniedAsAnObjectAndByItsName() throws {
        let kernel = try kernel(
            world {
                $0.file("/project/secret", owner: 1000)
                $0.rule(.deny, "/project/secret")
            })
        #expect(kernel.denied.map(\.path) == ["/project/secret"])
        #expect(kernel.places.first { $0.path == "/project/secret" }?.rights == [])
        let name = try #require(kernel.names.first)
        #expect(name.parts == ["secret"])
        #expect(name.folder == "/project")
        #expect(name.rights == [])
    }

    /// What was not there is denied by its name alone; where a denied symlink leads, by the object, too.
    @Test func onlyWhatWasLookedForInVainHasNoObject() throws {
        let kernel = try kernel(
            world {
                $0.host["/project/none"] = .absent
                $0.rule(.deny, "/project/none")
                $0.link("/project/shown", to: "/srv/secret")
                $0.rule(.deny, "/project/shown")
            })
        #expect(kernel.denied.map(\.path) == ["/project/shown", "/srv/secret"])
        #expect(kernel.names.map(\.parts).contains(["none"]))
    }

    @Test func aProtectedNameThatDoesNotExistIsTheKernels() throws {
        let plan = try world {
            $0.rule(.protect, "/project/.git/hooks")
        }.plan()
        let name = try #require(plan.kernel?.names.first)
        #expect(name.parts == [".git", "hooks"])
        #expect(name.folder == "/project")
        #expect(name.rights == [.read, .execute])
        // Nobody has to watch for it.
        #expect(plan.protectedNames.isEmpty)
        let below = try world {
            $0.machine.tiers = [.fanotify]
            $0.rule(.protect, "/project/.git/hooks")
        }.plan()
        #expect(below.protectedNames.count == 1)
    }

    @Test func whatTheKernelCannotHoldIsWatched() throws {
        let deep = "/project/a/b/c/d/e"
        let plan = try world {
            $0.rule(.protect, deep)
        }.plan()
        #expect(plan.kernel?.names.isEmpty == true)
        #expect(plan.protectedNames.map(\.path) == [deep])
        // From an existing folder on, one part is enough.
        let shallow = try world {
            $0.folder("/project/a/b/c/d", owner: 1000)
            $0.rule(.protect, deep)
        }.plan()
        #expect(shallow.kernel?.names.first?.folder == "/project/a/b/c/d")
        #expect(shallow.protectedNames.isEmpty)
    }

    @Test func patternsWithoutGlobsAreTheKernels() throws {
        let plain = try world { $0.pattern(.deny, [".env"]) }.plan()
        #expect(plain.kernel?.names.map(\.parts) == [[".env"]])
        #expect(plain.kernel?.names.first?.folder == nil)
        #expect(!plain.asksAboutOpens)
        #expect(plain.mounts.filter { $0.marked }.isEmpty)
    }

    @Test func globsAreAskedAboutAsInTierFanotify() throws {
        for parts in [["*.pem"], ["key?"], ["a", "b", "c", "d", "e"], [String(repeating: "x", count: 64)]] {
            let plan = try world { $0.pattern(.deny, parts) }.plan()
            #expect(plan.kernel?.names.isEmpty == true)
            #expect(plan.asksAboutOpens)
            #expect(plan.mounts.contains { $0.marked })
            #expect(plan.unenforced.isEmpty)
        }
    }

    @Test func landlockKeepsItsScopesOnly() throws {
        let plan = try world().plan()
        #expect(plan.landlock.handledAccess == 0)
        #expect(plan.landlock.rules.isEmpty)
        #expect(plan.landlock.isNeeded)
        let old = try world { $0.machine.landlockABI = 2 }.plan()
        #expect(!old.landlock.isNeeded)
        let none = try world { $0.machine.landlockABI = 0 }.plan()
        #expect(none.tier == .bpf)
    }

    @Test func theNetworkAndTheRestAreTold() throws {
        #expect(try kernel(world()).reachesNetwork == false)
        #expect(try kernel(world { $0.profile.network.mode = .host }).reachesNetwork)
        #expect(try kernel(world { $0.profile.process.nested = true }).nested)
        #expect(try kernel(world { $0.profile.process.seccomp = ["ptrace"] }).tracing)
        #expect(try kernel(world { $0.profile.streams.trace = true }).trace)
        #expect(try kernel(world { $0.profile.enforcement.gaps = .refuse }).refusesUnhashed)
        #expect(try kernel(world { $0.profile.cache.open = 7 }).cache.open == 7)
    }

    @Test func codeWithoutANameRunsWhereWrittenCodeDoes() throws {
        #expect(try kernel(world()).runsOwnCode)
        var strict = world()
        strict.profile.filesystem.rules.removeAll { $0.access == .execute && $0.text == "/project" }
        #expect(try kernel(strict).runsOwnCode == false)
    }

    /// Nested sandboxes are judged by the same programs: nothing to confess.
    @Test func nestedIsEnforced() throws {
        #expect(try world { $0.profile.process.nested = true }.plan().unenforced.isEmpty)
    }
}
