import HostView
import LinuxSystem
import Testing

/// What is looked at folder by folder is what is seen path by path.
@Suite struct HostFoldersTests {
    private func inFolder(_ deed: (String) throws -> Void) throws {
        var template = Array("/dev/shm/mis-folders-XXXXXX".utf8CString)
        let path = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer { remove(path) }
        try deed(path)
    }

    private func remove(_ folder: String) {
        for name in (try? namesInFolder(folder)) ?? [] {
            let path = folder + "/" + name
            if let status = try? FileStatus(of: path), status.isFolder { remove(path) } else { unlink(path) }
        }
        rmdir(folder)
    }

    private func touch(_ path: String) throws {
        close(try kernel { open(path, O_CREAT | O_WRONLY, 0o600) })
    }

    /// Folders, files, symlinks of every kind, and what is not there, each at the top and below every other.
    private func build(_ place: String) throws -> [String] {
        for folder in ["a", "a/b", "a/b/c"] { mkdir(place + "/" + folder, 0o755) }
        for file in ["file", "a/file", "a/b/file", "a/b/c/file"] { try touch(place + "/" + file) }
        for (name, target) in [
            ("to-file", "file"), ("to-folder", "a"), ("to-link", "to-folder"), ("absolute", place + "/a/b"),
            ("upwards", "a/b/../file"), ("a/b/up", "../../a"), ("through", "to-folder/b"), ("dots", "./a/./b//c"),
            ("gone", "nothing"), ("gone-below", "file/x"), ("self", "self"), ("ring", "ring-2"), ("ring-2", "ring"),
            ("within", "within/b"), ("deep", "a/b/c"), ("tricky", "deep/../file"), ("root", "/"),
            ("proc", "/proc/self"),
        ] { symlink(target, place + "/" + name) }
        let names = [
            "a", "a/b", "file", "to-file", "to-folder", "to-link", "absolute", "upwards", "through", "dots", "gone",
            "gone-below", "self", "ring", "within", "deep", "tricky", "root", "proc", "nothing", "a/b/up",
        ]
        let below = ["", "/file", "/b", "/b/c", "/b/up/b/file", "/c/file", "/none/at/all", "/etc/passwd", "/status"]
        return names.flatMap { name in below.map { place + "/" + name + $0 } }
    }

    @Test func isWhatLookingAtEachPathGives() throws {
        try inFolder { place in
            let paths = try build(place)
            let together = HostFolders()
            for path in paths + paths.reversed() where !path.contains("/proc/") {
                #expect(together.look(at: path) == HostProbe.look(at: path), "\(path)")
                #expect(HostFolders().look(at: path) == HostProbe.look(at: path), "\(path), asked first")
            }
        }
    }

    @Test func whatIsThereIsSeenWithItsSymlinks() throws {
        try inFolder { place in
            _ = try build(place)
            guard case .present(let object) = HostFolders().look(at: place + "/to-link/b/file") else {
                return #expect(Bool(false), "it is there")
            }
            #expect(object.canonical == place + "/a/b/file")
            #expect(object.links.map(\.path) == [place + "/to-link", place + "/to-folder"])
            #expect(object.status.isFile)
        }
    }

    @Test func moreFoldersThanStayOpen() throws {
        try inFolder { place in
            let folders = HostFolders()
            for number in 0..<200 {
                mkdir("\(place)/\(number)", 0o755)
                try touch("\(place)/\(number)/file")
                #expect(folders.look(at: "\(place)/\(number)/file") != .absent)
                #expect(folders.look(at: "\(place)/\(number)/none") == .absent)
            }
            #expect(try namesInFolder("/proc/self/fd").count < 150)
        }
    }

    @Test func theRootIsThere() { #expect(HostFolders().look(at: "/") == HostProbe.look(at: "/")) }
}
