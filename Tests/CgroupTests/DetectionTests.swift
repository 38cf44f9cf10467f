import Foundation
import Testing

@testable import Cgroup

/// Where cgroups are looked for, on machines that are described, not met.
@Suite struct DetectionTests {
    private func detect(
        _ mounts: [String: FileSystemKind], user: UInt32 = 0, own: String? = nil, mount: String = "/c"
    ) -> CgroupDetection {
        CgroupHierarchy.detect(mount: mount, user: user, kind: { mounts[$0] }, ownCgroup: { own })
    }

    @Test func rootOnVersionTwo() {
        #expect(detect(["/c": .init(.cgroup2)]) == .found(CgroupHierarchy(unified: "/c")))
    }

    @Test func rootOnAHybridMachine() {
        let found = detect([
            "/c": .init(.other), "/c/unified": .init(.cgroup2), "/c/memory": .init(.cgroup1),
            "/c/pids": .init(.cgroup1), "/c/freezer": .init(.cgroup1), "/c/cpuacct": .init(.cgroup1),
            // A folder nothing is mounted on.
            "/c/cpu": .init(.other),
        ])
        #expect(
            found
                == .found(
                    CgroupHierarchy(
                        unified: "/c/unified",
                        legacy: [.init(.memory, "/c/memory"), .init(.processes, "/c/pids")])))
    }

    @Test func rootOnVersionOneAlone() {
        let found = detect(["/c": .init(.other), "/c/blkio": .init(.cgroup1), "/c/freezer": .init(.cgroup1)])
        #expect(
            found
                == .found(
                    CgroupHierarchy(
                        unified: nil, legacy: [.init(.io, "/c/blkio"), .init(.freezer, "/c/freezer")])))
    }

    @Test func whatCannotBeWrittenIsNoPlace() {
        guard case .none(let reason, let fix) = detect(["/c": .init(.cgroup2, readOnly: true)]) else {
            Issue.record("a read-only tree was taken")
            return
        }
        #expect(reason == "/c is mounted read-only")
        #expect(!fix.isEmpty)
        guard case .none(let nothing, let mount) = detect([:]) else {
            Issue.record("nothing was taken for something")
            return
        }
        #expect(nothing == "no cgroup file system is mounted at /c")
        #expect(mount == "mount -t cgroup2 none /c")
    }

    @Test func aUserGetsTheHighestDelegatedFolder() throws {
        // Folders this process may write stand for delegated ones; /proc stands for the rest of the tree.
        let mount = FileManager.default.temporaryDirectory.path + "/cgroup-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: mount) }
        let service = mount + "/user.slice/user-7.slice/user@7.service"
        let own = "/user.slice/user-7.slice/user@7.service/app.slice/run.scope"
        try FileManager.default.createDirectory(atPath: mount + own, withIntermediateDirectories: true)
        for folder in [service, service + "/app.slice", mount + own] {
            try Data().write(to: URL(filePath: folder + "/cgroup.procs"))
        }
        let found = detect([mount: .init(.cgroup2)], user: 7, own: "0::\(own)\n", mount: mount)
        #expect(found == .found(CgroupHierarchy(unified: service)))

        // A session outside of it cannot move there: no place, and the remedy says how to get one.
        let session = "/user.slice/user-7.slice/session-1.scope"
        try FileManager.default.createDirectory(atPath: mount + session, withIntermediateDirectories: true)
        guard
            case .none(let reason, let fix) = detect(
                [mount: .init(.cgroup2)], user: 7, own: "0::\(session)\n", mount: mount)
        else {
            Issue.record("an undelegated folder was taken")
            return
        }
        #expect(reason.contains("not delegated"))
        #expect(fix.contains("systemd-run --user --scope"))
    }

    @Test func aUserOutsideOfANamespaceHasNoPlace() throws {
        // What is above the mount could be written, and is no place all the same.
        let above = FileManager.default.temporaryDirectory.path + "/above-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: above) }
        try FileManager.default.createDirectory(atPath: above + "/m", withIntermediateDirectories: true)
        try Data().write(to: URL(filePath: above + "/cgroup.procs"))
        guard case .none = detect([above + "/m": .init(.cgroup2)], user: 7, own: "0::/..\n", mount: above + "/m") else {
            Issue.record("a folder above the mount was taken")
            return
        }
        let mounts: [String: FileSystemKind] = ["/c": .init(.cgroup2)]
        for own in ["0::/../..\n", "1:name=systemd:/\n", "0::\n", nil] {
            guard case .none = detect(mounts, user: 7, own: own) else {
                Issue.record("\(own ?? "nothing") was taken for a place")
                continue
            }
        }
    }
}
