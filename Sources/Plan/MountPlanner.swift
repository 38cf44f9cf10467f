import HostView
import LinuxSystem
import Profile

/// Lays the profile's rules over the host's tree: which mounts the private root is made of.
struct MountPlanner {
    /// What the rules say of one place, strongest first: deny, protect, write, read.
    private struct Place {
        var path: String
        var access: PathRule.Access?
        /// Some rule lists it as to be seen, whatever else is said of it.
        var isListed = false
        var rule: Int
        var object: HostObject.Present
    }

    private struct RuledPath {
        var path: String
        var rule: Int
    }

    /// What is to be seen at a place once the mounts above it are there.
    private enum View: Equatable {
        case nothing
        /// A private tmpfs.
        case fresh
        case shared(write: Bool, execute: Bool)
        case masked
    }

    /// The profile's rules, with globs that match something replaced by what they match.
    private(set) var rules: [PathRule]
    private let request: LaunchRequest
    private let identity: AgentIdentity
    private let tier: Tier
    private let host: HostView

    private(set) var mounts: [PlannedMount] = []
    private(set) var links: [HostObject.Link] = []
    private(set) var homeFiles: [HomeFile] = []
    private(set) var homePatterns: [HomePattern] = []
    private(set) var decoys: [Decoy] = []
    private(set) var deniedObjects: [DeniedObject] = []
    private(set) var protectedNames: [ProtectedName] = []
    private(set) var unenforced: [String] = []
    private(set) var skipped: [String] = []
    private(set) var errors: [String] = []
    /// Read-only objects inside writable folders: attempts on them are worth telling.
    private(set) var hasProtectedObjects = false
    /// The supervisor is asked about opens: always in tier fanotify, in tier bpf for the globs the kernel cannot hold.
    private(set) var asksAboutOpens: Bool
    /// /etc is not the host's: its few files are ours.
    private(set) var hasSyntheticEtc = false

    private var places: [Place] = []
    private var placeIndex = PathIndex()
    private var executeRoots: [String] = []
    /// Where something is to be seen, and what.
    private var viewPlaces = PathIndex()
    private var views: [View] = []
    private var tmpfsSize: UInt64?

    init(rules: [PathRule], request: LaunchRequest, identity: AgentIdentity, tier: Tier, host: HostView) {
        self.rules = rules
        // Those that are added, among them a dozen of our own.
        self.rules.reserveCapacity(rules.count + 32)
        self.request = request
        self.identity = identity
        self.tier = tier
        self.host = host
        asksAboutOpens = tier == .fanotify
    }

    private static let reserved = ["/proc", "/sys", "/dev"]

    mutating func plan(tmpfsSize: UInt64?) {
        self.tmpfsSize = tmpfsSize
        var fresh: [RuledPath] = []
        var awaited: [RuledPath] = []
        var absentProtected: [RuledPath] = []
        expandGlobs()
        // By index: a copy of each rule is what takes the most here.
        for index in rules.indices {
            let access = rules[index].access
            switch rules[index].pattern {
            case .unavailable(let variable):
                skipped.append("\(rules[index].text) (\(rules[index].origin)): ${\(variable)} has no value here")
            case .suffix:
                notePattern(rules[index])
            case .glob(let folder, let glob):
                if access == .write { notePattern(of: folder, glob) }
            case .path(let path):
                if access == .tmpfs {
                    fresh.append(RuledPath(path: path, rule: index))
                    continue
                }
                switch host[path] {
                case .absent:
                    if access == .execute { executeRoots.append(path) }
                    if access == .protect {
                        absentProtected.append(RuledPath(path: path, rule: index))
                    } else if access != .deny {
                        if access == .write { awaited.append(RuledPath(path: path, rule: index)) }
                        skipped.append("\(path) (\(rules[index].origin)): does not exist")
                    }
                case .present(let object):
                    add(index, object)
                }
            }
        }
        layRoot(fresh)
        placeOwnRules()
        for place in places.sorted(by: { Self.order($0.path, $1.path) }) { lay(place) }
        for bind in request.binds { lay(bind) }
        for file in awaited { expect(file) }
        layEtc()
        // Places are moved about, not mounts.
        mounts = mounts.indices.sorted { Self.order(mounts[$0].target, mounts[$1].target) }.map { mounts[$0] }
        watch(absentProtected)
        noteSubMounts()
    }

    /// Parents before children; otherwise by name, so that the same rules give the same plan.
    private static func order(_ left: String, _ right: String) -> Bool {
        let (a, b) = (Paths.depth(left), Paths.depth(right))
        return a == b ? left < right : a < b
    }

    // MARK: Reading the rules

    private mutating func expandGlobs() {
        // From the end, so that what has not been looked at keeps its place.
        for index in rules.indices.reversed() {
            guard case .glob(let folder, let glob) = rules[index].pattern else { continue }
            let rule = rules[index]
            let names = host.listing(of: folder).filter { NameGlob.matches(glob, $0) }
            if names.isEmpty { continue }
            rules.insert(
                contentsOf: names.map { name in
                    var concrete = rule
                    concrete.pattern = .path(Paths.join(folder, name))
                    return concrete
                }, at: index + 1)
        }
    }

    private mutating func notePattern(_ rule: PathRule) {
        guard rule.access == .deny || rule.access == .protect else { return }
        if tier == .bpf, KernelRules.cannotHold(rule) { asksAboutOpens = true }
        if tier == .landlock, case .suffix = rule.pattern {
            unenforced.append(
                "\(rule.access.rawValue) \"\(rule.text)\" (\(rule.origin)): a name pattern needs tier fanotify or bpf "
                    + "(run as root)")
        }
    }

    /// A glob for names in the private home.
    private mutating func notePattern(of folder: String, _ glob: String) {
        guard Paths.isAtOrBelow(folder, identity.home), case .present(let object) = host[folder] else { return }
        homePatterns.append(
            HomePattern(
                folder: folder, glob: glob, user: object.status.user, group: object.status.group))
    }

    /// A listed file of the private home that does not exist yet: when the agent makes it, it is the user's to keep.
    private mutating func expect(_ file: RuledPath) {
        let folder = Paths.parent(file.path)
        guard Paths.isAtOrBelow(folder, identity.home), view(at: file.path) == .fresh,
            case .present(let object) = host[folder], object.canonical == folder, object.status.isFolder
        else { return }
        homeFiles.append(
            HomeFile(
                path: file.path, hostPath: file.path, mode: nil, user: object.status.user,
                group: object.status.group, rule: file.rule))
    }

    private mutating func add(_ index: Int, _ object: HostObject.Present) {
        let path = object.canonical
        let access = rules[index].access
        var name: String { "\(access.rawValue) \"\(rules[index].text)\"" }
        var origin: Origin { rules[index].origin }
        if path == "/" {
            errors.append("\(origin): \(access.rawValue) \"/\" would share the whole machine; list folders")
            return
        }
        if access != .deny, let kernel = ["/proc", "/dev"].first(where: { Paths.isAtOrBelow(path, $0) }) {
            errors.append("\(origin): \(name): \(kernel) inside is the sandbox's own")
            return
        }
        for link in object.links where !links.contains(link) { links.append(link) }
        if rules[index].pattern != .path(path) {
            // Those who decide by path see the object's own.
            var own = rules[index]
            own.pattern = .path(path)
            rules.append(own)
        }
        if access == .execute {
            executeRoots.append(path)
            return
        }
        if access == .deny {
            if object.status.isFile { deniedObjects.append(.init(identity: object.status.identity, rule: index)) }
            if tier == .landlock, object.status.isFile, object.status.links > 1 {
                unenforced.append(
                    "\(name) (\(origin)): the file has \(object.status.links) names, and only this "
                        + "one is hidden (tier fanotify or bpf denies the object)")
            }
        }
        let (place, isNew) = placeIndex.insert(path)
        if isNew { places.append(Place(path: path, access: nil, rule: index, object: object)) }
        if access == .read || access == .write { places[place].isListed = true }
        if strength(access) > strength(places[place].access) {
            places[place].access = access
            places[place].rule = index
        }
    }

    private func strength(_ access: PathRule.Access?) -> Int {
        switch access {
        case .deny: 4
        case .protect: 3
        case .write: 2
        case .read: 1
        default: 0
        }
    }

    private func isExecutable(_ path: String) -> Bool {
        executeRoots.contains { Paths.isAtOrBelow(path, $0) }
    }

    // MARK: What is to be seen where

    private func view(at path: String) -> View {
        viewPlaces.nearest(above: path, orAt: true).map { views[$0] } ?? .nothing
    }

    /// From now on; the last says what counts.
    private mutating func show(_ view: View, at path: String) {
        let (place, isNew) = viewPlaces.insert(path)
        if isNew { views.append(view) } else { views[place] = view }
    }

    func isVisible(_ path: String) -> Bool {
        switch view(at: path) {
        case .shared: true
        case .nothing, .fresh, .masked: path == identity.home
        }
    }

    /// Notes protected names that could come to be in a writable folder of the host. None of them exists; so what is to be
    /// seen there depends on its folder, and most stand in the same few.
    private mutating func watch(_ names: [RuledPath]) {
        let mountPlaces = MountPlaces(mounts)
        var folder = ""
        var canonicalFolder = ""
        var root: String?
        for name in names {
            if folder.isEmpty || Paths.parent(name.path) != folder {
                folder = Paths.parent(name.path)
                let path = canonical(name.path)
                canonicalFolder = Paths.parent(path)
                root = nil
                if case .shared(write: true, _) = view(at: path) {
                    root = mountPlaces.nearest(above: path).flatMap { mounts[$0].sharedInPlace }
                }
            }
            guard let root else { continue }
            let path = Paths.join(canonicalFolder, Paths.lastName(name.path))
            if tier == .bpf, KernelPlanner.anchored(path, self, rights: .read, rule: name.rule) != nil { continue }
            protectedNames.append(ProtectedName(path: path, root: root, rule: name.rule))
        }
    }

    /// The folder of the host above `path` that is writable down to there and shown at its own place; folders pinned on
    /// the way are passed over.
    func writableRoot(above path: String) -> String? {
        // Parents stand before children: from the end, the nearest comes first, and of two at one place the upper one.
        var root: String?
        for index in mounts.indices.reversed() {
            let target = mounts[index].target
            guard target.utf8.count < path.utf8.count, Paths.isAtOrBelow(path, target) else { continue }
            guard mounts[index].sharedInPlace != nil, !mounts[index].readOnly else { break }
            root = target
        }
        return root
    }

    func exists(_ path: String) -> Bool {
        if case .present = host[path] { true } else { false }
    }

    /// Whether it was looked for and not there. Where a symlink leads was not looked for by its own path.
    func wasAbsent(_ path: String) -> Bool { host.holds(path) && host[path] == .absent }

    /// `path`, which does not exist, with the symlinks of the folders above it resolved.
    func canonical(_ path: String) -> String {
        var at = Paths.parent(path)
        while at != "/" {
            if case .present(let object) = host[at] {
                return object.canonical + String(Substring(path.utf8.dropFirst(at.utf8.count)))
            }
            at = Paths.parent(at)
        }
        return path
    }

    /// Places that no rule of the profile speaks of, for those who decide by path.
    private mutating func placeOwnRules() {
        func place(_ access: PathRule.Access, _ path: String, _ origin: String) {
            rules.append(
                PathRule(access: access, pattern: .path(path), text: path, origin: .commandLine(option: origin)))
        }
        if view(at: identity.home) == .fresh { place(.tmpfs, identity.home, "the private home") }
        for bind in request.binds {
            place(bind.readOnly ? .read : .write, bind.target, "--bind")
            if isExecutable(bind.source) { place(.execute, bind.target, "--bind") }
        }
        for path in ["/", "/etc", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"] { place(.read, path, "built in") }
        for path in ["/dev", "/proc"] { place(.write, path, "built in") }
    }

    // MARK: Laying mounts

    private mutating func layRoot(_ fresh: [RuledPath]) {
        let home = identity.home
        if home != "/", !Paths.isAtOrBelow(home, request.workspace) || home == request.workspace,
            placeIndex.place(of: home).flatMap({ places[$0].access }) == nil
        {
            layFresh(home, mode: 0o700, owned: true, origin: "the private home")
        }
        for place in fresh.sorted(by: { Self.order($0.path, $1.path) }) where place.path != home {
            let (path, rule) = (place.path, place.rule)
            if Self.reserved.contains(where: { Paths.isAtOrBelow(path, $0) }) {
                errors.append("\(rules[rule].origin): tmpfs \"\(path)\": the sandbox has its own")
                continue
            }
            layFresh(path, mode: 0o1777, owned: false, origin: "\(rules[rule].origin)")
        }
    }

    private mutating func layFresh(_ path: String, mode: UInt32, owned: Bool, origin: String) {
        show(.fresh, at: path)
        mounts.append(
            PlannedMount(
                target: path, kind: .tmpfs(size: tmpfsSize, mode: mode, owned: owned), readOnly: false,
                executable: isExecutable(path), idmap: nil, marked: asksAboutOpens, origin: origin))
    }

    private mutating func lay(_ bind: ExtraBind) {
        guard case .present(let object) = host[bind.source] else {
            errors.append("--bind \(bind.source): no such file or folder; give a path that exists")
            return
        }
        if Self.reserved.contains(where: { Paths.isAtOrBelow(bind.target, $0) }) || bind.target == "/" {
            errors.append("--bind ...:\(bind.target): the sandbox has its own there; choose another place")
            return
        }
        if object.canonical == "/" || Self.reserved.contains(where: { Paths.isAtOrBelow(object.canonical, $0) }) {
            errors.append("--bind \(bind.source): the kernel's and the machine's roots are never shared")
            return
        }
        if case .shared = view(at: bind.target), host[bind.target] == .absent {
            errors.append(
                "--bind ...:\(bind.target): nothing is there to lay it over, and nothing is made in a shared folder; make an "
                    + "empty \(object.status.isFolder ? "folder" : "file") there first, or bind it at another place")
            return
        }
        let execute = isExecutable(bind.target) || isExecutable(object.canonical)
        show(.shared(write: !bind.readOnly, execute: execute), at: bind.target)
        mounts.append(
            mount(
                object, at: bind.target, readOnly: bind.readOnly, execute: execute, write: !bind.readOnly,
                origin: "--bind"))
    }

    private mutating func lay(_ place: Place) {
        let above = view(at: place.path)
        let origin = rules[place.rule].origin.description
        let execute = isExecutable(place.path)
        switch place.access {
        case .deny: mask(place, above: above, origin: origin)
        case .protect:
            // What is not shared is not there to be protected: the home inside is private.
            if case .shared(write: true, _) = above {
                pinFolders(above: place)
                hasProtectedObjects = true
            } else if case .shared = above {
                return
            } else if !place.isListed {
                return
            }
            share(place, write: false, execute: execute, origin: origin)
        case .write:
            if case .shared(write: true, let exec) = above, exec == execute { return }
            if isHomeFile(place, above: above) {
                let status = place.object.status
                homeFiles.append(
                    HomeFile(
                        path: place.path, hostPath: place.object.canonical, mode: UInt32(status.mode) & 0o777,
                        user: status.user, group: status.group, rule: place.rule))
                return
            }
            share(place, write: true, execute: execute, origin: origin)
        case .read:
            if case .shared(let write, let exec) = above, exec == execute, !write { return }
            if case .shared(write: true, _) = above {
                pinFolders(above: place)
                hasProtectedObjects = true
            }
            share(place, write: false, execute: execute, origin: origin)
        case .execute, .tmpfs, nil: return
        }
    }

    private func isHomeFile(_ place: Place, above: View) -> Bool {
        place.object.status.isFile && above == .fresh && Paths.isAtOrBelow(place.path, identity.home)
    }

    private mutating func share(_ place: Place, write: Bool, execute: Bool, origin: String) {
        show(.shared(write: write, execute: execute), at: place.path)
        mounts.append(
            mount(place.object, at: place.path, readOnly: !write, execute: execute, write: write, origin: origin))
    }

    private func mount(
        _ object: HostObject.Present, at target: String, readOnly: Bool, execute: Bool, write: Bool, origin: String
    ) -> PlannedMount {
        let personal =
            write || Paths.isAtOrBelow(target, request.workspace) || Paths.isAtOrBelow(target, identity.home)
        let map = OwnerMap(user: object.status.user, group: object.status.group)
        return PlannedMount(
            target: target,
            kind: .bind(
                source: object.canonical, identity: object.status.identity, isFolder: object.status.isFolder,
                recursive: true),
            readOnly: readOnly, executable: execute,
            idmap: identity.kind == .subordinate && personal ? map : nil,
            marked: asksAboutOpens, origin: origin)
    }

    /// A protected or denied object inside a writable folder could be carried away with a folder above it. Each such
    /// folder becomes a mount point, which cannot be renamed or removed.
    private mutating func pinFolders(above place: Place) {
        for folder in Paths.ancestors(place.path) {
            guard case .shared(write: true, let execute) = view(at: folder),
                viewPlaces.place(of: folder) == nil,
                case .present(let object) = host[folder], object.canonical == folder
            else { continue }
            show(.shared(write: true, execute: execute), at: folder)
            mounts.append(
                mount(
                    object, at: folder, readOnly: false, execute: execute, write: true,
                    origin: rules[place.rule].origin.description))
        }
    }

    private mutating func mask(_ place: Place, above: View, origin: String) {
        let isFolder = place.object.status.isFolder
        let names = tier.tellsRefusals ? host.listing(of: place.path) : []
        switch above {
        case .nothing, .masked: return
        case .fresh:
            // Not in view. For the tier that can tell of refusals, something with that name stands there, empty.
            guard tier.tellsRefusals, Paths.isAtOrBelow(place.path, identity.home) else { return }
            decoys.append(Decoy(path: place.path, isFolder: isFolder))
            decoys += names.map { Decoy(path: Paths.join(place.path, $0), isFolder: false) }
        case .shared(let write, _):
            if write {
                pinFolders(above: place)
                hasProtectedObjects = true
            }
            show(.masked, at: place.path)
            mounts.append(
                PlannedMount(
                    target: place.path, kind: .mask(isFolder: isFolder, names: names), readOnly: true,
                    executable: false, idmap: nil, marked: asksAboutOpens, origin: origin))
        }
    }

    /// Files that would tell of the host's people and names, replaced by our own.
    private mutating func layEtc() {
        let name = identity.name
        let passwd =
            "root:x:0:0:root:/root:/usr/sbin/nologin\n"
            + "\(name):x:\(identity.insideUser):\(identity.insideGroup)::\(identity.home):/bin/bash\n"
            + "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        let group = "root:x:0:\ntty:x:5:\n\(name):x:\(identity.insideGroup):\nnogroup:x:65534:\n"
        let files = [
            ("/etc/group", group), ("/etc/hostname", "sandbox\n"),
            ("/etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n"),
            ("/etc/machine-id", "00000000000000000000000000000000\n"), ("/etc/passwd", passwd),
        ]
        let shared = view(at: "/etc")
        hasSyntheticEtc = shared == .nothing
        for (path, text) in files {
            // With the host's network, its names for hosts are needed too.
            if path == "/etc/hosts", request.sharesNetwork { continue }
            if shared != .nothing, host[path] == .absent { continue }
            mounts.append(
                PlannedMount(
                    target: path, kind: .synthetic(text: text), readOnly: true, executable: false, idmap: nil,
                    marked: false, origin: "built in"))
        }
    }

    private mutating func noteSubMounts() {
        guard asksAboutOpens else { return }
        for index in mounts.indices {
            guard case .bind(let source, _, true, true) = mounts[index].kind else { continue }
            let prefix = source + "/"
            mounts[index].subMounts = host.mountPoints.filter { $0.hasPrefix(prefix) }
                .map { String($0.dropFirst(prefix.count)) }.sorted()
        }
    }
}
