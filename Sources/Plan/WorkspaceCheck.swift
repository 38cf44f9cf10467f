import HostView

/// Workspaces that would hand the agent more than a project.
enum WorkspaceCheck {
    private static let systemFolders = [
        "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/run", "/sbin",
        "/sys", "/usr", "/var",
    ]

    static func refusals(request: LaunchRequest, host: HostView) -> [String] {
        let workspace = request.workspace
        guard case .present(let object) = host[workspace] else {
            return ["workspace \(workspace): no such folder; give one that exists with --workspace"]
        }
        guard object.status.isFolder else {
            return ["workspace \(workspace): not a folder; give the folder the agent is to work in"]
        }
        // /proc, /sys and /dev are replaced inside; nothing of the host's may stand there in spite of --force-workspace.
        for folder in ["/proc", "/sys", "/dev"] where Paths.isAtOrBelow(object.canonical, folder) {
            return ["workspace \(workspace): \(folder) is the kernel's and is never shared with a sandbox"]
        }
        if object.canonical == "/" {
            return ["workspace /: the whole machine would be the agent's; choose a project's folder"]
        }
        if request.forceWorkspace { return [] }
        return reasons(object.canonical, request).map {
            "workspace \(workspace): \($0); choose a project's folder, or say --force-workspace if you mean it"
        }
    }

    private static func reasons(_ workspace: String, _ request: LaunchRequest) -> [String] {
        var reasons: [String] = []
        let homes = [request.caller.home, request.caller.account?.home].compactMap { $0 }
        if workspace == "/home" || workspace == "/root" && !homes.contains("/root") {
            reasons.append("people's home folders are in it")
        }
        if homes.contains(where: { Paths.isAtOrBelow($0, workspace) && $0 != "/" }) {
            reasons.append("it is, or holds, the home folder with its keys and start-up files")
        }
        if systemFolders.contains(where: { workspace == $0 || Paths.isAtOrBelow($0, workspace) })
            || ["/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib64"].contains(where: {
                Paths.isAtOrBelow(workspace, $0)
            }) && !Paths.isAtOrBelow(workspace, "/usr/src")
        {
            reasons.append("it is part of the system")
        }
        if let file = request.profileFile, Paths.isAtOrBelow(file, workspace) {
            reasons.append("the profile \(file) is inside, where the agent could rewrite it for its next run")
        }
        return reasons
    }
}
