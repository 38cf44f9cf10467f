import LinuxSystem

/// One folder of a sandbox's cgroup: the v2 one, or that of one v1 hierarchy.
final class CgroupFolder: Sendable {
    /// The v1 controller; `nil` for the v2 folder.
    let controller: CgroupController?
    let path: String
    private let descriptor: FileDescriptor
    /// v1: the folder's `tasks`.
    var tasks: String? { controller == nil ? nil : path + "/tasks" }

    /// Makes the folder `name` in our folder below `root`.
    /// - Parameter populate: called with the new folder's path; what the kernel does by itself, a test's fake tree
    ///   has to do: put the control files in.
    init(
        controller: CgroupController?, root: String, name: CgroupName, mayExist: Bool, populate: (String) -> Void
    ) throws(SystemError) {
        let parent = "\(root)/\(CgroupHierarchy.folderName)"
        let path = "\(parent)/\(name)"
        do throws(Errno) {
            try Self.make(path, below: parent, mayExist: mayExist, populate: populate)
        } catch {
            throw error.doing("making the cgroup", path)
        }
        populate(path)
        let opened: FileDescriptor
        do {
            opened = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        } catch {
            unsafe rmdir(path)
            throw error.doing("opening the cgroup", path)
        }
        self.controller = controller
        self.path = path
        descriptor = opened
    }

    private static func make(
        _ path: String, below parent: String, mayExist: Bool, populate: (String) -> Void
    ) throws(Errno) {
        var attempts = 0
        while true {
            do throws(Errno) {
                try kernel { unsafe mkdir(path, 0o700) }
                return
            } catch let error where error.code == EEXIST && mayExist {
                return
            } catch let error where error.code == ENOENT && attempts < 5 {
                // The first sandbox here, or somebody just took the empty folder away.
                attempts += 1
                if unsafe mkdir(parent, 0o755) == 0 { populate(parent) }
            }
        }
    }

    var directory: Int32 { descriptor.number }

    func read(_ file: String) -> String? { try? readText(file, at: directory) }

    func write(_ text: String, to file: String) throws(Errno) {
        try writeText(text, to: file, at: directory)
    }

    /// Takes the lock that says: somebody sees to this cgroup. False when another has it.
    func lock() -> Bool { flock(directory, LOCK_EX | LOCK_NB) == 0 }
}
