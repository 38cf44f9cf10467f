/// A layer of the policy, in the order they are asked.
public enum PolicyLayer: String, Sendable {
    case whitelist, hotfix, base
    /// No layer knows the key: the profile decides.
    case trace
}

/// What the policy says of a key.
public struct PolicyAnswer: Equatable, Sendable {
    public var layer: PolicyLayer
    /// The key as that layer knows it.
    public var hash: KeyHash?
    /// The entry's place in the whitelist or among the bundle's exact keys. `nil` with ``PolicyLayer/hotfix``: the filter
    /// alone says so, by chance.
    public var place: Int?

    public init(layer: PolicyLayer, hash: KeyHash? = nil, place: Int? = nil) {
        self.layer = layer
        self.hash = hash
        self.place = place
    }

    public var isDenied: Bool { layer == .hotfix || layer == .base }

    public static let trace = PolicyAnswer(layer: .trace)
}

/// The policy as a whole: W, B_hotfix, B_base with D. A value; what is in force is replaced as one.
public struct ThreatPolicy: Sendable {
    public let whitelist: Whitelist
    public let hotfix: Bundle?
    public let base: Bundle?
    private let hotfixScope: KeyScope?
    private let baseScope: KeyScope?

    public init(whitelist: Whitelist = Whitelist([]), hotfix: Bundle? = nil, base: Bundle? = nil) {
        self.whitelist = whitelist
        self.hotfix = hotfix
        self.base = base
        hotfixScope = hotfix.map(\.scope)
        baseScope = base.map(\.scope)
    }

    /// Whether any layer holds keys of a kind: if none does, there is nothing to ask.
    public func has(_ kind: KeyKind) -> Bool { hotfixScope?.has(kind) == true || baseScope?.has(kind) == true }

    /// Whether any layer holds keys of an operation.
    public func has(_ operation: PolicyOperation) -> Bool {
        hotfix?.header.operations.contains(operation) == true || base?.header.operations.contains(operation) == true
    }

    /// Whether any key can be denied at all.
    public var isEmpty: Bool { KeyKind.allCases.allSatisfy { !has($0) } }

    /// P(k): the one place where the policy decides.
    ///
    ///     ALLOW  if k is in W
    ///     DENY   if k is in B_hotfix
    ///     DENY   if k is in B_base and in D
    ///     TRACE  otherwise
    ///
    /// - Parameters:
    ///   - now: seconds since 1970, for the whitelist's expiries.
    ///   - found: whether a test is true of any of the 128 bits that k has in a scope (an address has one for each shape).
    @inline(__always)
    func verdict(
        _ kind: KeyKind, now: Int64, _ found: (KeyScope, (KeyHash) -> Bool) -> Bool
    ) -> PolicyAnswer {
        var answer = PolicyAnswer.trace
        if whitelist.scope.has(kind) {
            let isAllowed = found(whitelist.scope) { hash in
                guard let place = whitelist.place(of: hash, now: now) else { return false }
                answer = PolicyAnswer(layer: .whitelist, hash: hash, place: place)
                return true
            }
            if isAllowed { return answer }
        }
        if let hotfix, let scope = hotfixScope, scope.has(kind) {
            let isDenied = found(scope) { hash in
                guard hotfix.filterHolds(hash) else { return false }
                answer = PolicyAnswer(layer: .hotfix, hash: hash, place: hotfix.place(of: hash))
                return true
            }
            if isDenied { return answer }
        }
        if let base, let scope = baseScope, scope.has(kind) {
            let isDenied = found(scope) { hash in
                guard base.filterHolds(hash), let place = base.place(of: hash) else { return false }
                answer = PolicyAnswer(layer: .base, hash: hash, place: place)
                return true
            }
            if isDenied { return answer }
        }
        return .trace
    }

    // MARK: Questions. None allocates but that of a whole key.

    /// - Parameter digest: SHA-256 of what is executed or mapped for execution.
    public func verdict(digest: borrowing Span<UInt8>, now: Int64) -> PolicyAnswer {
        verdict(.digest, now: now) { scope, test in scope.secret.digest(digest, .execute).map(test) ?? false }
    }

    /// - Parameter path: absolute, as the sandbox sees it.
    public func verdict(
        path: borrowing Span<UInt8>, _ operation: PolicyOperation, now: Int64
    ) -> PolicyAnswer {
        verdict(.path, now: now) { scope, test in scope.secret.path(path, operation).map(test) ?? false }
    }

    public func verdict(
        name: borrowing Span<UInt8>, _ operation: PolicyOperation, now: Int64
    ) -> PolicyAnswer {
        verdict(.name, now: now) { scope, test in scope.secret.name(name, operation).map(test) ?? false }
    }

    public func verdict(
        major: UInt32, minor: UInt32, inode: UInt64, _ operation: PolicyOperation, now: Int64
    ) -> PolicyAnswer {
        verdict(.inode, now: now) { scope, test in test(scope.secret.inode(major, minor, inode, operation)) }
    }

    public func verdict(address: SocketAddress, _ operation: PolicyOperation, now: Int64) -> PolicyAnswer {
        verdict(.address, now: now) { scope, test in
            scope.shapes.contains { test(scope.secret.address(address, $0, operation)) }
        }
    }

    /// What the policy says of a key as a list would name it. A range of addresses is asked about by its first one, with
    /// the port and protocol it names.
    public func verdict(_ key: PolicyKey, now: Int64) -> PolicyAnswer {
        if case .address(let range) = key.value {
            return verdict(address: range.address, key.operation, now: now)
        }
        return verdict(key.kind, now: now) { scope, test in key.hash(scope.secret).map(test) ?? false }
    }

    /// Why an answer was given, for people: the entry's reason, CVE and score, or that the filter hit by chance.
    public func reason(_ answer: PolicyAnswer) -> String? {
        switch answer.layer {
        case .trace: return nil
        case .whitelist: return answer.place.map { whitelist.entries[$0].reason }
        case .hotfix, .base:
            let bundle = answer.layer == .hotfix ? hotfix : base
            guard let place = answer.place, let threat = bundle?.threat(at: place) else {
                return "the hotfix filter holds it by chance (one key in a thousand)"
            }
            var text = threat.reason
            if let cve = threat.cve { text += ", \(cve)" }
            if let score = threat.score { text += ", CVSS \(Threat.scoreText(score))" }
            return text
        }
    }
}

extension Bundle {
    var scope: KeyScope { KeyScope(secret: header.secret, kinds: header.kinds, shapes: header.shapes) }
}
