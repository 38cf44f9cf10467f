import Foundation
import Testing

@testable import PolicyFiles
@testable import ThreatPolicy

/// What becomes of files in `incoming`, by what is the matter with them: theirs, or the machine's.
@Suite final class TakingTests {
    private let folder: PolicyFolder
    private var seen = PolicyFolder.Seen()
    private let keys = BundleTests.keys(20)

    init() throws {
        folder = PolicyFolder(path: NSTemporaryDirectory() + "policy-\(UUID().uuidString)")
        try folder.make()
        try trust(Sample.signer, "k")
    }

    deinit { try? FileManager.default.removeItem(atPath: folder.path) }

    private func trust(_ signer: PolicySignature.SecretKey, _ name: String) throws {
        try signer.publicKey.text.write(toFile: "\(folder.keys)/\(name).pub", atomically: true, encoding: .utf8)
    }

    private func bundle(_ serial: UInt64, by signer: PolicySignature.SecretKey = Sample.signer) throws -> [UInt8] {
        try Sample.bytes(.hotfix, keys, serial: serial, signer: signer)
    }

    private func put(_ bytes: [UInt8], _ name: String = "new.mip") throws {
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder.incoming)/\(name)"), options: .atomic)
    }

    private func look() -> PolicyFolder.Look { folder.takeIncoming(&seen, now: Sample.now) }

    /// What a process says that has looked at nothing yet.
    private func freshLook() -> PolicyFolder.Look {
        var seen = PolicyFolder.Seen()
        return folder.takeIncoming(&seen, now: Sample.now)
    }

    private var serial: UInt64? { get throws { try folder.active().hotfix.highest } }
    private var history: [String] {
        let text = (try? String(contentsOfFile: folder.historyFile, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { line in
            line.split(separator: "\"event\":\"").last?.split(separator: "\"").first.map(String.init)
        }
    }

    private func reasons(_ look: PolicyFolder.Look) -> [String] {
        look.taken.compactMap { if case .refused(_, let reason) = $0 { reason } else { nil } }
    }

    /// The serial in force tells nothing of a file that has the same: damage is an alert, another copy is none.
    @Test func aDamagedCopyOfWhatIsInForceIsRefused() throws {
        let good = try bundle(5)
        try put(good)
        #expect(look().taken == [.accepted(.hotfix, serial: 5)])
        try put(good, "again.mip")
        #expect(look().taken == [] && freshLook().taken == [])
        for (name, place) in [("head", 20), ("texts", good.count - 1)] {
            var bad = good
            bad[place] ^= 1
            try put(bad, "\(name).mip")
            #expect(reasons(look()).count == 1, "\(name)")
        }
        // Another bundle that says the same serial.
        try put(try Sample.bytes(.hotfix, keys.prefix(3), serial: 5), "other.mip")
        #expect(reasons(look()) == ["its serial 5 is not newer than 5, which is in force"])
        #expect(try serial == 5)
        // Each was read once for all; a process that comes later is told the same.
        #expect(reasons(freshLook()).count == 3)
        #expect(history == ["accepted", "refused", "refused", "refused"])
    }

    /// Nobody fills the disk with bundles that are refused.
    @Test func aLongHistoryIsBegunAnew() throws {
        func size(_ path: String) throws -> Int {
            try #require(FileManager.default.attributesOfItem(atPath: path)[.size] as? Int)
        }
        let old = Data(repeating: UInt8(ascii: "o"), count: Int(PolicyFolder.historyLimit) - 1)
        try old.write(to: URL(fileURLWithPath: folder.historyFile))
        try put(try bundle(5))
        #expect(look().taken == [.accepted(.hotfix, serial: 5)])
        // One byte short of the limit: it goes on in the same file.
        #expect(!FileManager.default.fileExists(atPath: folder.olderHistoryFile))
        let full = try size(folder.historyFile)
        #expect(full > old.count)
        for serial in UInt64(6)...7 {
            try put(try bundle(serial))
            #expect(look().taken == [.accepted(.hotfix, serial: serial)])
        }
        #expect(try size(folder.olderHistoryFile) == full)
        #expect(history == ["accepted", "accepted"])
        // The one before that goes.
        try old.write(to: URL(fileURLWithPath: folder.olderHistoryFile))
        try (old + [0]).write(to: URL(fileURLWithPath: folder.historyFile))
        try put(try bundle(8))
        #expect(look().taken == [.accepted(.hotfix, serial: 8)])
        #expect(try size(folder.olderHistoryFile) == old.count + 1)
        #expect(history == ["accepted"])
    }

    /// What the machine's own trouble is says nothing against the bundle: it is taken when that is over.
    @Test func aBundleThatCannotBeKeptIsTriedAgain() throws {
        try put(try bundle(5))
        // In root's hands no mode keeps a folder from being written; a file in its place does.
        try FileManager.default.removeItem(atPath: folder.store)
        try Data().write(to: URL(fileURLWithPath: folder.store))
        for _ in 0..<2 {
            let look = look()
            #expect(look.taken == [] && look.troubles.count == 1 && look.troubles[0].contains("ENOTDIR"))
        }
        let active = try folder.active()
        #expect(history == [] && active == ActivePolicy())
        try FileManager.default.removeItem(atPath: folder.store)
        try folder.make()
        #expect(look().taken == [.accepted(.hotfix, serial: 5)])
        #expect(history == ["accepted"])
    }

    @Test func aBrokenKeyFileIsNoFaultOfTheBundle() throws {
        try put(try bundle(5))
        try "mis-policy-pub".write(toFile: folder.keys + "/half.pub", atomically: true, encoding: .utf8)
        let first = look()
        #expect(first.taken == [] && first.troubles.count == 1 && first.troubles[0].contains("half.pub"))
        try FileManager.default.removeItem(atPath: folder.keys + "/half.pub")
        #expect(look().taken == [.accepted(.hotfix, serial: 5)])
    }

    /// Key and bundle may be delivered in any order.
    @Test func aStrangersBundleIsTakenWhenHisKeyComes() throws {
        try put(try bundle(5, by: Sample.stranger))
        #expect(reasons(look()).count == 1 && reasons(look()).isEmpty)
        #expect(reasons(freshLook()).count == 1)
        // What is damaged stays so, whoever is trusted.
        var damaged = try bundle(6)
        damaged[damaged.count - 1] ^= 1
        try put(damaged, "damaged.mip")
        #expect(reasons(look()).count == 1)
        // The folder's time moves in ticks of the kernel's clock.
        usleep(20_000)
        try trust(Sample.stranger, "stranger")
        #expect(look().taken == [.accepted(.hotfix, serial: 5)])
        #expect(history == ["refused", "refused", "accepted"])
    }

    /// A file that is being written is not judged by the half of it.
    @Test func whatIsBeingWrittenIsWaitedFor() throws {
        let whole = try bundle(5)
        let path = folder.incoming + "/slow.mip"
        try Data(whole[..<600]).write(to: URL(fileURLWithPath: path))
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.seekToEnd()
        for _ in 0..<2 {
            let look = look()
            #expect(look.taken == [] && look.troubles == [])
        }
        try file.write(contentsOf: Data(whole[600...]))
        try file.close()
        #expect(look().taken == [.accepted(.hotfix, serial: 5)])
        #expect(history == ["accepted"])
        // One that ended so is refused.
        try Data(whole[..<600]).write(to: URL(fileURLWithPath: folder.incoming + "/cut.mip"))
        #expect(reasons(look()).count == 1)
    }

    @Test func aFolderThatCannotBeReadIsTold() throws {
        try FileManager.default.removeItem(atPath: folder.incoming)
        #expect(look().troubles == [])
        try Data().write(to: URL(fileURLWithPath: folder.incoming))
        #expect(look().troubles.count == 1)
    }

    /// The serial decides: an old one is not made new by a clock set back, nor is what is in force ended by one set forward.
    @Test func clocksThatAreWrong() throws {
        try put(try bundle(5))
        _ = look()
        try put(try bundle(4), "old.mip")
        try put(try bundle(6), "from-the-future.mip")
        let look = folder.takeIncoming(&seen, now: 5)
        #expect(look.taken.contains(.accepted(.hotfix, serial: 6)))
        #expect(reasons(look) == ["its serial 4 is not newer than 6, which is in force"])
        let late = Sample.now + 1_000_000
        try put(try bundle(7), "late.mip")
        #expect(folder.takeIncoming(&seen, now: late).taken.count == 1)
        #expect(try serial == 6)
        let inForce = try folder.load(session: "s", kinds: [.hotfix], calls: { _ in nil })
        #expect(inForce?.policy.hotfix?.header.serial == 6)
        #expect(inForce?.policy.verdict(keys[0], now: late).isDenied == true)
    }

    // MARK: Going back

    private func push(_ serial: UInt64, percent: Int = 100, by signer: PolicySignature.SecretKey = Sample.signer) throws
    {
        _ = try folder.push(try bundle(serial, by: signer), percent: percent, now: Sample.now)
    }

    private func rollBack(to serial: UInt64? = nil) throws -> UInt64? {
        try folder.rollBack(.hotfix, to: serial, now: Sample.now)
    }

    @Test func aCanarysShareMayGrow() throws {
        try push(1)
        try push(2, percent: 10)
        try push(2, percent: 50)
        #expect(try folder.active().hotfix.canary?.percent == 50)
        try push(2)
        #expect(try folder.active().hotfix.canary == nil)
        #expect(throws: PolicyFolderError.self) { try push(2) }
        #expect(history == ["accepted", "canary", "canary", "promoted", "refused"])
    }

    @Test func goingBackTakesACanaryBackFirst() throws {
        try push(1)
        try push(2)
        try push(3, percent: 10)
        #expect(try rollBack() == 2)
        #expect(try folder.active().hotfix.canary == nil)
        #expect(try rollBack() == 1)
        try push(4, percent: 10)
        #expect(try rollBack(to: 2) == 2)
        #expect(try folder.active().hotfix.canary == nil)
    }

    @Test func aFirstBundleThatIsACanaryIsTakenBack() throws {
        try push(1, percent: 10)
        #expect(try rollBack() == nil)
        let hotfix = try folder.active().hotfix
        #expect(hotfix.canary == nil && hotfix.current == nil)
        #expect(throws: PolicyFolderError.self) { try rollBack() }
    }

    /// A key that is trusted no longer makes its bundles useless, and no others.
    @Test func goingBackPassesOverWhatCannotBeUsed() throws {
        try trust(Sample.stranger, "stranger")
        try push(1)
        try push(2, by: Sample.stranger)
        try push(3)
        try push(4, by: Sample.stranger)
        try FileManager.default.removeItem(atPath: folder.keys + "/stranger.pub")
        #expect(try rollBack() == 3)
        #expect(try rollBack() == 1)
        #expect(throws: PolicyFolderError.self) { try rollBack(to: 2) }
        #expect(try rollBack(to: 3) == 3)
    }
}
