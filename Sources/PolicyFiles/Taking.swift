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

    /// What a look into `incoming` came to.
    public struct Look: Sendable {
        /// What was accepted here, and every file not seen before that is refused.
        public var taken: [TakenBundle] = []
        /// Somebody else was at it: look again.
        public var isBusy = false
        /// Why files could not be judged or kept, which says nothing against them (a full disk, a broken key file): look
        /// again.
        public var troubles: [String] = []
    }

    /// Looks into `incoming` and takes what is newer than what is in force. Called by everybody who watches the folder:
    /// whoever is first takes the bundle, the others find it in force.
    public func takeIncoming(_ seen: inout Seen, now: Int64) -> Look {
        var look = Look()
        let names: [String]
        do throws(Errno) { names = try namesInFolder(incoming) } catch {
            if error.code != ENOENT { look.troubles.append(error.doing("reading the folder", incoming).description) }
            return look
        }
        for name in names.sorted() where name.hasSuffix(".mip") && !name.hasPrefix(".") {
            do throws(PolicyFolderError) {
                switch try takeIncoming(name, &seen, now: now) {
                case .nothing, .unfinished: break
                case .busy: look.isBusy = true
                case .taken(let one, _): look.taken.append(one)
                }
            } catch {
                // The next one may be smaller, and fit.
                look.troubles.append("\(name): \(error.description)")
            }
        }
        return look
    }

    private enum Step {
        case nothing
        /// Somebody is writing it. The end of that is told.
        case unfinished
        case busy
        case taken(TakenBundle, identity: String)
    }

    private func takeIncoming(_ name: String, _ seen: inout Seen, now: Int64) throws(PolicyFolderError) -> Step {
        // Neither waits for a pipe's writer nor for a terminal; a symlink is how ConfigMaps are laid out.
        guard let file = try? FileDescriptor.open("\(incoming)/\(name)", O_RDONLY | O_NONBLOCK | O_NOCTTY),
            let status = try? file.status()
        else { return .nothing }
        let identity = Self.identity(status)
        // Who is a stranger may be one no longer when the keys have changed.
        let strange = "\(identity) \(keysStamp)"
        guard seen.identities.isDisjoint(with: [identity, strange]) else { return .nothing }
        let active = try active()
        if let known = active.refused.first(where: { $0.name == name && [identity, strange].contains($0.identity) }) {
            seen.identities.insert(known.identity)
            return .taken(.refused(file: name, reason: known.reason), identity: known.identity)
        }
        // Most who look come too late.
        if active.taken.contains(identity) {
            seen.identities.insert(identity)
            return .nothing
        }
        // One verifies, the others find what came of it.
        let step = try change(waits: false) { active throws(PolicyFolderError) -> Changed<Step> in
            if active.taken.contains(identity) { return Changed(.nothing) }
            let bundle: Bundle
            let bytes: [UInt8]
            do throws(Refusal) {
                (bundle, bytes) = try judge(file, status, active, now: now)
            } catch {
                switch error {
                case .trouble(let error): throw error
                case .bundle, .noFile:
                    if isUnfinished(file, status) { return Changed(.unfinished) }
                    return refuse(name, error.isOfStranger ? strange : identity, "\(error)", now: now, in: &active)
                }
            }
            active.noteTaken(identity)
            // The same once more: copied again, or pushed by hand before.
            if bundle.header.serial == active[bundle.header.kind].highest { return Changed(.nothing) }
            let note = try enforce(bundle, bytes, percent: 100, now: now, isLasting: false, in: &active)
            let taken = TakenBundle.accepted(bundle.header.kind, serial: bundle.header.serial)
            return Changed(.taken(taken, identity: identity), note: note)
        }
        switch step {
        case nil: return .busy
        case .unfinished: break
        case .taken(_, let identity): seen.identities.insert(identity)
        default: seen.identities.insert(identity)
        }
        return step ?? .busy
    }

    /// Which file it is, and how it was last changed.
    private static func identity(_ status: FileStatus) -> String {
        "\(status.deviceMajor):\(status.deviceMinor):\(status.inode):\(status.size):\(status.modified)"
    }

    private enum Refusal: Error, CustomStringConvertible {
        case bundle(BundleError)
        case noFile
        /// It may be good.
        case trouble(PolicyFolderError)

        var isOfStranger: Bool {
            if case .bundle(.unknownSigner) = self { return true }
            return false
        }

        var description: String {
            switch self {
            case .bundle(let error): "\(error)"
            case .noFile: "it is no regular file"
            case .trouble(let error): error.description
            }
        }
    }

    /// Whether a file is a bundle that may come into force, or the newest that ever did.
    private func judge(
        _ file: borrowing FileDescriptor, _ status: FileStatus, _ active: ActivePolicy, now: Int64
    ) throws(Refusal) -> (Bundle, [UInt8]) {
        guard status.isFile else { throw .noFile }
        let trusted: Set<PolicySignature.PublicKey>
        do throws(PolicyFolderError) { trusted = try trustedKeys() } catch { throw .trouble(error) }
        let bytes: [UInt8]?
        do throws(Errno) { bytes = try file.readAll(limit: BundleKind.base.largestFile) } catch {
            throw .trouble(PolicyFolderError(error.doing("reading it")))
        }
        do throws(BundleError) {
            guard let bytes else { throw BundleError.oversized(Int(status.size)) }
            let bundle = try Bundle(PolicyBytes(bytes), trust: .keys(trusted))
            let highest = active[bundle.header.kind].highest
            let isKnown =
                bundle.header.serial == highest
                && storedNames(bundle.header.kind).contains(Self.storeName(bundle))
            if !isKnown { try bundle.check(now: now, after: highest) }
            return (bundle, bytes)
        } catch {
            throw .bundle(error)
        }
    }

    /// Whether somebody writes the file, or did while it was read.
    private func isUnfinished(_ file: borrowing FileDescriptor, _ status: FileStatus) -> Bool {
        clinux_has_writer(file.number) == 1 || (try? file.status()).map(Self.identity) != Self.identity(status)
    }

    private func refuse(
        _ name: String, _ identity: String, _ reason: String, now: Int64, in active: inout ActivePolicy
    ) -> Changed<Step> {
        let step = Step.taken(.refused(file: name, reason: reason), identity: identity)
        guard !active.refused.contains(where: { $0.identity == identity && $0.name == name }) else {
            return Changed(step)
        }
        active.refused.insert(.init(name: name, identity: identity, reason: reason, time: now), at: 0)
        active.refused = Array(active.refused.prefix(ActivePolicy.refusedKept))
        return Changed(step) {
            note("refused", now: now) { writer in
                writer.member("file", name)
                writer.member("reason", reason)
            }
        }
    }

    /// Puts a verified bundle, which `bytes` are, into the store and into force.
    /// - Parameter percent: of the sandboxes; below 100: as canary, beside what is in force.
    /// - Returns: writes history.
    private func enforce(
        _ bundle: Bundle, _ bytes: [UInt8], percent: Int, now: Int64, isLasting: Bool, in active: inout ActivePolicy
    ) throws(PolicyFolderError) -> () -> Void {
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
        return {
            note(percent < 100 ? "canary" : isPromotion ? "promoted" : "accepted", now: now) { writer in
                writer.member("kind", kind.label)
                writer.member("serial", bundle.header.serial)
                writer.member("keys", bundle.header.entries)
                writer.member("title", bundle.header.title)
                writer.member("signer", bundle.header.signer.short)
                if percent < 100 { writer.member("percent", percent) }
            }
        }
    }

    /// Puts a bundle that somebody hands over into force, for all sandboxes or a share of them.
    public func push(_ bytes: [UInt8], percent: Int, now: Int64) throws(PolicyFolderError) -> TakenBundle {
        try make()
        let taken = try change(waits: true) { active throws(PolicyFolderError) -> Changed<TakenBundle> in
            do {
                let bundle = try Bundle(PolicyBytes(bytes), trust: .keys(try trustedKeys()))
                let part = active[bundle.header.kind]
                // A canary's share may grow, to all at last.
                let isCanary = part.canary?.file == Self.storeName(bundle)
                try bundle.check(now: now, after: isCanary ? bundle.header.serial - 1 : part.highest)
                let note = try enforce(bundle, bytes, percent: percent, now: now, isLasting: true, in: &active)
                return Changed(.accepted(bundle.header.kind, serial: bundle.header.serial), note: note)
            } catch {
                note("refused", now: now) { $0.member("reason", "\(error)") }
                throw PolicyFolderError("\(error)")
            }
        }
        guard let taken else { throw PolicyFolderError("the policy folder is busy; try again") }
        return taken
    }

    /// Takes a canary back; where there is none, goes back to an earlier bundle of the store.
    /// - Parameter serial: `nil`: what the other sandboxes have; without a canary, the one before what is in force.
    /// - Returns: the serial that is in force for all; `nil`: none is, for the canary was the first.
    public func rollBack(_ kind: BundleKind, to serial: UInt64?, now: Int64) throws(PolicyFolderError) -> UInt64? {
        let result = try change(waits: true) { active throws(PolicyFolderError) -> Changed<UInt64?> in
            // One that cannot be used (its signer is trusted no longer, say) keeps nobody from the others.
            let names = storedNames(kind)
            let usable = names.compactMap { name in (try? stored(name)).map { (name: name, bundle: $0) } }
            let current = active[kind].current
            if serial == nil, active[kind].canary != nil {
                active[kind].canary = nil
                let left = usable.first { $0.name == current }?.bundle.header.serial
                return Changed(left) {
                    note("rolled-back", now: now) { writer in
                        writer.member("kind", kind.label)
                        writer.member("serial", left)
                    }
                }
            }
            let target: (name: String, bundle: Bundle)?
            if let serial {
                target = usable.first { $0.bundle.header.serial == serial }
            } else {
                let place = names.firstIndex { $0 == current } ?? names.endIndex
                target = usable.first { names[place...].dropFirst().contains($0.name) }
            }
            guard let target else {
                let there = usable.map { "\($0.bundle.header.serial)" }.joined(separator: ", ")
                throw PolicyFolderError(
                    "there is no \(kind.label) bundle \(serial.map { "\($0)" } ?? "before the one in force") in \(store)"
                        + (there.isEmpty ? "" : "; there are: \(there)")
                        + (usable.count < names.count
                            ? "; \(names.count - usable.count) cannot be used ('mis policy verify' says why)" : ""))
            }
            active[kind].current = target.name
            active[kind].canary = nil
            return Changed(target.bundle.header.serial) {
                note("rolled-back", now: now) { writer in
                    writer.member("kind", kind.label)
                    writer.member("serial", target.bundle.header.serial)
                }
            }
        }
        guard let result else { throw PolicyFolderError("the policy folder is busy; try again") }
        return result
    }
}
