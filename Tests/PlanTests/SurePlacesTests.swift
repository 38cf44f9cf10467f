import HostView
import LinuxSystem
import Testing

@testable import Plan

/// A place is only found by its name where nobody can have put a symlink on the way to it.
@Suite struct SurePlacesTests {
    private func mount(_ target: String, _ kind: PlannedMount.Kind, readOnly: Bool = false) -> PlannedMount {
        PlannedMount(
            target: target, kind: kind, readOnly: readOnly, executable: false, idmap: nil, marked: false, origin: "")
    }

    private func shown(_ path: String, readOnly: Bool = false) -> PlannedMount {
        let identity = ObjectIdentity(deviceMajor: 0, deviceMinor: 1, inode: 2)
        return mount(path, .bind(source: path, identity: identity, isFolder: true, recursive: true), readOnly: readOnly)
    }

    private var places: SurePlaces {
        SurePlaces(
            mounts: [
                shown("/etc", readOnly: true),
                mount("/etc/ssl/private", .mask(isFolder: true, names: []), readOnly: true),
                mount("/home/me", .tmpfs(size: nil, mode: 0o700, owned: true)), shown("/home/me/work"),
                mount("/home/me/work/denied", .mask(isFolder: true, names: []), readOnly: true),
                mount("/denied", .mask(isFolder: true, names: []), readOnly: true),
            ],
            links: [HostObject.Link(path: "/bin", target: "usr/bin")])
    }

    @Test func ourOwnFoldersAreSure() {
        for path in ["/etc", "/usr", "/home/me", "/home/me/work", "/home/me/a/b", "/denied/allowed"] {
            #expect(places.areOurs(path), "\(path)")
            #expect(places.contains(path), "\(path)")
        }
    }

    @Test func whatTheAgentWritesInIsNot() {
        for path in ["/home/me/work/.git", "/home/me/work/.git/hooks", "/home/me/work/denied/allowed"] {
            #expect(!places.areOurs(path), "\(path)")
            #expect(!places.contains(path), "\(path)")
        }
    }

    /// Its name is looked up in a folder of the host, but no symlink at it is followed.
    @Test func rightBelowAReadOnlyMountIsEnough() {
        #expect(places.contains("/etc/passwd"))
        #expect(!places.areOurs("/etc/passwd"))
        #expect(!places.contains("/etc/ssl/private"))
        #expect(!places.contains("/etc/ssl/private/x"))
    }

    @Test func linksOfOurOwnAreNotPassed() {
        for path in ["/bin/sh", "/bin", "/dev/fd/0", "/proc/net/dev"] {
            #expect(!places.areOurs(path), "\(path)")
            #expect(!places.contains(path), "\(path)")
        }
        #expect(places.contains("/binary"))
    }
}
