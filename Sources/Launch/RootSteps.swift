import CLaunch
import HostView
import LinuxSystem
import Plan

/// Steps that assemble the private root: only what the plan lists exists in it.
///
/// Everything is mounted below a tmpfs that stands on top of `/` but is not the root yet, so that host paths still
/// resolve; pivot_root comes last. Targets are opened below that tmpfs without following symlinks.
struct RootSteps {
    private let plan: SandboxPlan
    private let idmaps: [OwnerMap: Int32]
    private let fanotify: Int32?
    /// Whether the set-up runs with the host's privileges (device nodes can be made, owners set).
    private let privileged: Bool
    private var made: Set<String> = ["/"]

    /// - Parameters:
    ///   - idmaps: a user namespace for each owner whose files are shown as the agent's.
    ///   - fanotify: the group that is asked about opens, in tier fanotify.
    init(plan: SandboxPlan, idmaps: [OwnerMap: Int32], fanotify: Int32?) {
        self.plan = plan
        self.idmaps = idmaps
        self.fanotify = fanotify
        privileged = plan.identity.kind != .ordinary
    }

    mutating func write(to steps: inout StepList) {
        steps.add(mis_step_private_mounts, deed: "cutting mount propagation")
        steps.newFileSystem(
            "tmpfs", options: [("mode", "0755"), ("size", "16m")],
            attributes: MountAttribute.noSetuid | (privileged ? 0 : MountAttribute.noDevices), slot: .root,
            object: "the private root")
        steps.add(mis_step_attach, deed: "mounting the private root over", object: "/", path: "/", slot: .root)
        scratch(&steps)
        proc(&steps)
        devices(&steps)
        for link in plan.links { self.link(link, &steps) }
        for mount in plan.mounts { self.mount(mount, &steps) }
        homeContents(&steps)
        steps.add(
            mis_step_mount_attributes, deed: "making the private root read-only", at: .slot(.root), path: "",
            attributes: MountAttribute.readOnly)
        if hasPrivateHome, !plan.homeFiles.isEmpty || !plan.homePatterns.isEmpty {
            steps.add(
                mis_step_clone_mount, deed: "keeping the home folder for writing back", object: plan.identity.home,
                source: .slot(.root), sourcePath: relative(plan.identity.home), slot: .home)
            steps.add(
                mis_step_send, deed: "handing over the home folder", slot: .home,
                number: UInt64(SentDescriptor.home.rawValue))
        }
        marks(&steps)
        steps.add(mis_step_pivot, deed: "entering the private root", slot: .root)
    }

    /// Files of our own that are bound over others. They stand where /proc is mounted next: covered by it, they need no
    /// removing, and a mount made of one shows its place's name and not that of a deleted file.
    private func scratch(_ steps: inout StepList) {
        steps.folder("proc")
        steps.folder("proc/own", mode: 0o700)
        steps.add(
            mis_step_open, deed: "opening", object: "the scratch folder", at: .slot(.root), path: "proc/own",
            slot: .scratch)
        steps.file("empty", mode: 0, at: .slot(.scratch))
        steps.file("seen", mode: 0o444, at: .slot(.scratch))
        steps.add(
            mis_step_directory, deed: "making", object: "an empty folder", at: .slot(.scratch), path: "void", number: 0)
        for mount in plan.mounts {
            guard case .synthetic(let text) = mount.kind else { continue }
            steps.file(Paths.lastName(mount.target), text: text, at: .slot(.scratch))
        }
    }

    private var hasPrivateHome: Bool {
        plan.mounts.contains { $0.target == plan.identity.home && $0.isFresh }
    }

    private func relative(_ path: String) -> String { String(path.drop { $0 == "/" }) }

    // MARK: /proc and /dev

    /// Files of /proc that tell about the host, or control it; absent ones are passed over. Most belong to root alone,
    /// whom no agent is: the mask is the second layer.
    private static let maskedFiles = [
        "interrupts", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags",
        "latency_stats", "modules", "mtrr", "pagetypeinfo", "sched_debug", "slabinfo", "softirqs", "sysrq-trigger",
        "timer_list", "timer_stats", "vmallocinfo", "zoneinfo",
    ]
    private static let maskedFolders = ["acpi", "asound", "driver", "dynamic_debug", "pressure", "scsi"]
    private static let readOnlyFolders = ["bus", "fs", "irq", "sys"]

    private mutating func proc(_ steps: inout StepList) {
        let attributes = MountAttribute.noSetuid | MountAttribute.noDevices | MountAttribute.noExecute
        steps.newFileSystem("proc", options: [], attributes: attributes, slot: .fresh, object: "/proc")
        steps.add(
            mis_step_attach, deed: "mounting proc at", object: "/proc", at: .slot(.root), path: "proc", slot: .fresh)
        steps.add(mis_step_close, deed: "closing", slot: .fresh)
        // Maps and limits are written through this one later, when the visible one is read-only in parts.
        steps.add(
            mis_step_clone_mount, deed: "keeping a private handle on", object: "/proc", source: .slot(.root),
            sourcePath: "proc", slot: .proc)
        for name in Self.readOnlyFolders {
            steps.add(
                mis_step_bind, deed: "making read-only", object: "/proc/\(name)", at: .slot(.root),
                path: "proc/\(name)", source: .slot(.root), sourcePath: "proc/\(name)",
                attributes: attributes | MountAttribute.readOnly, flags: mis_flag_may_be_absent.rawValue)
        }
        for name in Self.maskedFiles { cover("proc/\(name)", "empty", &steps) }
        for name in Self.maskedFolders { cover("proc/\(name)", "void", &steps) }
        made.insert("/proc")
    }

    private func cover(_ path: String, _ with: String, _ steps: inout StepList) {
        steps.add(
            mis_step_bind, deed: "masking", object: "/\(path)", at: .slot(.root), path: path, source: .slot(.scratch),
            sourcePath: with, attributes: MountAttribute.readOnly | MountAttribute.noExecute,
            flags: mis_flag_may_be_absent.rawValue)
    }

    private static let nodes: [(name: String, major: UInt32, minor: UInt32)] = [
        ("full", 1, 7), ("null", 1, 3), ("random", 1, 8), ("tty", 5, 0), ("urandom", 1, 9), ("zero", 1, 5),
    ]

    private mutating func devices(_ steps: inout StepList) {
        let quiet = MountAttribute.noSetuid | MountAttribute.noExecute
        steps.folder("dev")
        steps.fileSystem("tmpfs", options: [("mode", "0755"), ("size", "64k")], attributes: quiet, path: "dev")
        for node in Self.nodes {
            if privileged {
                steps.add(
                    mis_step_node, deed: "making the device", object: "/dev/\(node.name)", at: .slot(.root),
                    path: "dev/\(node.name)", number: UInt64(S_IFCHR | 0o666),
                    value: UInt64(clinux_makedev(node.major, node.minor)))
            } else {
                // Only root makes device nodes: the host's is bound, after a look that it is one.
                steps.file("dev/\(node.name)", mode: 0o666)
                steps.add(
                    mis_step_bind, deed: "binding the device", object: "/dev/\(node.name)", at: .slot(.root),
                    path: "dev/\(node.name)", sourcePath: "/dev/\(node.name)",
                    attributes: quiet, identity: (try? FileStatus(of: "/dev/\(node.name)"))?.identity)
            }
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"), ("ptmx", "pts/ptmx"), ("stderr", "/proc/self/fd/2"),
            ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ] { steps.symlink("dev/\(name)", to: target) }
        steps.folder("dev/pts")
        steps.fileSystem(
            "devpts", options: [("ptmxmode", "0666"), ("mode", "0620")], attributes: quiet, path: "dev/pts")
        steps.folder("dev/shm")
        let size = plan.limits.tmpSize.map { [("size", String($0))] } ?? []
        steps.fileSystem(
            "tmpfs", options: [("mode", "1777")] + size, attributes: quiet | MountAttribute.noDevices, path: "dev/shm")
        steps.add(
            mis_step_mount_attributes, deed: "making read-only", object: "/dev", at: .slot(.root), path: "dev",
            attributes: MountAttribute.readOnly)
        made.insert("/dev")
    }

    // MARK: What the plan lists

    /// The mount a path stands on, among those already laid.
    private func mountAbove(_ path: String, including: Bool = false) -> PlannedMount? {
        plan.mounts.filter { Paths.isAtOrBelow(path, $0.target) && (including || $0.target != path) }
            .max { Paths.depth($0.target) < Paths.depth($1.target) }
    }

    private func isOurs(_ path: String) -> Bool {
        switch mountAbove(path)?.kind {
        case nil, .tmpfs, .mask: true
        case .bind, .synthetic: false
        }
    }

    private mutating func folders(above path: String, _ steps: inout StepList) {
        for folder in Paths.ancestors(path) where !made.contains(folder) && isOurs(folder) {
            if plan.mounts.contains(where: { $0.target == folder }) { continue }
            made.insert(folder)
            steps.folder(relative(folder))
            own(folder, &steps)
        }
    }

    /// Folders between the private home and what is listed in it are the agent's, like the home.
    private func own(_ path: String, _ steps: inout StepList) {
        guard privileged, Paths.isAtOrBelow(path, plan.identity.home),
            mountAbove(path, including: true)?.isFresh == true
        else { return }
        steps.add(
            mis_step_owner, deed: "giving to the agent", object: path, at: .slot(.root), path: relative(path),
            number: UInt64(plan.identity.hostUser), value: UInt64(plan.identity.hostGroup))
    }

    private mutating func link(_ link: HostObject.Link, _ steps: inout StepList) {
        guard isOurs(link.path), made.insert(link.path).inserted else { return }
        folders(above: link.path, &steps)
        steps.symlink(relative(link.path), to: link.target)
    }

    private mutating func mount(_ mount: PlannedMount, _ steps: inout StepList) {
        let path = relative(mount.target)
        folders(above: mount.target, &steps)
        if isOurs(mount.target), made.insert(mount.target).inserted {
            if case .synthetic(let text) = mount.kind {
                steps.file(path, text: text)
                return
            }
            if mount.isFolder { steps.folder(path) } else { steps.file(path, mode: 0o644) }
        }
        var attributes = MountAttribute.noSetuid | MountAttribute.noDevices
        if mount.readOnly { attributes |= MountAttribute.readOnly }
        if !mount.executable { attributes |= MountAttribute.noExecute }
        switch mount.kind {
        case .bind(let source, let identity, _, let recursive):
            steps.add(
                mis_step_bind, deed: "binding",
                object: source == mount.target ? source : "\(source) at \(mount.target)",
                at: .slot(.root), path: path, sourcePath: source, attributes: attributes,
                idmap: mount.idmap.flatMap { idmaps[$0] } ?? -1, identity: identity,
                flags: recursive ? mis_flag_recursive.rawValue : 0)
        case .tmpfs(let size, let mode, let owned):
            var options = [("mode", String(mode, radix: 8))]
            if let size { options.append(("size", String(size))) }
            if owned, privileged {
                options += [
                    ("uid", String(plan.identity.hostUser)), ("gid", String(plan.identity.hostGroup)),
                ]
            }
            steps.fileSystem("tmpfs", options: options, attributes: attributes, path: path)
        case .mask(let isFolder, let names): mask(mount, isFolder, names, attributes, &steps)
        case .synthetic:
            steps.add(
                mis_step_bind, deed: "laying our own over", object: mount.target, at: .slot(.root), path: path,
                source: .slot(.scratch), sourcePath: Paths.lastName(mount.target), attributes: attributes)
        }
    }

    /// With someone to answer opens (tier fanotify) the mask can be opened as far as the kernel's own checks go, so
    /// that the refusal is seen and told; else its mode refuses.
    private func mask(
        _ mount: PlannedMount, _ isFolder: Bool, _ names: [String], _ attributes: UInt64, _ steps: inout StepList
    ) {
        let path = relative(mount.target)
        guard isFolder else {
            steps.add(
                mis_step_bind, deed: "masking", object: mount.target, at: .slot(.root), path: path,
                source: .slot(.scratch), sourcePath: mount.marked ? "seen" : "empty",
                attributes: attributes)
            return
        }
        let nested = plan.mounts.contains { $0.target != mount.target && Paths.isAtOrBelow($0.target, mount.target) }
        let mode = mount.marked ? "0555" : nested ? "0111" : "0"
        steps.fileSystem(
            "tmpfs", options: [("mode", mode), ("size", "64k")], attributes: attributes & ~MountAttribute.readOnly,
            path: path)
        for name in names { steps.file("\(path)/\(name)") }
        // What is allowed again below a denied folder needs a place to be mounted at.
        for inner in plan.mounts where inner.target != mount.target && Paths.isAtOrBelow(inner.target, mount.target) {
            for folder in Paths.ancestors(inner.target)
            where Paths.isAtOrBelow(folder, mount.target) && folder != mount.target {
                steps.folder(relative(folder))
            }
            if inner.isFolder { steps.folder(relative(inner.target)) } else { steps.file(relative(inner.target)) }
        }
        steps.add(
            mis_step_mount_attributes, deed: "masking", object: mount.target, at: .slot(.root), path: path,
            attributes: MountAttribute.readOnly)
    }

    private mutating func homeContents(_ steps: inout StepList) {
        guard hasPrivateHome else { return }
        for file in plan.homeFiles {
            folders(above: file.path, &steps)
            guard let mode = file.mode, let contents = contents(of: file.hostPath) else { continue }
            steps.file(relative(file.path), mode: UInt64(mode), contents: contents)
            own(file.path, &steps)
        }
        for decoy in plan.decoys {
            folders(above: decoy.path, &steps)
            if decoy.isFolder {
                guard made.insert(decoy.path).inserted else { continue }
                steps.folder(relative(decoy.path), mode: 0o755)
            } else {
                steps.file(relative(decoy.path), mode: 0o444)
            }
        }
    }

    private func contents(of path: String) -> [UInt8]? {
        guard let file = try? FileDescriptor.openWithoutSymlinks(path, O_RDONLY) else { return nil }
        return (try? file.readAll(limit: 64 << 20)) ?? nil
    }

    private func marks(_ steps: inout StepList) {
        guard let fanotify else { return }
        for mount in plan.mounts where mount.marked {
            for sub in [""] + mount.subMounts.map({ "/" + $0 }) {
                steps.add(
                    mis_step_mark, deed: "watching opens on", object: mount.target + sub, at: .slot(.root),
                    path: relative(mount.target + sub), descriptor: fanotify, number: FanotifyMarks.flags,
                    value: FanotifyMarks.mask)
            }
        }
    }
}

/// What the supervisor is asked about on each marked mount: opens of files and folders, and executions.
enum FanotifyMarks {
    static let flags = UInt64(FAN_MARK_ADD) | UInt64(FAN_MARK_MOUNT)
    static let mask = UInt64(FAN_OPEN_PERM) | UInt64(FAN_OPEN_EXEC_PERM) | UInt64(FAN_ONDIR)
}

extension PlannedMount {
    var isFresh: Bool {
        if case .tmpfs = kind { true } else { false }
    }

    var isFolder: Bool {
        switch kind {
        case .bind(_, _, let isFolder, _), .mask(let isFolder, _): isFolder
        case .tmpfs: true
        case .synthetic: false
        }
    }
}
