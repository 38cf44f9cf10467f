import LinuxSystem
public import PolicyFiles
public import ThreatPolicy

/// Why a bundle that came does not go on.
public enum DeliveryError: Error, CustomStringConvertible {
    /// It is not to be believed: an alert. The policy in force stays.
    case refused(BundleError)
    /// It is good, and there is no room or no right to put it down: to be tried again.
    case storage(SystemError)
    /// What is to be compared with cannot be read: to be tried again.
    case folder(PolicyFolderError)

    public var description: String {
        switch self {
        case .refused(let error): "refused: \(error)"
        case .storage(let error): error.description
        case .folder(let error): error.description
        }
    }
}

/// What became of a bundle.
public enum Delivery: Equatable, Sendable {
    /// It lies in `incoming` now.
    case stored(BundleKind, serial: UInt64)
    /// It was there already.
    case known(BundleKind, serial: UInt64)
}

/// The policy folder as somebody sees it who brings bundles: one file of each kind in `incoming`, replaced by newer ones.
///
/// All checks here are made again by whoever takes the bundle into force; here they keep out what would only be refused,
/// and keep a broker or web server from filling the folder.
public struct Inbox: Sendable {
    public let folder: PolicyFolder

    public init(folder: PolicyFolder) { self.folder = folder }

    func path(_ kind: BundleKind) -> String { "\(folder.incoming)/feed-\(kind.label).mip" }
    /// The watcher looks at no name that begins with a dot.
    private func freshPath(_ kind: BundleKind) -> String { "\(folder.incoming)/.feed-\(kind.label).new" }

    /// The newest serial of a kind: ever taken into force, or waiting in `incoming` to be.
    public func newest(
        _ kind: BundleKind, trusted: Set<PolicySignature.PublicKey>
    ) throws(PolicyFolderError) -> UInt64 {
        let taken = try folder.active()[kind].highest
        guard let file = try? FileDescriptor.open(path(kind), O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let bytes = try? file.head(BundleHead.size), let head = try? BundleHead(bytes, trusted: trusted),
            head.kind == kind
        else { return taken }
        return max(taken, head.serial)
    }

    /// The same with the keys of the folder; `nil`: it cannot be told now.
    public func newest(_ kind: BundleKind) -> UInt64? {
        (try? folder.trustedKeys()).flatMap { try? newest(kind, trusted: $0) }
    }

    /// What the first bytes of a delivery are worth, before the rest is there.
    /// - Returns: the head, and whether the bundle is known already.
    public func judge(head: [UInt8], now: Int64) throws(DeliveryError) -> (head: BundleHead, isKnown: Bool) {
        let trusted = try asking { () throws(PolicyFolderError) in try folder.trustedKeys() }
        let found: BundleHead
        do throws(BundleError) { found = try BundleHead(head, trusted: trusted) } catch { throw .refused(error) }
        let newest = try asking { () throws(PolicyFolderError) in try self.newest(found.kind, trusted: trusted) }
        if found.serial == newest { return (found, true) }
        guard found.serial > newest else { throw .refused(.older(serial: found.serial, than: newest)) }
        guard found.expires > now else { throw .refused(.expired(found.expires)) }
        return (found, false)
    }

    /// Checks a whole bundle, and puts it into `incoming` by rename, after it has reached the disk.
    public func put(_ bytes: PolicyBytes, now: Int64) throws(DeliveryError) -> Delivery {
        let head = bytes.with(0..<min(bytes.count, BundleHead.size)) { span in span.indices.map { span[$0] } }
        let (found, isKnown) = try judge(head: head, now: now)
        if isKnown { return .known(found.kind, serial: found.serial) }
        let trusted = try asking { () throws(PolicyFolderError) in try folder.trustedKeys() }
        let bundle: Bundle
        do throws(BundleError) { bundle = try Bundle(bytes, trust: .keys(trusted)) } catch { throw .refused(error) }
        try write(bundle, found.kind)
        return .stored(found.kind, serial: found.serial)
    }

    private func asking<Value>(_ body: () throws(PolicyFolderError) -> Value) throws(DeliveryError) -> Value {
        do throws(PolicyFolderError) { return try body() } catch { throw .folder(error) }
    }

    private func write(_ bundle: Bundle, _ kind: BundleKind) throws(DeliveryError) {
        let fresh = freshPath(kind)
        do throws(Errno) {
            // One that a crash left behind.
            unsafe unlink(fresh)
            let file = try FileDescriptor.open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            let result = bundle.withBytes { (span) -> Result<Void, Errno> in
                do throws(Errno) {
                    try file.writeAll(span)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            try result.get()
            try kernel { fsync(file.number) }
            try kernel { unsafe rename(fresh, path(kind)) }
            let folder = try FileDescriptor.open(folder.incoming, O_RDONLY | O_DIRECTORY)
            try kernel { fsync(folder.number) }
        } catch {
            unsafe unlink(fresh)
            throw .storage(error.doing("writing", fresh))
        }
    }
}

extension FileDescriptor {
    fileprivate borrowing func head(_ size: Int) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        let number = self.number
        let count = try kernel { unsafe bytes.withUnsafeMutableBytes { unsafe pread(number, $0.baseAddress, size, 0) } }
        return Array(bytes.prefix(count))
    }

    /// Writes memory that is not copied before: a bundle may have 256 MB.
    fileprivate borrowing func writeAll(_ bytes: borrowing Span<UInt8>) throws(Errno) {
        let number = self.number
        let result = unsafe bytes.withUnsafeBytes { memory -> Result<Void, Errno> in
            var written = 0
            do throws(Errno) {
                while written < memory.count {
                    written += try kernel {
                        unsafe write(number, memory.baseAddress.map { unsafe $0 + written }, memory.count - written)
                    }
                }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }
}
