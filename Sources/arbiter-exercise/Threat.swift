import Arbiter
import CPolicyKey
import LinuxSystem

/// A threat policy from a text of lines, keys and secrets in hexadecimal as they lie in memory:
///
///     identity NUMBER
///     whitelist|hotfix|base SECRET                 the filter's secret
///     key whitelist|hotfix|base KIND KEY           what it holds
///     bits base KIND KEY                           in the bits, not among the exact keys: a false positive
///     shape hotfix|base PREFIX FLAGS               a shape of address ranges
struct Threat {
    struct Layer {
        var filter = policy_filter()
        var keys: [UInt64] = []
        var bits: [UInt8]

        init(bitsLog2: UInt32, hashes: UInt32) {
            filter.bits_log2 = bitsLog2
            filter.hashes = hashes
            bits = [UInt8](repeating: 0, count: bitsLog2 == 0 ? 0 : 1 << Int(bitsLog2 - 3))
        }

        mutating func add(kind: UInt32, key: policy_key, exact: Bool) {
            filter.kinds |= 1 << kind
            filter.entries += 1
            if exact { keys += [key.low, key.high] }
            if filter.bits_log2 != 0 {
                let (log2, hashes) = (filter.bits_log2, filter.hashes)
                unsafe bits.withUnsafeMutableBufferPointer {
                    if let start = $0.baseAddress { unsafe policy_filter_add(start, log2, hashes, key) }
                }
            }
        }

        mutating func add(shape: policy_shape) {
            let index = Int(filter.shapes)
            guard index < Int(POLICY_SHAPES) else { return }
            unsafe withUnsafeMutableBytes(of: &filter.shape) {
                unsafe $0.storeBytes(
                    of: shape, toByteOffset: index * MemoryLayout<policy_shape>.size, as: policy_shape.self)
            }
            filter.shapes += 1
        }
    }

    var identity: UInt64 = 1
    var layers = [
        "whitelist": Layer(bitsLog2: 0, hashes: 0),
        "hotfix": Layer(bitsLog2: UInt32(POLICY_HOTFIX_BITS_LOG2), hashes: UInt32(POLICY_HOTFIX_HASHES)),
        "base": Layer(bitsLog2: UInt32(POLICY_BASE_BITS_LOG2), hashes: UInt32(POLICY_BASE_HASHES)),
    ]

    init(reading path: String) throws {
        for line in try readText(path).split(separator: "\n") where !line.hasPrefix("#") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 2 else { throw Trouble("threat policy: \(line)") }
            switch words[0] {
            case "identity": identity = UInt64(words[1]) ?? 0
            case "key", "bits":
                guard words.count == 4, let kind = UInt32(words[2]) else { throw Trouble("threat policy: \(line)") }
                let key = try Threat.key(words[3])
                layers[words[1]]?.add(kind: kind, key: key, exact: words[0] == "key")
            case "shape":
                guard words.count == 4, let prefix = UInt8(words[2]), let flags = UInt8(words[3]) else {
                    throw Trouble("threat policy: \(line)")
                }
                layers[words[1]]?.add(shape: policy_shape(prefix: prefix, flags: flags))
            default:
                let secret = try Threat.key(words[1])
                layers[words[0]]?.filter.secret = (secret.low, secret.high)
            }
        }
    }

    static func key(_ hex: String) throws -> policy_key {
        var words: [UInt64] = [0, 0]
        let digits = Array(hex.utf8)
        guard digits.count == 32 else { throw Trouble("32 hexadecimal digits are wanted: \(hex)") }
        for at in 0..<16 {
            guard let byte = UInt8(String(decoding: digits[at * 2...at * 2 + 1], as: UTF8.self), radix: 16) else {
                throw Trouble("no hexadecimal digits: \(hex)")
            }
            words[at / 8] |= UInt64(byte) << UInt64(at % 8 * 8)
        }
        return policy_key(low: words[0], high: words[1])
    }

    static func hex(_ low: UInt64, _ high: UInt64) -> String {
        var text = ""
        for word in [low, high] {
            for at in 0..<8 {
                let byte = word >> UInt64(at * 8) & 0xff
                text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text
    }

    /// Sorted, as a bundle has them.
    private func keys(of name: String) -> [UInt64] { layers[name]?.keys ?? [] }

    func put(in arbiter: borrowing Arbiter, for sandbox: borrowing RegisteredSandbox) throws {
        let (whitelist, hotfix, base) = (layers["whitelist"], layers["hotfix"], layers["base"])
        try arbiter.use(policy: identity, for: sandbox) { (filling: inout ThreatFilling) throws(ArbiterError) in
            if let layer = whitelist {
                try unsafe filling.whitelist(filter: [layer.filter].span.bytes, keys: layer.keys.span.bytes)
            }
            if let layer = hotfix {
                try unsafe filling.hotfix(filter: [layer.filter].span.bytes, bits: layer.bits.span.bytes)
            }
            if let layer = base {
                try unsafe filling.base(
                    filter: [layer.filter].span.bytes, bits: layer.bits.span.bytes, keys: layer.keys.span.bytes)
            }
        }
    }
}

/// Writes a file anew.
func replaceText(_ text: String, at path: String) throws {
    try FileDescriptor.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644).writeAll(text.utf8)
}

/// Asks the kernel's own key function about vectors: kind, operation, message and key (in hexadecimal) on each line of
/// a file of tab-separated fields, under the secret in the first. Prints what differs; true when nothing does.
func askVectors(_ options: Options, _ path: String) throws -> Bool {
    let arbiter = try options.arbiter()
    let cgroup = "/sys/fs/cgroup/exercise-\(getpid())"
    try kernel { unsafe mkdir(cgroup, 0o755) }
    defer { unsafe rmdir(cgroup) }
    let number = try FileStatus(of: cgroup).identity.inode
    let sandbox = try arbiter.register(cgroup: number, session: 1, policy: options.policy)
    var (same, different, identity) = (0, 0, UInt64(1000))
    var secrets: [String: UInt64] = [:]
    for line in try readText(path).split(separator: "\n") where !line.hasPrefix("#") {
        let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
        guard fields.count >= 6, let kind = UInt32(fields[1]), let operation = UInt32(fields[2]) else { continue }
        let message = fields[4]
        // Paths and names the kernel reads from its own objects: tested with real accesses.
        if kind == POLICY_PATH.rawValue || kind == POLICY_NAME.rawValue { continue }
        let words = try stride(from: 0, to: message.count, by: 16).map { at in
            let start = message.index(message.startIndex, offsetBy: at)
            return try Threat.key(String(message[start...].prefix(16)) + String(repeating: "0", count: 16)).low
        }
        let key = try Threat.key(fields[5])
        // Its own policy for each secret, and then one for each key, so that the filters are asked as well.
        identity += 1
        secrets[fields[0]] = identity
        let file = "/tmp/vector-\(getpid())"
        try replaceText("identity \(identity)\nbase \(fields[0])\nkey base \(kind) \(fields[5])\n", at: file)
        try Threat(reading: file).put(in: arbiter, for: sandbox)
        _ = unsafe unlink(file)
        let answer = try arbiter.ask(
            kind: kind, operation: operation, details: words[0] >> 16, value: Array(words.dropFirst()), as: sandbox)
        if answer.layer == 3, answer.low == key.low, answer.high == key.high {
            same += 1
        } else {
            different += 1
            print("differs: \(line)\n  kernel: layer \(answer.layer) key \(Threat.hex(answer.low, answer.high))")
        }
    }
    print("\(same) vectors the same, \(different) different, \(secrets.count) secrets")
    try arbiter.unregister(sandbox)
    return different == 0 && same > 0
}
