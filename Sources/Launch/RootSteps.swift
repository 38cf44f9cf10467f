import CLaunch
import HostView
import LinuxSystem
import Plan

/// Steps that lay what the plan lists into the private root; nothing else exists in it but /proc and /dev.
///
/// Everything is mounted below a tmpfs that stands on top of `/` but is not the root yet, so that host paths still
/// resolve; pivot_root comes later. Targets are opened below that tmpfs without following symlinks, or found by their name
/// where there can be none (``SurePlaces``).
struct RootSteps {
    private let plan: SandboxPlan
    private let idmaps: IdmapTable
    private let fanotify: Int32?
    private let privileged: Bool
    private let sure: SurePlaces
    private var made = PathIndex(["/", "/dev", "/proc"])

    /// - Parameters:
    ///   - idmaps: which the child receives before the first mount that needs one.
    ///   - fanotify: the group that is asked about opens, in tier fanotify.
    init(plan: SandboxPlan, idmaps: IdmapTable, fanotify: Int32?) {
        self.plan = plan
        self.idmaps = idmaps
        self.fanotify = fanotify
        privileged = plan.groundwork.isPrivileged
        sure = SurePlaces(plan)
    }

    mutating func write(to steps: inout StepList) {
        for index in plan.mounts.indices {
            guard case .synthetic(let text) = plan.mounts[index].kind else { continue }
            steps.file(Paths.lastName(plan.mounts[index].target), text: text, at: .slot(.scratch))
        }
        for link in plan.links { self.link(link, &steps) }
        var hasIdmaps = false
        for index in plan.mounts.indices {
            if !hasIdmaps, plan.mounts[index].idmap != nil {
                idmaps.receive(&steps)
                hasIdmaps = true
            }
            mount(plan.mounts[index], &steps)
        }
        homeContents(&steps)
        steps.add(
            mis_step_mount_attributes, deed: "making the private root read-only", at: .slot(.root), path: "",
            attributes: MountAttribute.readOnly, flags: mis_flag_sure_place.rawValue)
        if hasPrivateHome, !plan.homeFiles.isEmpty || !plan.homePatterns.isEmpty {
            steps.add(
                mis_step_clone_mount, deed: "keeping the home folder for writing back", object: plan.identity.home,
                source: .slot(.root), sourcePath: relative(plan.identity.home), slot: .home)
            steps.add(
                mis_step_send, deed: "handing over the home folder", slot: .home,
                number: UInt64(SentDescriptor.home.rawValue))
        }
        marks(&steps)
    }

    private var hasPrivateHome: Bool {
        plan.mounts.indices.contains { plan.mounts[$0].kind.isFresh && plan.mounts[$0].target == plan.identity.home }
    }

    private func relative(_ path: String) -> String { String(Substring(path.utf8.drop { $0 == UInt8(ascii: "/") })) }

    // MARK: What the plan lists

    private func isOurs(_ path: String) -> Bool {
        guard let above = sure.places.nearest(above: path) else { return true }
        switch plan.mounts[above].kind {
        case .tmpfs, .mask: return true
        case .bind, .synthetic: return false
        }
    }

    private func placeFlags(_ path: String) -> UInt32 { sure.contains(path) ? mis_flag_sure_place.rawValue : 0 }

    private mutating func folders(above path: String, _ steps: inout StepList) {
        for folder in Paths.ancestors(path) where made.place(of: folder) == nil && isOurs(folder) {
            if sure.places.at(folder) != nil { continue }
            made.insert(folder)
            steps.folder(relative(folder))
            own(folder, &steps)
        }
    }

    /// Folders between the private home and what is listed in it are the agent's, like the home.
    private func own(_ path: String, _ steps: inout StepList) {
        guard privileged, Paths.isAtOrBelow(path, plan.identity.home),
            let above = sure.places.nearest(above: path, orAt: true), plan.mounts[above].kind.isFresh
        else { return }
        steps.add(
            mis_step_owner, deed: "giving to the agent", object: path, at: .slot(.root), path: relative(path),
            number: UInt64(plan.identity.hostUser), value: UInt64(plan.identity.hostGroup))
    }

    private mutating func link(_ link: HostObject.Link, _ steps: inout StepList) {
        guard isOurs(link.path), made.insert(link.path).isNew else { return }
        folders(above: link.path, &steps)
        steps.symlink(relative(link.path), to: link.target)
    }

    private mutating func mount(_ mount: PlannedMount, _ steps: inout StepList) {
        let path = relative(mount.target)
        folders(above: mount.target, &steps)
        if isOurs(mount.target), made.insert(mount.target).isNew {
            if case .synthetic(let text) = mount.kind {
                steps.file(path, text: text)
                return
            }
            if mount.kind.isFolder { steps.folder(path) } else { steps.file(path, mode: 0o644) }
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
                idmap: idmaps.slot(of: mount.idmap), identity: identity,
                flags: (recursive ? mis_flag_recursive.rawValue : 0) | sourceFlags(source) | placeFlags(mount.target))
        case .tmpfs(let size, let mode, let owned):
            var options = [("mode", Self.octal(mode))]
            if let size { options.append(("size", String(size))) }
            if owned, privileged {
                options += [
                    ("uid", String(plan.identity.hostUser)), ("gid", String(plan.identity.hostGroup)),
                ]
            }
            if sure.areOurs(mount.target), !mount.readOnly {
                steps.ownFileSystem("tmpfs", options: options, attributes: attributes, path: path)
            } else {
                steps.fileSystem("tmpfs", options: options, attributes: attributes, path: path)
            }
        case .mask(let isFolder, let names): mask(mount, isFolder, names, attributes, &steps)
        case .synthetic:
            steps.add(
                mis_step_bind, deed: "laying our own over", object: mount.target, at: .slot(.root), path: path,
                source: .slot(.scratch), sourcePath: Paths.lastName(mount.target), attributes: attributes,
                flags: mis_flag_sure_source.rawValue | placeFlags(mount.target))
        }
    }

    /// As the kernel reads modes, without the runtime's general way to write numbers, which takes it longer to set up
    /// than a mount takes.
    private static func octal(_ mode: UInt32) -> String {
        let digits = [9, 6, 3, 0].map { UInt8(ascii: "0") + UInt8(truncatingIfNeeded: mode >> $0 & 7) }
        return String(decoding: digits, as: UTF8.self)
    }

    /// What lies in the host's root folder: the only name on the way is the last, which is not followed.
    private func sourceFlags(_ path: String) -> UInt32 { Paths.depth(path) == 1 ? mis_flag_sure_source.rawValue : 0 }

    /// With someone who sees opens (tiers bpf and fanotify) the mask can be opened as far as the kernel's own checks go, so
    /// that the refusal is seen and told; else its mode refuses.
    private func mask(
        _ mount: PlannedMount, _ isFolder: Bool, _ names: [String], _ attributes: UInt64, _ steps: inout StepList
    ) {
        let path = relative(mount.target)
        let flags = mis_flag_sure_source.rawValue | placeFlags(mount.target)
        if !isFolder, plan.tier.tellsRefusals {
            steps.add(
                mis_step_bind, deed: "masking", object: mount.target, at: .slot(.root), path: path,
                source: .slot(.scratch), sourcePath: "seen", attributes: attributes, flags: flags)
            return
        }
        let nested = plan.mounts.contains { mount.isAbove($0.target) }
        if !plan.tier.tellsRefusals, !isFolder || !nested {
            steps.add(
                mis_step_bind, deed: "masking", object: mount.target, at: .slot(.root), path: path,
                source: .slot(.root), sourcePath: isFolder ? Mask.folder : Mask.file, flags: flags)
            return
        }
        let mode = plan.tier.tellsRefusals ? "0555" : nested ? "0111" : "0"
        steps.fileSystem(
            "tmpfs", options: [("mode", mode), ("size", "64k")], attributes: attributes & ~MountAttribute.readOnly,
            path: path)
        for name in names { steps.file("\(path)/\(name)") }
        // What is allowed again below a denied folder needs a place to be mounted at.
        for inner in plan.mounts where mount.isAbove(inner.target) {
            for folder in Paths.ancestors(inner.target)
            where Paths.isAtOrBelow(folder, mount.target) && folder != mount.target {
                steps.folder(relative(folder))
            }
            if inner.kind.isFolder { steps.folder(relative(inner.target)) } else { steps.file(relative(inner.target)) }
        }
        steps.add(
            mis_step_mount_attributes, deed: "masking", object: mount.target, at: .slot(.root), path: path,
            attributes: MountAttribute.readOnly, flags: placeFlags(mount.target))
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
                guard made.insert(decoy.path).isNew else { continue }
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
        // Since 6.18 the kernel settles at an open whether reads will be asked about: the mark has to be there from the start.
        let asksAboutReads = plan.tier == .fanotify && plan.policy.revoke
        let mask = FanotifyMarks.mask | (asksAboutReads ? UInt64(FAN_ACCESS_PERM) : 0)
        func mark(_ path: String) {
            steps.add(
                mis_step_mark, deed: "watching opens on", object: path, at: .slot(.root), path: relative(path),
                descriptor: fanotify, number: FanotifyMarks.flags, value: mask, flags: placeFlags(path))
        }
        for index in plan.mounts.indices where plan.mounts[index].marked {
            mark(plan.mounts[index].target)
            for sub in plan.mounts[index].subMounts { mark(plan.mounts[index].target + "/" + sub) }
        }
    }
}

/// What the supervisor is asked about on each marked mount: opens of files and folders, and executions.
enum FanotifyMarks {
    static let flags = UInt64(FAN_MARK_ADD) | UInt64(FAN_MARK_MOUNT)
    static let mask = UInt64(FAN_OPEN_PERM) | UInt64(FAN_OPEN_EXEC_PERM) | UInt64(FAN_ONDIR)
}

extension PlannedMount.Kind {
    var isFresh: Bool {
        if case .tmpfs = self { true } else { false }
    }

    var isFolder: Bool {
        switch self {
        case .bind(_, _, let isFolder, _), .mask(let isFolder, _): isFolder
        case .tmpfs: true
        case .synthetic: false
        }
    }
}
