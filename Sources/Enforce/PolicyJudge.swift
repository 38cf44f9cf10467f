import LinuxSystem
public import ThreatPolicy

/// The threat policy at opens and executions, for ``FanotifyArbiter``: what it denies is denied, whatever the profile
/// allows.
///
/// A shared library is opened like any file and mapped for execution afterwards, unseen; and the dynamic loader maps
/// any program it is given. So an ELF file that is opened counts as executed, too.
public final class PolicyJudge {
    /// In force. Setting it makes everything that was allowed before be asked about again.
    public var policy: ThreatPolicy {
        didSet { onChange() }
    }
    /// Where an exception is written, for the advice with a denial.
    public let whitelist: String
    var onChange: () -> Void = {}

    public init(policy: ThreatPolicy, whitelist: String) {
        self.policy = policy
        self.whitelist = whitelist
    }

    /// Whether contents have to be looked at.
    var wantsContent: Bool { policy.has(.digest) }
    private var wantsPlace: Bool { policy.has(.path) || policy.has(.name) || policy.has(.inode) }

    /// A refusal: the layer's word, and the key it is about.
    public struct Denial {
        var answer: PolicyAnswer
        var key: PolicyKey?

        public init(answer: PolicyAnswer, key: PolicyKey?) {
            self.answer = answer
            self.key = key
        }
    }

    /// Asks about the object's place and number.
    /// - Parameter path: as seen inside.
    func judge(
        path: borrowing Span<UInt8>, _ identity: ObjectIdentity, _ operations: [PolicyOperation], now: Int64
    ) -> Denial? {
        guard wantsPlace else { return nil }
        var start = path.count
        while start > 0, path[start - 1] != UInt8(ascii: "/") { start -= 1 }
        for operation in operations {
            let byPath = policy.verdict(path: path, operation, now: now)
            if byPath.isDenied {
                return Denial(answer: byPath, key: PolicyKey(operation, .path([UInt8](copying: path))))
            }
            let byName = policy.verdict(name: path.extracting(start..<path.count), operation, now: now)
            if byName.isDenied {
                let name = [UInt8](copying: path.extracting(start..<path.count))
                return Denial(answer: byName, key: PolicyKey(operation, .name(name)))
            }
            let byInode = policy.verdict(
                major: identity.deviceMajor, minor: identity.deviceMinor, inode: identity.inode, operation, now: now)
            if byInode.isDenied {
                let value = KeyValue.inode(
                    major: identity.deviceMajor, minor: identity.deviceMinor, inode: identity.inode)
                return Denial(answer: byInode, key: PolicyKey(operation, value))
            }
        }
        return nil
    }

    func judge(digest: [UInt8], now: Int64) -> Denial? {
        let answer = policy.verdict(digest: digest.span, now: now)
        return answer.isDenied ? Denial(answer: answer, key: PolicyKey(.execute, .digest(digest))) : nil
    }

    // MARK: For the record

    public func layer(_ denial: Denial) -> Violation.Layer { denial.answer.layer == .hotfix ? .hotfix : .base }

    public func rule(_ denial: Denial) -> RuleReference {
        let bundle = denial.answer.layer == .hotfix ? policy.hotfix : policy.base
        return RuleReference(
            text: policy.reason(denial.answer) ?? "known threat",
            origin: "threat policy, \(denial.answer.layer.rawValue) \(bundle?.header.serial ?? 0)")
    }

    public func remedy(_ denial: Denial) -> String {
        guard let key = denial.key else { return "an entry in \(whitelist)" }
        return
            "if it is harmless: [[allow]] key = \"\(KeyText.text(key.value))\", operation = \"\(key.operation.label)\", "
            + "with reason, author and expires, in \(whitelist)"
    }

    // MARK: What this tier cannot see

    /// One sentence for each part of a policy that permission events do not tell of.
    public static func unenforced(_ policy: ThreatPolicy) -> [String] {
        var sentences: [String] = []
        if policy.has(.digest) {
            sentences.append(
                "threat policy, digests: no one is asked when code is mapped that lies in memory files (memfd), in files that "
                    + "are neither ELF nor executable, or in files that were changed since they were opened (needs tier bpf)"
            )
        }
        if policy.has(.write) {
            sentences.append(
                "threat policy, writing to paths, names and inodes: asked about when something is opened for writing, not "
                    + "when it is made, renamed, linked or removed (needs tier bpf)")
        }
        if policy.has(.address) { sentences.append("threat policy, addresses: not asked about (needs tier bpf)") }
        return sentences
    }
}
