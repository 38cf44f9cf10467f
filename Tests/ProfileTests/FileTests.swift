import Foundation
import Testing

@testable import Profile

/// Real files: what may be a profile, and where it is looked for.
@Suite final class FileTests {
    private let folder: String
    private var owner: UInt32 { getuid() }

    init() throws {
        folder = NSTemporaryDirectory() + "/mis-profile-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder + "/user", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: folder + "/system", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private var sources: ProfileSources {
        ProfileSources.folders(user: folder + "/user", system: folder + "/system", owner: owner)
    }

    private func write(_ path: String, _ text: String, mode: Int = 0o644) throws {
        let full = "\(folder)/\(path)"
        #expect(FileManager.default.createFile(atPath: full, contents: Data(text.utf8)))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: full)
    }

    private func load(_ name: String) -> Result<Profile, ProfileErrors> {
        do throws(ProfileErrors) {
            return .success(try ProfileLoader(sources: sources, variables: variables).load(name).profile)
        } catch {
            return .failure(error)
        }
    }

    private func refusal(_ name: String) -> String {
        if case .failure(let errors) = load(name) { return errors.description }
        return "loaded"
    }

    @Test func theUserComesBeforeTheSystemBeforeTheBuiltIns() throws {
        #expect(try load("job").get().description.hasPrefix("One-shot job") == true)
        try write("system/job.toml", "description = \"system\"")
        #expect(try load("job").get().description == "system")
        try write("user/job.toml", "description = \"user\"")
        let profile = try load("job").get()
        #expect(profile.description == "user")
        #expect(profile.name == "job")
        try write("other.toml", "description = \"file\"")
        #expect(try load(folder + "/other.toml").get().description == "file")
        #expect(try load(folder + "/other.toml").get().name == "other")
        #expect(sources.list().filter { $0.name == "job" }.map(\.place) == [.user, .system, .builtIn])
    }

    @Test func namesAreNoPaths() throws {
        try write("secret.toml", "")
        for name in ["../secret", ".", "..", "", "-p", ".hidden", "a b", "a\0b"] {
            #expect(refusal(name) != "loaded", "\(name)")
        }
        #expect(refusal(folder + "/secret.toml") == "loaded")
    }

    @Test func othersMayNotWriteIt() throws {
        for mode in [0o644, 0o600, 0o444, 0o755] {
            try write("user/p.toml", "", mode: mode)
            #expect(refusal("p") == "loaded", "\(String(mode, radix: 8))")
        }
        for mode in [0o664, 0o646, 0o666, 0o620, 0o602] {
            try write("user/p.toml", "", mode: mode)
            #expect(
                refusal("p") == "\(folder)/user/p.toml: can be written by others than its owner; chmod go-w it",
                "\(String(mode, radix: 8))")
        }
        // A refused file of the user's is not passed over for another of that name.
        try write("system/p.toml", "")
        #expect(refusal("p") != "loaded")
    }

    @Test func itBelongsToRootOrTheCaller() throws {
        try write("user/p.toml", "")
        let stranger = ProfileSources.folders(user: folder + "/user", system: "/nowhere", owner: owner &+ 1)
        let mine = ProfileSources.folders(user: folder + "/user", system: "/nowhere", owner: owner)
        #expect(try mine.find("p") != nil)
        if owner == 0 {
            // Root's files are everybody's to use; a stranger's are not.
            #expect(try stranger.find("p") != nil)
            #expect(unsafe chown(folder + "/user/p.toml", 12345, 12345) == 0)
            #expect(refusal("p").contains("belongs to uid 12345"))
        } else {
            #expect(throws: ProfileSources.Refusal.self) { try stranger.find("p") }
        }
    }

    @Test func onlyRegularFilesAndNoLinks() throws {
        try write("real.toml", "")
        try FileManager.default.createSymbolicLink(
            atPath: folder + "/user/link.toml", withDestinationPath: folder + "/real.toml")
        #expect(refusal("link") == "\(folder)/user/link.toml: a symbolic link; name the file itself")
        #expect(refusal(folder + "/real.toml") == "loaded")
        try FileManager.default.createDirectory(atPath: folder + "/user/dir.toml", withIntermediateDirectories: true)
        #expect(refusal("dir").contains("not a regular file"))
        #expect(unsafe mkfifo(folder + "/user/pipe.toml", 0o600) == 0)
        #expect(refusal("pipe").contains("not a regular file"))
        #expect(refusal("/dev/null").contains("not a regular file"))
        #expect(refusal(folder + "/absent.toml").contains("no profile"))
        #expect(refusal(folder + "/real.toml/x").contains("no profile"))
    }

    @Test func aMebibyteIsTheMost() throws {
        try write("user/p.toml", String(repeating: " ", count: 1 << 20))
        #expect(refusal("p") == "loaded")
        try write("user/p.toml", String(repeating: " ", count: 1 << 20 + 1))
        #expect(refusal("p").contains("1 MiB"))
    }

    @Test func parentsByPath() throws {
        try write("base.toml", "[limits]\npids = 77")
        try write("user/p.toml", "extends = [\"\(folder)/base.toml\"]")
        #expect(try load("p").get().limits.pids == 77)
        try write("base.toml", "", mode: 0o666)
        #expect(refusal("p").contains("can be written by others"))
    }
}
