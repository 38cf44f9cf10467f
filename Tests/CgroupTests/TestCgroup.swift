import Foundation
import LinuxSystem
import Testing

@testable import Cgroup

/// The machine's own cgroups, as root: what these tests are about, so its absence is a failure.
func machineHierarchy() throws -> CgroupHierarchy {
    try #require(geteuid() == 0, "these tests make real cgroups: run them as root")
    return try #require(CgroupHierarchy.detect().hierarchy)
}

/// The v1 hierarchies without a v2 tree beside them; nil on a machine without v1.
func legacyHierarchy() -> CgroupHierarchy? {
    let legacy = CgroupController.allCases.compactMap { controller -> CgroupHierarchy.LegacyHierarchy? in
        let path = "/sys/fs/cgroup/\(controller.legacyFolder)"
        guard FileSystemKind(path: path)?.magic == .cgroup1 else { return nil }
        return .init(controller, path)
    }
    return legacy.isEmpty ? nil : CgroupHierarchy(unified: nil, legacy: legacy)
}

/// Makes a cgroup, and whatever happens kills what is in it and removes it.
func withCgroup<Result>(
    _ limits: CgroupLimits = CgroupLimits(), named name: CgroupName = .new(), in hierarchy: CgroupHierarchy,
    _ body: (SandboxCgroup) throws -> Result
) throws -> Result {
    let cgroup = try SandboxCgroup.create(
        name: name, limits: limits, in: hierarchy, weightProblem: { nil }, populate: { _ in })
    defer {
        try? cgroup.kill()
        try? cgroup.remove()
        // Others may be making theirs meanwhile: that has to work.
        hierarchy.removeEmptyFolders()
    }
    return try body(cgroup)
}

/// A shell that enters the cgroup as a launched child does (writing "0" into `tasks` and, in place of
/// CLONE_INTO_CGROUP, into `cgroup.procs`), then runs `script`.
struct Inmate {
    let process = Process()
    let output = Pipe()

    init(_ script: String, in cgroup: SandboxCgroup) throws {
        let entries = cgroup.folders.map { "\($0.path)/\($0.controller == nil ? "cgroup.procs" : "tasks")" }
        let enter = entries.map { "echo 0 > \($0)" }.joined(separator: " && ")
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", "\(enter) || exit 99; \(script)"]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    /// Waits for the line it prints when it is where it should be.
    func line() -> String {
        String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    }

    func end() { process.waitUntilExit() }
}

/// Waits until `condition` holds; false when it did not within the time.
func eventually(within seconds: Double = 5, _ condition: () -> Bool) -> Bool {
    let deadline = Clock.monotonic() + UInt64(seconds * 1e9)
    while !condition() {
        if Clock.monotonic() > deadline { return false }
        usleep(2000)
    }
    return true
}

// The calls strict memory safety wants marked, once.

func isThere(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
@discardableResult func makeFolder(_ path: String, _ mode: mode_t = 0o755) -> Bool { unsafe mkdir(path, mode) == 0 }
func removeFolder(_ path: String) { unsafe rmdir(path) }
func give(_ path: String, to user: uid_t) -> Bool { unsafe chown(path, user, user) == 0 }

func isReady(_ descriptor: Int32, _ events: Int16) -> Bool {
    var polled = pollfd(fd: descriptor, events: events, revents: 0)
    return unsafe poll(&polled, 1, 1000) == 1
}
