import LinuxSystem
public import ThreatPolicy

/// What a sandbox is to enforce now: loaded as a whole, and replaced as a whole.
public struct PolicySnapshot: Sendable {
    public var policy: ThreatPolicy
    /// Names of the bundles' files, to see whether something changed.
    public var files: [String?]
    public var whitelistStamp: String

    /// The versions for reports: serials, and the whitelist's own.
    public var versions: (base: String?, hotfix: String?, whitelist: String?) {
        (
            policy.base.map { "\($0.header.serial)" }, policy.hotfix.map { "\($0.header.serial)" },
            policy.whitelist.version
        )
    }
}

extension PolicyFolder {
    /// Whether there is a policy folder at all: one look.
    public var exists: Bool { (try? FileStatus(of: path)) != nil }

    /// Loads what is in force for a session.
    /// - Parameters:
    ///   - kinds: which bundles the profile wants.
    ///   - old: what the session has; returned unchanged (`nil`) when it is still in force.
    public func load(
        session: String, kinds: [BundleKind], unlessIs old: PolicySnapshot? = nil, calls: KeyText.CallNumbers
    ) throws(PolicyFolderError) -> PolicySnapshot? {
        let active = try active()
        let files = BundleKind.allCases.map { kinds.contains($0) ? active.file($0, session: session) : nil }
        let stamp = whitelistStamp()
        if let old, old.files == files, old.whitelistStamp == stamp { return nil }
        func bundle(_ place: Int) throws(PolicyFolderError) -> Bundle? {
            guard let name = files[place] else { return nil }
            let held = place == 0 ? old?.policy.base : old?.policy.hotfix
            if let old, old.files[place] == name, let held { return held }
            return try stored(name)
        }
        var whitelist = old?.policy.whitelist
        if whitelist == nil || old?.whitelistStamp != stamp { whitelist = try readWhitelist(calls: calls) }
        return PolicySnapshot(
            policy: ThreatPolicy(whitelist: whitelist ?? Whitelist([]), hotfix: try bundle(1), base: try bundle(0)),
            files: files, whitelistStamp: stamp)
    }

    public func readWhitelist(calls: KeyText.CallNumbers) throws(PolicyFolderError) -> Whitelist {
        do {
            let file = try FileDescriptor.open(whitelistFile, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            guard let text = try file.readAll(limit: 4 << 20) else { throw Errno(EFBIG) }
            return Whitelist(try WhitelistFile.read(text, name: whitelistFile, calls: calls))
        } catch let error as Errno {
            if error.code == ENOENT { return Whitelist([]) }
            throw PolicyFolderError(error.doing("reading the whitelist", whitelistFile))
        } catch {
            throw PolicyFolderError("\(error)")
        }
    }

    private func whitelistStamp() -> String {
        guard let status = try? FileStatus(of: whitelistFile, flags: 0) else { return "" }
        return "\(status.deviceMajor):\(status.deviceMinor):\(status.inode):\(status.size):\(status.modified)"
    }
}
