import Enforce
import Plan

extension SandboxPlan {
    /// Takes back what cannot be asked about: a network file system may hold its folder while it opens, and a supervisor
    /// that looks at the object would wait for itself.
    mutating func leaveOutForeignFileSystems() {
        for index in mounts.indices where mounts[index].marked {
            guard case .bind(let source, _, _, _) = mounts[index].kind, !FileSystemKind.isLocal(path: source) else {
                continue
            }
            mounts[index].marked = false
            unenforced.append(
                "\(mounts[index].target): opens on this kind of file system cannot be asked about; only mounts and "
                    + "Landlock hold there (tier landlock)")
        }
    }
}
