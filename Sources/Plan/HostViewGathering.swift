public import HostView
public import LinuxSystem
public import Profile

extension HostView {
    /// Looks, once, at every place the rules and the request speak of. What is seen here is checked again, by
    /// identity, when it is mounted.
    public static func gather(
        profile: Profile, request: LaunchRequest, home: String, tier: Tier
    ) throws(Errno) -> HostView {
        var view = HostView()
        view.reserve(profile.filesystem.rules.count + 32)
        let folders = HostFolders()
        func look(_ path: String) { view.look(at: path, folders) }
        look(request.workspace)
        look(home)
        for bind in request.binds {
            look(bind.source)
            look(bind.target)
        }
        for name in ["group", "hostname", "hosts", "machine-id", "passwd"] { look("/etc/" + name) }
        // By index: a copy of each rule is what takes the most here.
        let rules = profile.filesystem.rules
        for index in rules.indices {
            let access = rules[index].access
            switch rules[index].pattern {
            case .path(let path):
                look(path)
                if access == .write, view[path] == .absent { look(Paths.parent(path)) }
                if access == .deny || access == .protect {
                    view.lookAbove(path, within: request.workspace, folders)
                }
                if access == .deny, tier.tellsRefusals, case .present(let object) = view[path],
                    object.status.isFolder
                {
                    view.list((try? namesInFolder(object.canonical, limit: 64)) ?? [], in: object.canonical)
                }
            case .glob(let folder, let glob):
                let matching = ((try? namesInFolder(folder, limit: 65536)) ?? []).filter { NameGlob.matches(glob, $0) }
                view.list(matching, in: folder)
                look(folder)
                for name in matching { look(Paths.join(folder, name)) }
            case .suffix, .unavailable: continue
            }
        }
        // Whoever is asked about opens marks each mount.
        if tier == .fanotify || tier == .bpf && profile.filesystem.rules.contains(where: KernelRules.cannotHold) {
            view.mountPoints = try HostProbe.mountPoints()
        }
        return view
    }

    /// The folders between the workspace and `path`: they may have to be held in place.
    private mutating func lookAbove(_ path: String, within workspace: String, _ folders: HostFolders) {
        guard Paths.isAtOrBelow(path, workspace) else { return }
        var folder = Paths.parent(path)
        while Paths.isAtOrBelow(folder, workspace), folder != "/" {
            look(at: folder, folders)
            folder = Paths.parent(folder)
        }
    }
}
