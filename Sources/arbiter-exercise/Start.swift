import Arbiter
import LinuxSystem

/// What a run that finds the programs pays: to open them, to enter a sandbox, to take it out. Medians of 20.
func start(_ given: Options) throws {
    var options = given
    try options.open()
    let cgroup = "/sys/fs/cgroup/exercise-\(getpid())"
    try kernel { unsafe mkdir(cgroup, 0o755) }
    defer { unsafe rmdir(cgroup) }
    let number = try FileStatus(of: cgroup).identity.inode
    var phases: [String: [Int64]] = [:]
    for _ in 0..<20 {
        let begun = Clock.monotonic()
        let arbiter = try options.arbiter()
        let opened = Clock.monotonic()
        let sandbox = try arbiter.register(cgroup: number, session: 1, policy: options.policy)
        let registered = Clock.monotonic()
        try arbiter.unregister(sandbox)
        phases["open", default: []].append(Int64(opened - begun))
        phases["register", default: []].append(Int64(registered - opened))
        phases["unregister", default: []].append(Int64(Clock.monotonic() - registered))
    }
    print(phases.map { "\($0.key) \($0.value.sorted()[$0.value.count / 2])" }.joined(separator: " "))
}
