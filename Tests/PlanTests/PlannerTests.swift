import HostView
import LinuxSystem
import Profile
import Testing

@testable import Plan

/// A machine, a host and a request described by hand; nothing here looks at the machine the tests run on.
struct World {
    var host = HostView()
    var profile = Profile(name: "test")
    var request: LaunchRequest
    var machine = Machine(
        tiers: [.fanotify, .landlock], landlockABI: 6, memory: 16 << 30, processors: 4, lastCapability: 40)

    init(user: UInt32 = 0) {
        request = LaunchRequest(
            command: ["true"], workspace: "/project", currentFolder: "/project",
            caller: Invoker(user: user, group: user, home: "/home/ann", name: "ann"), session: "s")
        request.launcher = 4321
        folder("/project", owner: 1000)
        folder("/home/ann", owner: 1000)
        folder("/usr")
        folder("/etc")
        rule(.write, "/project")
        rule(.execute, "/project")
        rule(.read, "/usr")
        rule(.execute, "/usr")
    }

    private var nextInode: UInt64 { UInt64(host.count) + 1 }

    private mutating func object(_ path: String, _ mode: mode_t, _ owner: UInt32, _ links: UInt32) {
        var status = FileStatus.example
        status.inode = nextInode
        status.mode = UInt16(mode)
        status.user = owner
        status.group = owner
        status.links = links
        host[path] = .present(.init(canonical: path, status: status))
    }

    mutating func folder(_ path: String, owner: UInt32 = 0) { object(path, mode_t(S_IFDIR) | 0o755, owner, 2) }
    mutating func file(_ path: String, owner: UInt32 = 0, links: UInt32 = 1) {
        object(path, mode_t(S_IFREG) | 0o644, owner, links)
    }

    /// A symlink to a file, as looking at the symlink shows it: the file has not been looked at by its own path.
    mutating func link(_ path: String, to target: String) {
        file(path)
        guard case .present(var object) = host[path] else { return }
        object.canonical = target
        object.links = [.init(path: path, target: target)]
        host[path] = .present(object)
    }

    mutating func rule(_ access: PathRule.Access, _ path: String) {
        profile.filesystem.rules.append(
            PathRule(
                access: access, pattern: .path(path), text: path, origin: .file(name: "test.toml", line: 1, column: 1)))
    }

    mutating func pattern(_ access: PathRule.Access, _ names: [String]) {
        profile.filesystem.rules.append(
            PathRule(
                access: access, pattern: .suffix(names), text: "**/" + names.joined(separator: "/"),
                origin: .file(name: "test.toml", line: 2, column: 1)))
    }

    func plan() throws(PlanErrors) -> SandboxPlan {
        try Planner.plan(profile: profile, request: request, machine: machine, host: host)
    }
}

extension FileStatus {
    /// The status of `/`, as a start to be changed.
    static var example: FileStatus {
        guard let status = try? FileStatus(of: "/") else { preconditionFailure("there is no /") }
        return status
    }
}

extension SandboxPlan {
    func mount(_ target: String) -> PlannedMount? { mounts.first { $0.target == target } }
}

@Suite struct PlannerTests {
    @Test func theSameInputGivesTheSamePlan() throws {
        let world = World()
        #expect(try world.plan() == world.plan())
    }

    @Test func theStrongestTierIsTaken() throws {
        var world = World()
        #expect(try world.plan().tier == .fanotify)
        world.machine.tiers = [.landlock]
        #expect(try world.plan().tier == .landlock)
    }

    @Test func belowTheRequiredTierNothingIsPlanned() {
        var world = World()
        world.request.require = .bpf
        #expect(throws: PlanErrors.self) { try world.plan() }
        world.request.require = .fanotify
        #expect(throws: Never.self) { try world.plan() }
    }

    @Test func theRequestOnlyRaisesTheProfilesTier() {
        var world = World()
        world.machine.tiers = [.landlock]
        world.profile.enforcement.require = .fanotify
        world.request.require = .landlock
        #expect(throws: PlanErrors.self) { try world.plan() }
    }

    @Test func aProtectedFileAndTheFoldersAboveItAreHeldInPlace() throws {
        var world = World()
        world.folder("/project/.git", owner: 1000)
        world.file("/project/.git/config", owner: 1000)
        world.rule(.protect, "/project/.git/config")
        let plan = try world.plan()
        #expect(plan.mount("/project")?.readOnly == false)
        #expect(plan.mount("/project/.git")?.readOnly == false)
        #expect(plan.mount("/project/.git/config")?.readOnly == true)
    }

    @Test func aProtectedNameThatIsNotThereIsWatchedAndNotMade() throws {
        var world = World()
        world.rule(.protect, "/project/.mcp.json")
        let plan = try world.plan()
        #expect(plan.protectedNames.map(\.path) == ["/project/.mcp.json"])
        #expect(plan.mount("/project/.mcp.json") == nil)
    }

    @Test func aDeniedFolderIsMaskedInAWritableOneAndADecoyInThePrivateHome() throws {
        var world = World()
        world.folder("/project/secrets", owner: 1000)
        world.folder("/home/ann/.ssh", owner: 1000)
        world.host.list(["id_rsa"], in: "/home/ann/.ssh")
        world.rule(.deny, "/project/secrets")
        world.rule(.deny, "/home/ann/.ssh")
        let plan = try world.plan()
        guard case .mask(isFolder: true, _) = plan.mount("/project/secrets")?.kind else {
            Issue.record("no mask over /project/secrets")
            return
        }
        #expect(plan.mount("/home/ann/.ssh") == nil)
        #expect(plan.decoys.map(\.path) == ["/home/ann/.ssh", "/home/ann/.ssh/id_rsa"])
    }

    @Test func denyBeatsWriteAtTheSamePlace() throws {
        var world = World()
        world.folder("/srv/data")
        world.rule(.write, "/srv/data")
        world.rule(.deny, "/srv/data")
        #expect(try world.plan().mount("/srv/data") == nil)
    }

    @Test func theNearestRuleWins() throws {
        var world = World()
        world.folder("/usr/local")
        world.rule(.write, "/usr/local")
        let plan = try world.plan()
        #expect(plan.mount("/usr")?.readOnly == true)
        #expect(plan.mount("/usr/local")?.readOnly == false)
    }

    @Test func whatIsNotListedForExecutionIsMountedNoexec() throws {
        var world = World()
        world.folder("/srv/data")
        world.rule(.read, "/srv/data")
        let plan = try world.plan()
        #expect(plan.mount("/srv/data")?.executable == false)
        #expect(plan.mount("/usr")?.executable == true)
    }

    @Test func plainRootNeverRunsAsRootAndMapsTheOwnersFiles() throws {
        let plan = try World().plan()
        #expect(plan.identity.kind == .subordinate)
        #expect(plan.identity.hostUser >= 0x7000_0000)
        #expect(plan.identity.insideUser != 0)
        #expect(plan.mount("/project")?.idmap == OwnerMap(user: 1000, group: 1000))
        #expect(plan.mount("/usr")?.idmap == nil)
    }

    @Test func underSudoTheInvokingUserIsTheAgent() throws {
        var world = World()
        world.request.caller.account = RunAccount(name: "ann", user: 1000, group: 1000, home: "/home/ann")
        let plan = try world.plan()
        #expect(plan.identity.kind == .account)
        #expect(plan.identity.hostUser == 1000)
        #expect(plan.mount("/project")?.idmap == nil)
    }

    @Test func aNamePatternIsAGapWithoutRootAndIsNamed() throws {
        var world = World(user: 1000)
        world.machine.tiers = [.landlock]
        world.pattern(.deny, [".env"])
        let plan = try world.plan()
        #expect(plan.unenforced.count == 1)
        #expect(plan.unenforced.first?.contains("**/.env") == true)
        world.machine.tiers = [.fanotify]
        #expect(try world.plan().unenforced.isEmpty)
    }

    @Test func aDeniedFileWithAnotherNameIsAGapWithoutRootAndAnObjectWithIt() throws {
        var world = World()
        world.file("/project/key", owner: 1000, links: 2)
        world.rule(.deny, "/project/key")
        #expect(try world.plan().deniedObjects.count == 1)
        world.machine.tiers = [.landlock]
        #expect(try world.plan().unenforced.count == 1)
    }

    @Test func aListedFileOfTheHomeIsCopiedAndAFolderIsShared() throws {
        var world = World()
        world.file("/home/ann/.claude.json", owner: 1000)
        world.folder("/home/ann/.claude", owner: 1000)
        world.rule(.write, "/home/ann/.claude.json")
        world.rule(.write, "/home/ann/.claude")
        let plan = try world.plan()
        #expect(plan.homeFiles.map(\.path) == ["/home/ann/.claude.json"])
        #expect(plan.mount("/home/ann/.claude.json") == nil)
        #expect(plan.mount("/home/ann/.claude")?.readOnly == false)
    }

    @Test func aListedPathThatIsNotThereIsSkippedButOneOnTheCommandLineMustExist() throws {
        var world = World()
        world.rule(.read, "/opt/models")
        #expect(try world.plan().skipped.count == 1)
        world.profile.filesystem.rules.append(
            PathRule(
                access: .read, pattern: .path("/opt/nothing"), text: "/opt/nothing",
                origin: .commandLine(option: "--ro")))
        #expect(throws: PlanErrors.self) { try world.plan() }
    }

    @Test func theWholeMachineAndTheKernelsFoldersAreNeverShared() {
        for path in ["/", "/proc", "/dev"] {
            var world = World()
            world.folder(path)
            world.rule(.read, path)
            #expect(throws: PlanErrors.self, "\(path)") { try world.plan() }
        }
    }

    @Test(arguments: ["/", "/home", "/home/ann", "/usr", "/etc", "/proc"])
    func workspacesThatAreMoreThanAProjectAreRefused(path: String) {
        var world = World()
        world.folder("/home")
        world.folder("/")
        world.folder("/proc")
        world.request.workspace = path
        #expect(throws: PlanErrors.self) { try world.plan() }
    }

    @Test func groupsAnOrdinaryUserKeepsAreTold() throws {
        var world = World(user: 1000)
        world.request.caller.otherGroups = ["docker"]
        #expect(try world.plan().unenforced.contains { $0.contains("docker") })
        world.request.caller.isPrivileged = true
        #expect(try world.plan().unenforced.isEmpty)
    }

    @Test func nestedSandboxesAreAGapOfTheFanotifyTier() throws {
        var world = World()
        world.profile.process.nested = true
        #expect(try world.plan().unenforced.contains { $0.contains("nested") })
        world.machine.tiers = [.landlock]
        #expect(try world.plan().unenforced.isEmpty)
    }

    @Test func everyMistakeIsToldAtOnce() {
        var world = World()
        world.request.workspace = "/nowhere"
        world.request.require = .bpf
        world.profile.process.capabilities = ["CAP_FLY"]
        do {
            _ = try world.plan()
            Issue.record("planned")
        } catch {
            #expect(error.sentences.count == 3)
        }
    }

    @Test func landlockAllowsTheWorkspaceAndNoWritingToTheSystem() throws {
        let plan = try World().plan()
        let workspace = plan.landlock.rules.first { $0.path == "/project" }
        let system = plan.landlock.rules.first { $0.path == "/usr" }
        #expect((workspace?.access ?? 0) & LandlockPlanner.writeFile != 0)
        #expect((system?.access ?? 0) & LandlockPlanner.writeFile == 0)
        #expect((system?.access ?? 0) & LandlockPlanner.execute != 0)
        #expect(plan.landlock.scoped == 3)
    }

    @Test func anOlderLandlockIsOnlyAskedForWhatItKnows() throws {
        var world = World()
        world.machine.landlockABI = 1
        let plan = try world.plan()
        #expect(plan.landlock.handledAccess == (1 << 13) - 1)
        #expect(plan.landlock.scoped == 0)
        #expect(plan.landlock.rules.allSatisfy { $0.access & ~plan.landlock.handledAccess == 0 })
    }

    @Test func theEnvironmentIsWhatIsNamedAndMisKeepsItsOwn() throws {
        var world = World()
        world.profile.process.environment = ["PATH", "LC_*"]
        world.request.environment = [
            .init("PATH", "/bin"), .init("LC_ALL", "C"), .init("AWS_SECRET_ACCESS_KEY", "x"),
            .init("MIS_STATE_DIR", "/x"),
        ]
        world.request.environmentOptions = ["EXTRA=1", "MIS_STATE_DIR"]
        let names = try world.plan().environment.map(\.name)
        #expect(names == ["EXTRA", "HOME", "LC_ALL", "LOGNAME", "MIS_REASONING_FD", "MIS_SESSION", "PATH", "USER"])
    }
}

@Suite struct PathsTests {
    @Test func belowMeansByWholeComponents() {
        #expect(Paths.isAtOrBelow("/project/a", "/project"))
        #expect(Paths.isAtOrBelow("/project", "/project"))
        #expect(!Paths.isAtOrBelow("/project-evil", "/project"))
        #expect(Paths.isAtOrBelow("/anything", "/"))
    }

    @Test func normalPathsHaveNoTricks() {
        #expect(Paths.normal("a/./b//c/../d", base: "/x") == "/x/a/b/d")
        #expect(Paths.normal("/../../etc") == "/etc")
        for (path, normal) in [
            ("", "/x"), (".", "/x"), ("..", "/"), ("/", "/"), ("//", "/"), ("/a/..", "/"), ("/a/b/..//c/", "/a/c"),
            ("/...", "/..."), ("/.a/..b", "/.a/..b"), ("../y/é", "/y/é"),
        ] { #expect(Paths.normal(path, base: "/x") == normal, "\(path)") }
        #expect(Paths.ancestors("/a/b/c") == ["/a", "/a/b"])
    }
}

@Suite struct GroundworkTests {
    @Test(arguments: [0, 1000]) func aPlanStandsOnTheGroundworkThatWasLaidBeforeIt(user: UInt32) throws {
        var world = World(user: user)
        world.profile.network.mode = .host
        world.profile.process.capabilities = ["CAP_NET_RAW"]
        world.profile.limits.pids = 7
        let ground = try #require(
            Planner.groundwork(profile: world.profile, request: world.request, machine: world.machine))
        let plan = try Planner.plan(
            profile: world.profile, request: world.request, machine: world.machine, host: world.host)
        #expect(plan.groundwork == ground)
        #expect(ground.network == .host && ground.capabilities == 1 << 13 && ground.limits.pids == 7)
        #expect(ground.identity.kind == (user == 0 ? .subordinate : .ordinary))
    }

    /// Nothing is begun for a request whose plan will be refused, where that can be told already.
    @Test func withoutAPlanThereIsNoGroundwork() {
        var world = World()
        world.profile.process.capabilities = ["CAP_FLY"]
        #expect(Planner.groundwork(profile: world.profile, request: world.request, machine: world.machine) == nil)
        world = World()
        world.machine.tiers = []
        #expect(Planner.groundwork(profile: world.profile, request: world.request, machine: world.machine) == nil)
    }
}
