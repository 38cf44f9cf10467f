import Foundation
import PolicyFiles
import Testing

@testable import ThreatPolicy

/// Damaged bundles that come where bundles come: what was in force before is in force after each of them.
@Suite struct FolderMutationTests {
    @Test func theOldPolicyHoldsWhateverComes() throws {
        let path = NSTemporaryDirectory() + "policy-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let folder = PolicyFolder(path: path)
        try folder.make()
        try Sample.signer.publicKey.text.write(toFile: folder.keys + "/k.pub", atomically: true, encoding: .utf8)
        let keys = BundleTests.keys(40)
        _ = try folder.push(try Sample.bytes(.hotfix, keys.prefix(30), serial: 5), percent: 100, now: Sample.now)
        let before = try folder.active()
        let stored = folder.storedNames(.hotfix)
        let better = try Sample.bytes(.hotfix, keys, serial: 6)
        var random = Generator(6)
        var seen = PolicyFolder.Seen()
        var refused = 0
        for turn in 0..<400 {
            var bad = better
            switch turn % 4 {
            // Each field of the header, in its turn.
            case 0: bad[turn / 4 * 5 % BundleHeader.size] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bad[Int.random(in: 0..<bad.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2: bad.removeLast(Int.random(in: 1...bad.count, using: &random))
            default: bad += [UInt8.random(in: 0...255, using: &random)]
            }
            if turn % 20 == 3 {
                // The way a supervisor takes it.
                try Data(bad).write(to: URL(fileURLWithPath: "\(folder.incoming)/\(turn).mip"))
                for case .refused in folder.takeIncoming(&seen, now: Sample.now).taken { refused += 1 }
            } else {
                do { _ = try folder.push(bad, percent: 100, now: Sample.now) } catch { refused += 1 }
            }
            let now = try folder.active()
            #expect(now.hotfix == before.hotfix && now.base == before.base, "turn \(turn)")
        }
        #expect(refused == 400)
        #expect(folder.storedNames(.hotfix) == stored)
        _ = try folder.push(better, percent: 100, now: Sample.now)
        #expect(try folder.active().hotfix.highest == 6)
    }
}
