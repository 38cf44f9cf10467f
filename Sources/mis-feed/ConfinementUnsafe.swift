import CFeed
import Feed
import LinuxSystem
import PolicyFiles

/// What the process gives up before it reads a stranger's byte. Unsafe: a C array of paths.
enum Confinement {
    /// What the libraries read: themselves, authorities, how names are resolved.
    private static let readable = [
        "/usr", "/lib", "/lib64", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts",
        "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols",
        "/etc/ld.so.cache", "/etc/localtime", "/etc/crypto-policies", "/run/systemd/resolve", "/run/NetworkManager",
        "/run/resolvconf", "/dev/urandom", "/dev/null",
    ]

    /// Bytes of address space: the largest bundle three times over (libmosquitto holds a message twice), libraries, stacks.
    private static let memory: UInt64 = 1536 << 20

    /// - Returns: what is given up, for the status.
    static func enter(policy: PolicyFolder, feed: FeedFolder, credentials: FeedCredentials) throws(SystemError)
        -> [String]
    {
        let files = [credentials.ca, credentials.cert, credentials.certKey].compactMap { $0 }
        let reading = readable + files + [policy.path]
        var paths: [feed_path] = unsafe []
        var texts: [UnsafeMutablePointer<CChar>] = unsafe []
        defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
        for (path, access) in reading.map({ ($0, feed_access_read) })
            + [policy.incoming, feed.path].map({ ($0, feed_access_write) })
        {
            guard let text = unsafe strdup(path) else { continue }
            unsafe texts.append(text)
            unsafe paths.append(feed_path(path: text, access: access))
        }
        // A valid text until it is set.
        var step = unsafe UnsafePointer<CChar>?(nil)
        let count = unsafe paths.count
        let done = unsafe feed_confine(&paths, count, memory, &step)
        guard done >= 0 else {
            let error = Errno(errno)
            throw error.doing(unsafe step.map { unsafe String(cString: $0) } ?? "confining itself")
        }
        var words = ["capabilities", "seccomp"]
        let parts: [(feed_confined, String)] = [
            (feed_confined_landlock, "landlock"), (feed_confined_network, "network"), (feed_confined_scopes, "scopes"),
        ]
        for (bit, word) in parts where UInt32(done) & bit.rawValue != 0 { words.append(word) }
        return words
    }
}
