// What the threat policy's filters promise and cost, measured on the code that is shipped: one JSON object for
// scripts/bench policy. Build it for release.
import JSONText
import LinuxSystem
import ThreatPolicy

let million = 1_000_000

/// Digests that are all different, by number; `world` tells sets apart.
func key(_ number: Int, world: UInt8) -> PolicyKey? {
    var digest = [UInt8](repeating: world, count: 32)
    for byte in 0..<8 { digest[byte] = UInt8(truncatingIfNeeded: number >> (8 * byte)) }
    return PolicyKey(.execute, .digest(digest))
}

/// Of processor time: what others do on the machine does not count, as far as the kernel can tell.
func seconds(_ body: () -> Void) -> Double {
    func now() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let start = now()
    body()
    return now() - start
}

/// Nanoseconds of one call, the median of nine rounds.
func nanoseconds(_ calls: Int, _ body: () -> Int) -> Double {
    var rounds: [Double] = []
    for _ in 0..<9 {
        var sum = 0
        rounds.append(seconds { sum = body() } / Double(calls) * 1e9)
        // Used, so that it is not left out.
        precondition(sum >= 0)
    }
    return rounds.sorted()[4]
}

func bundle(_ kind: BundleKind, _ threats: [Threat]) throws -> (Bundle, Double, Int) {
    var bytes: [UInt8] = []
    let about = BundleBuilder.Description(kind: kind, serial: 1, created: 1, expires: 2, title: "bench")
    var failure: (any Error)?
    let time = seconds {
        do { bytes = try BundleBuilder.build(threats, about) } catch { failure = error }
    }
    if let failure { throw failure }
    return (try Bundle(PolicyBytes(bytes), trust: .anyone), time, bytes.count)
}

var writer = JSONWriter()
try writer.object { writer in
    for kind in BundleKind.allCases {
        let count = kind == .base ? million : kind.capacity
        let threats = (0..<count).compactMap { number in
            key(number, world: 1).map { Threat(key: $0, reason: "known threat") }
        }
        let (made, time, size) = try bundle(kind, threats)
        let secret = made.header.secret
        let missed = threats.count { threat in threat.key.hash(secret).map { !made.filterHolds($0) } ?? true }
        let unknown = 2 * million
        let strangers = (0..<unknown).compactMap { key($0, world: 2)?.hash(secret) }
        let hits = strangers.count { made.filterHolds($0) }

        // As at an execution: a digest comes in, and is hashed and looked up. Known and unknown ones, in no order.
        let questions: [[UInt8]] = (0..<200_000).compactMap { number in
            let one = number.isMultiple(of: 2) ? key(number * 7919 % count, world: 1) : key(number, world: 3)
            guard case .digest(let digest)? = one?.value else { return nil }
            return digest
        }
        let hashes = questions.compactMap { PolicyKey(.execute, .digest($0))?.hash(secret) }
        let policy = ThreatPolicy(hotfix: kind == .hotfix ? made : nil, base: kind == .base ? made : nil)
        let lookup = nanoseconds(hashes.count) { hashes.count { made.filterHolds($0) } }
        let verdict = nanoseconds(questions.count) {
            questions.count { policy.verdict(digest: $0.span, now: 0).isDenied }
        }
        writer.object(kind.label) { writer in
            writer.member("keys", count)
            writer.member("filter_bytes", made.header.filterBytes)
            writer.member("bundle_bytes", size)
            writer.member("build_seconds", time)
            writer.member("false_negatives", missed)
            writer.member("unknown_keys", unknown)
            writer.member("false_positives", hits)
            writer.member("lookup_ns", lookup)
            writer.member("verdict_ns", verdict)
        }
    }
}
_ = try FileDescriptor(owning: 1).writeAll(writer.bytes + [10])
