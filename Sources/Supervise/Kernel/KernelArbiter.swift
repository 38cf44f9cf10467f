import Arbiter
import HostView
import LinuxSystem
public import Plan

/// The kernel's programs (tier bpf), found or loaded; see `docs/arbiter.md`.
public final class KernelArbiter {
    let programs: Arbiter

    /// Why the kernel's programs cannot be had: a sentence with what to try.
    public struct Unavailable: Error, CustomStringConvertible {
        public let description: String

        public init(_ description: String) { self.description = description }
    }

    /// Finds them where an earlier run left them, or loads them, which takes far longer:
    /// the kernel verifies each one.
    public init() throws(Unavailable) {
        do {
            programs = try Arbiter.open()
        } catch {
            throw Unavailable("\(error)")
        }
    }

    /// Enters a sandbox into the kernel's tables: from its first exec on, whatever is in `cgroup` is judged. What the
    /// set-up makes gets its rights later, from ``KernelGuard/label(inside:)``; until then nothing is granted.
    /// - Parameters:
    ///   - cgroup: an open folder of the v2 tree, without tasks.
    ///   - image: the sandbox's init, a memfd: the one program without a name that may start.
    public func register(_ plan: SandboxPlan, cgroup: Int32, image: Int32) throws(Unavailable) -> KernelGuard {
        guard let rules = plan.kernel else { throw Unavailable("the plan is not one for tier bpf") }
        do {
            return try KernelGuard(self, plan, rules, cgroup: cgroup, image: image)
        } catch let error as ArbiterError {
            throw Unavailable("\(error)")
        } catch {
            throw Unavailable("\(error)")
        }
    }
}

/// One sandbox in the kernel's tables, and the descriptors that keep its labels true. They stay open until the process
/// ends; the guardian has them too.
public final class KernelGuard {
    let arbiter: KernelArbiter
    let sandbox: RegisteredSandbox
    private let rules: KernelRules
    private let flags: SandboxPolicy.Flags
    /// Whether opens inside are asked about, beside the kernel's programs, of the thread that labels.
    private let asksAboutOpens: Bool
    private var held: [Int32] = []
    private var isRegistered = true
    /// Objects that are denied whatever else they are called. Few of a profile's places are there, so they are looked
    /// through: the first set or dictionary of a kind costs a start more.
    private var denied: [ObjectIdentity] = []

    fileprivate init(
        _ arbiter: KernelArbiter, _ plan: SandboxPlan, _ rules: KernelRules, cgroup: Int32, image: Int32
    ) throws {
        var policy = SandboxPolicy()
        policy.flags = Self.flags(rules)
        policy.lifetimes.open = UInt32(clamping: rules.cache.open)
        policy.lifetimes.execute = UInt32(clamping: rules.cache.execute)
        policy.lifetimes.use = UInt32(clamping: rules.cache.use)
        if rules.runsOwnCode { policy.nameless.insert(.execute) }
        policy.addresses = rules.reachesNetwork ? [] : Self.ownAddresses
        policy.objects = [ObjectRule(descriptor: image, rights: .execute, rule: 0)]
        var held: [Int32] = []
        var deniedObjects: [ObjectIdentity] = []
        for place in rules.denied {
            // What is gone needs no denial; its name has one.
            guard let file = try? FileDescriptor.openWithoutSymlinks(place.path, O_PATH) else { continue }
            let identity = try file.status().identity
            let number = file.release()
            held.append(number)
            if deniedObjects.contains(identity) { continue }
            deniedObjects.append(identity)
            policy.objects.append(ObjectRule(descriptor: number, rights: [], rule: Self.number(place.rule)))
        }
        var anchors = PathIndex()
        var anchored: [Int32] = []
        for name in rules.names {
            if let folder = name.folder, anchors.insert(folder).isNew {
                do throws(Errno) {
                    let file = try FileDescriptor.openWithoutSymlinks(folder, O_PATH | O_DIRECTORY)
                    anchored.append(file.number)
                    held.append(file.release())
                } catch {
                    throw error.doing("opening, for the names below it,", folder)
                }
            }
            policy.names.append(
                NameRule(
                    parts: name.parts, anchor: name.folder.flatMap { anchors.place(of: $0) }.map { anchored[$0] },
                    rights: Rights(name.rights),
                    rule: Self.number(name.rule)))
        }
        let inode = try Self.status(cgroup).identity.inode
        sandbox = try arbiter.programs.register(cgroup: inode, session: Self.hash(plan.session), policy: policy)
        self.arbiter = arbiter
        self.rules = rules
        asksAboutOpens = plan.asksAboutOpens
        self.held = held
        flags = policy.flags
        denied = deniedObjects
    }

    private static func status(_ descriptor: Int32) throws(Errno) -> FileStatus {
        try FileStatus(of: "", at: descriptor, flags: AT_EMPTY_PATH)
    }

    /// What was not begun is taken out again.
    deinit { end() }

    /// Gives every place of the plan its rights, on the objects that the set-up has put there.
    /// - Parameter pid: the sandbox's pid 1, whose set-up is done and which waits.
    func label(inside pid: Int32) throws(SystemError) {
        let root: FileDescriptor
        do {
            root = try .open("/proc/\(pid)/root", O_PATH | O_DIRECTORY)
        } catch {
            throw error.doing("looking into the sandbox", "/proc/\(pid)/root")
        }
        var identities: [ObjectIdentity] = []
        var objects: [ObjectRule] = []
        var folders = FolderNames(below: root.number)
        for place in rules.places {
            // A folder that is opened to be read would be asked about, and nobody else is there to answer.
            if !asksAboutOpens, folders.areWithout(place.path) { continue }
            let path = place.path.drop { $0 == "/" }
            let file: FileDescriptor
            do throws(Errno) {
                file = try .openWithoutSymlinks(path.isEmpty ? "." : String(path), O_PATH, at: root.number)
            } catch {
                // Not shown inside; or reached through a symlink, and then the rule stands at its real place, too.
                if [ENOENT, ELOOP, ENOTDIR, EACCES].contains(error.code) { continue }
                throw error.doing("opening, to give it its rights,", place.path)
            }
            let status: FileStatus
            do { status = try file.status() } catch { throw error.doing("looking at", place.path) }
            if denied.contains(status.identity), !place.rights.isEmpty { continue }
            var rights = Rights(place.rights)
            // A service that somebody outside offers is only reached when a rule names its very socket.
            if status.isSocket, place.rights.contains(.write) { rights.insert(.connect) }
            if let place = identities.firstIndex(of: status.identity) {
                // One object shown at two places, by --bind or as a mask: its mounts tell them apart, and the record
                // finds the rule by the path.
                objects[place].rights.formUnion(rights)
                objects[place].rule = 0
                continue
            }
            let number = file.release()
            held.append(number)
            identities.append(status.identity)
            objects.append(
                ObjectRule(descriptor: number, rights: rights, rule: place.rule.map(Self.number) ?? 0))
        }
        do {
            try arbiter.programs.label(objects, in: sandbox)
        } catch {
            throw Errno(EIO).doing("giving the sandbox's places their rights", "\(error)")
        }
    }

    /// Tells the kernel the threat level.
    func set(level: Int) {
        // Too early means: before the sandbox's first exec, when there is nothing to be level with.
        try? arbiter.programs.set(level: UInt32(level), flags: flags, of: sandbox)
    }

    /// The programs that no longer stand; see ``Arbiter/lost()``.
    func lost() -> [String] { arbiter.programs.lost() }

    /// See ``Arbiter/untoldRepeats(of:)``.
    func untoldRepeats() -> [(since: UInt64, count: UInt64)] { arbiter.programs.untoldRepeats(of: sandbox) }

    func counters() -> Counters { arbiter.programs.counters(of: sandbox) }

    /// Takes the sandbox out of the tables. Its last task has ended.
    public func end() {
        guard isRegistered else { return }
        isRegistered = false
        // What could not be removed now, the next run collects.
        try? arbiter.programs.unregister(sandbox)
    }

    /// Rules are counted from 1: 0 says that none decided.
    private static func number(_ rule: Int) -> UInt32 { UInt32(truncatingIfNeeded: rule + 1) }

    static func index(_ rule: UInt32) -> Int? { rule == 0 ? nil : Int(rule) - 1 }

    /// The kernel's records carry a number for the session.
    private static func hash(_ session: String) -> UInt64 {
        session.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    private static func flags(_ rules: KernelRules) -> SandboxPolicy.Flags {
        // Which addresses, if not all, is said by rules of their own.
        var flags: SandboxPolicy.Flags = .internet
        if rules.nested { flags.formUnion([.userNamespaces, .mounts]) }
        if rules.runsOwnCode { flags.insert(.namelessCode) }
        if rules.tracing { flags.insert(.ptrace) }
        if rules.trace { flags.insert(.trace) }
        if rules.refusesUnhashed { flags.insert(.refuseUnhashed) }
        return flags
    }

    /// Without a network: the loopback addresses and the wildcards that stand for them, and nothing else.
    private static let ownAddresses: [AddressRule] = {
        func address(_ bytes: [UInt8], prefix: UInt32, allowed: Bool) -> AddressRule {
            AddressRule(address: bytes, prefix: prefix, ports: 0...UInt16.max, allowed: allowed, rule: 0)
        }
        let any = [UInt8](repeating: 0, count: 16)
        let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
        return [
            address(any, prefix: 0, allowed: false),
            address(any, prefix: 128, allowed: true),
            address([UInt8](repeating: 0, count: 15) + [1], prefix: 128, allowed: true),
            address(mapped + [0, 0, 0, 0], prefix: 128, allowed: true),
            address(mapped + [127, 0, 0, 0], prefix: 104, allowed: true),
        ]
    }()
}

extension Rights {
    init(_ rights: KernelRules.Rights) {
        self = []
        if rights.contains(.read) { insert(.read) }
        if rights.contains(.write) { insert(.write) }
        if rights.contains(.execute) { insert(.execute) }
    }
}
