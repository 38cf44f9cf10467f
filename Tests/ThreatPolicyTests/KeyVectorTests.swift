import CPolicyKey
import Testing

/// One line of vectors/policy_keys.tsv, which libsodium wrote (make_vectors.py).
struct KeyVector: CustomTestStringConvertible {
    var secret: [UInt64]
    var kind: UInt32
    var operation: UInt32
    var value: String
    var message: [UInt64]
    var key: [UInt64]
    var baseBits: [UInt64]
    var hotfixBits: [UInt64]

    var testDescription: String { "\(kind) \(value)" }

    static let all: [KeyVector] = String(decoding: PackageResources.policy_keys_tsv, as: UTF8.self)
        .split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let fields = line.split(separator: "\t").map(String.init)
            return KeyVector(
                secret: words(fields[0]), kind: UInt32(fields[1])!, operation: UInt32(fields[2])!, value: fields[3],
                message: words(fields[4]), key: words(fields[5]), baseBits: numbers(fields[6]),
                hotfixBits: numbers(fields[7]))
        }

    private static func numbers(_ text: String) -> [UInt64] { text.split(separator: ",").map { UInt64($0)! } }

    static func words(_ text: String) -> [UInt64] {
        let digits = Array(text)
        return stride(from: 0, to: digits.count, by: 16).map { start in
            UInt64(String(digits[start..<(start + 16)]), radix: 16)!.byteSwapped
        }
    }
}

@Suite struct KeyVectorTests {
    @Test func hasVectorsOfEveryKind() {
        #expect(Set(KeyVector.all.map(\.kind)) == Set(1...8))
    }

    @Test(arguments: KeyVector.all)
    func hashesMessages(_ vector: KeyVector) {
        var hash = policy_hash()
        policy_hash_start(
            &hash, vector.secret, vector.kind, vector.operation, vector.message[0] >> 16)
        for word in vector.message.dropFirst() { policy_hash_word(&hash, word) }
        let key = policy_hash_end(&hash)
        #expect([key.low, key.high] == vector.key)
        #expect((0..<7).map { policy_bit(key, UInt32($0), 24) } == vector.baseBits)
        #expect((0..<10).map { policy_bit(key, UInt32($0), 22) } == vector.hotfixBits)
    }

    @Test(arguments: KeyVector.all)
    func hashesValues(_ vector: KeyVector) throws {
        let key = try #require(Self.key(of: vector))
        #expect([key.low, key.high] == vector.key)
    }

    private static func key(of vector: KeyVector) -> policy_key? {
        var key = policy_key()
        let bytes = Array(vector.value.utf8)
        switch policy_kind(vector.kind) {
        case POLICY_DIGEST:
            return policy_digest_key(vector.secret, vector.operation, KeyVector.words(vector.value))
        case POLICY_PATH:
            return policy_path_key(vector.secret, vector.operation, bytes, bytes.count, &key) == 1 ? key : nil
        case POLICY_NAME:
            return policy_name_key(vector.secret, vector.operation, bytes, bytes.count, &key) == 1 ? key : nil
        case POLICY_INODE:
            let numbers = vector.value.split(separator: ":").map { UInt64($0)! }
            return policy_inode_key(
                vector.secret, vector.operation, UInt32(numbers[0]), UInt32(numbers[1]), numbers[2])
        case POLICY_ADDRESS:
            // The address in the message is cut already: every other bit of what is asked must not matter.
            let prefix = UInt8(vector.message[0] >> 16 & 0xFF)
            let protocolNumber = UInt32(vector.message[0] >> 24 & 0xFF)
            let port = UInt32(vector.message[0] >> 32 & 0xFFFF)
            var shape = policy_shape(prefix: prefix, flags: 0)
            if port != 0 { shape.flags |= UInt8(POLICY_SHAPE_PORT.rawValue) }
            if protocolNumber != 0 { shape.flags |= UInt8(POLICY_SHAPE_PROTOCOL.rawValue) }
            var address = Array(vector.message[1...2])
            for bit in Int(prefix)..<128 where bit % 3 == 0 {
                address[bit / 64] ^= (UInt64(1) << UInt64(63 - bit % 64)).byteSwapped
            }
            return policy_address_key(
                vector.secret, vector.operation, address, port == 0 ? 99 : port,
                protocolNumber == 0 ? 6 : protocolNumber, shape)
        default:
            return policy_number_key(
                vector.secret, vector.kind, vector.message[1], UInt32(vector.message[0] >> 32))
        }
    }

    @Test(arguments: ["", "a", "a/b", "/a/", "//a", "/a//b", "//", "/" + String(repeating: "x", count: 256)])
    func refusesWhatIsNoPath(_ path: String) {
        var key = policy_key()
        let bytes = Array(path.utf8)
        #expect(policy_path_key([1, 2], 1, bytes, bytes.count, &key) == 0)
    }

    @Test func setsAndFindsBits() {
        var bits = [UInt8](repeating: 0, count: 1 << 13)
        let keys = KeyVector.all.map { policy_key(low: $0.key[0], high: $0.key[1]) }
        for key in keys.prefix(40) { policy_filter_add(&bits, 16, 10, key) }
        for key in keys.prefix(40) { #expect(policy_filter_holds(bits, 16, 10, key) == 1) }
        #expect(keys.dropFirst(40).allSatisfy { policy_filter_holds(bits, 16, 10, $0) == 0 })
    }
}
