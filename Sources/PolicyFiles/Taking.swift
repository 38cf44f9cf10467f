import JSONText
import LinuxSystem
public import ThreatPolicy

/// What became of a file in `incoming`.
public enum TakenBundle: Equatable, Sendable {
    case accepted(BundleKind, serial: UInt64)
    case refused(file: String, reason: String)

    public var description: String {
        switch self {
        case .accepted(let kind, let serial): "\(kind.label) \(serial) is in force"
        case .refused(let file, let reason): "\(file): refused: \(reason)"
        }
    }
}

extension PolicyFolder {
    /// Files of `incoming` that one process has looked at: each is told once.
    public struct Seen: Sendable {
        fileprivate var identities: Set<String> = []
        public init() {}
    }

    /// Looks into `incoming` and takes what is newer than what is in force. Called by everybody who watches the folder:
    /// whoever is first takes the bundle, the others find it in force.
    /// - Returns: what was accepted here, and every file not seen before that is refused; `isBusy`: somebody else was at
    ///   it, so look again.
    public func takeIncoming(
        _ seen: inout Seen, now: Int64
    ) throws(PolicyFolderError) -> (taken: [TakenBundle], isBusy: Bool) {
        var taken: [TakenBundle] = []
        var isBusy = false
        for name in ((try? namesInFolder(incoming)) ?? []).sorted() where name.hasSuffix(".mip") && !name.hasPrefix(".")
        {
            switch try takeIncoming(name, &seen, now: now) {
            case .nothing: break
            case .busy: isBusy = true
            case .taken(let one): taken.append(one)
            }
        }
        return (taken, isBusy)
    }

    private enum Step {
        case nothing
        case busy
        case taken(TakenBundle)
    }

    private func takeIncoming(_ name: String, _ seen: inout Seen, now: Int64) throws(PolicyFolderError) -> Step {
        // Neither waits for a pipe's writer nor for a terminal; a symlink is how ConfigMaps are laid out.
        guard let file = try? FileDescriptor.open("\(incoming)/\(name)", O_RDONLY | O_NONBLOCK | O_NOCTTY),
            let status = try? file.status()
        else { return .nothing }
        let identity =
            "\(status.deviceMajor):\(status.deviceMinor):\(status.inode):\(status.size):\(status.modified)"
        guard !seen.identities.contains(identity) else { return .nothing }
        let active = try active()
        if let known = active.refused.first(where: { $0.identity == identity && $0.name == name }) {
            seen.identities.insert(identity)
            return .taken(.refused(file: name, reason: known.reason))
        }
        // Most who look come too late: the head alone tells, and need not be believed for that.
        if status.isFile, let head = try? file.head(), let part = BundleHeader.peek(head),
            active[part.kind].highest == part.serial
        {
            seen.identities.insert(identity)
            return .nothing
        }
        // One verifies, the others find what came of it.
        let step = try change(waits: false) { active throws(PolicyFolderError) -> TakenBundle in
            do {
                guard status.isFile else { throw PolicyFolderError("it is no regular file") }
                guard let bytes = try file.readAll(limit: BundleKind.base.largestFile) else {
                    throw BundleError.oversized(Int(status.size))
                }
                let bundle = try Bundle(PolicyBytes(bytes), trust: .keys(try trustedKeys()))
                try bundle.check(now: now, after: active[bundle.header.kind].highest)
                try enforce(bundle, bytes, percent: 100, now: now, isLasting: false, in: &active)
                return .accepted(bundle.header.kind, serial: bundle.header.serial)
            } catch {
                let reason = "\(error)"
                refuse(name, identity, reason, now: now, in: &active)
                return .refused(file: name, reason: reason)
            }
        }
        guard let step else { return .busy }
        seen.identities.insert(identity)
        return .taken(step)
    }

    private func refuse(
        _ name: String, _ identity: String, _ reason: String, now: Int64, in active: inout ActivePolicy
    ) {
        guard !active.refused.contains(where: { $0.identity == identity && $0.name == name }) else { return }
        active.refused.insert(.init(name: name, identity: identity, reason: reason, time: now), at: 0)
        active.refused = Array(active.refused.prefix(ActivePolicy.refusedKept))
        note("refused", now: now) { writer in
            writer.member("file", name)
            writer.member("reason", reason)
        }
    }

    /// Puts a verified bundle, which `bytes` are, into the store and into force.
    /// - Parameter percent: of the sandboxes; below 100: as canary, beside what is in force.
    private func enforce(
        _ bundle: Bundle, _ bytes: [UInt8], percent: Int, now: Int64, isLasting: Bool, in active: inout ActivePolicy
    ) throws(PolicyFolderError) {
        let name = Self.storeName(bundle)
        let kind = bundle.header.kind
        // What was a canary may come into force for all.
        let isPromotion = percent == 100 && active[kind].canary?.file == name
        if !isPromotion { try write(bytes, to: "\(store)/\(name)", isLasting: isLasting) }
        if percent == 100 {
            active[kind].current = name
            active[kind].canary = nil
        } else {
            active[kind].canary = .init(file: name, percent: percent)
        }
        active[kind].highest = max(active[kind].highest, bundle.header.serial)
        prune(kind, active)
        note(percent < 100 ? "canary" : isPromotion ? "promoted" : "accepted", now: now) { writer in
            writer.member("kind", kind.label)
            writer.member("serial", bundle.header.serial)
            writer.member("keys", bundle.header.entries)
            writer.member("title", bundle.header.title)
            writer.member("signer", bundle.header.signer.short)
            if percent < 100 { writer.member("percent", percent) }
        }
    }

    /// Puts a bundle that somebody hands over into force, for all sandboxes or a share of them.
    public func push(_ bytes: [UInt8], percent: Int, now: Int64) throws(PolicyFolderError) -> TakenBundle {
        try make()
        let taken = try change(waits: true) { active throws(PolicyFolderError) -> TakenBundle in
            do {
                let bundle = try Bundle(PolicyBytes(bytes), trust: .keys(try trustedKeys()))
                let part = active[bundle.header.kind]
                let isPromotion = percent == 100 && part.canary?.file == Self.storeName(bundle)
                try bundle.check(now: now, after: isPromotion ? bundle.header.serial - 1 : part.highest)
                try enforce(bundle, bytes, percent: percent, now: now, isLasting: true, in: &active)
                return .accepted(bundle.header.kind, serial: bundle.header.serial)
            } catch {
                note("refused", now: now) { $0.member("reason", "\(error)") }
                throw PolicyFolderError("\(error)")
            }
        }
        guard let taken else { throw PolicyFolderError("the policy folder is busy; try again") }
        return taken
    }

    /// Goes back to an earlier bundle of the store, or to none.
    /// - Parameter serial: `nil`: the one before what is in force.
    public func rollBack(_ kind: BundleKind, to serial: UInt64?, now: Int64) throws(PolicyFolderError) -> UInt64 {
        let names = storedNames(kind)
        let result = try change(waits: true) { active throws(PolicyFolderError) -> UInt64 in
            let candidates = try names.map { name throws(PolicyFolderError) in (name, try stored(name)) }
            let current = active[kind].current
            let target: (String, Bundle)?
            if let serial {
                target = candidates.first { $0.1.header.serial == serial }
            } else {
                let place = candidates.firstIndex { $0.0 == current }
                target = place.flatMap { candidates.dropFirst($0 + 1).first }
            }
            guard let target else {
                throw PolicyFolderError(
                    "there is no \(kind.label) bundle \(serial.map { "\($0)" } ?? "before the one in force") in \(store); "
                        + "there are: \(candidates.map { "\($0.1.header.serial)" }.joined(separator: ", "))")
            }
            active[kind].current = target.0
            active[kind].canary = nil
            note("rolled-back", now: now) { writer in
                writer.member("kind", kind.label)
                writer.member("serial", target.1.header.serial)
            }
            return target.1.header.serial
        }
        guard let result else { throw PolicyFolderError("the policy folder is busy; try again") }
        return result
    }

    /// Keeps the last ten, and what is in force.
    private func prune(_ kind: BundleKind, _ active: ActivePolicy) {
        for name in storedNames(kind).dropFirst(Self.kept)
        where name != active[kind].current && name != active[kind].canary?.file {
            unsafe unlink("\(store)/\(name)")
        }
    }
}

extension FileDescriptor {
    /// The first 512 bytes, without moving on.
    fileprivate borrowing func head() throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 512)
        let number = self.number
        let count = try kernel { unsafe bytes.withUnsafeMutableBytes { unsafe pread(number, $0.baseAddress, 512, 0) } }
        return Array(bytes.prefix(count))
    }
}
