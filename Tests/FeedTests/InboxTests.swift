import LinuxSystem
import PolicyFiles
import Testing
import ThreatPolicy

@testable import Feed

@Suite struct InboxTests {
    private let folder: PolicyFolder
    private let inbox: Inbox
    private let key = PolicySignature.SecretKey.random()
    private let now: Int64 = 1_800_000_000

    init() throws {
        var name = Array("/tmp/mis-inbox-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&name))
        folder = PolicyFolder(path: String(cString: made) + "/policy")
        try folder.make()
        let file = try FileDescriptor.open(folder.keys + "/k.pub", O_WRONLY | O_CREAT, mode: 0o600)
        try file.writeAll(Array(key.publicKey.text.utf8))
        inbox = Inbox(folder: folder)
    }

    private func bundle(
        _ serial: UInt64, _ kind: BundleKind = .hotfix, expires: Int64 = 1_900_000_000,
        by key: PolicySignature.SecretKey? = nil
    ) throws -> [UInt8] {
        let threats = try KeyText.parse("name:evil", calls: { _ in nil }).map { Threat(key: $0, reason: "r") }
        let made = try BundleBuilder.build(
            threats, .init(kind: kind, serial: serial, created: 1_700_000_000, expires: expires, title: "t"))
        return try BundleBuilder.sign(made, by: key ?? self.key)
    }

    private var names: [String] { ((try? namesInFolder(folder.incoming)) ?? []).sorted() }

    private func refusal(_ bytes: [UInt8]) -> BundleError? {
        do throws(DeliveryError) {
            _ = try inbox.put(PolicyBytes(bytes), now: now)
            return nil
        } catch {
            if case .refused(let why) = error { return why }
            return nil
        }
    }

    @Test func newerOnesReplaceOlderOnes() throws {
        #expect(try inbox.put(PolicyBytes(bundle(3)), now: now) == .stored(.hotfix, serial: 3))
        #expect(try inbox.put(PolicyBytes(bundle(3)), now: now) == .known(.hotfix, serial: 3))
        #expect(try inbox.put(PolicyBytes(bundle(5)), now: now) == .stored(.hotfix, serial: 5))
        #expect(try inbox.put(PolicyBytes(bundle(1, .base)), now: now) == .stored(.base, serial: 1))
        #expect(names == ["feed-base.mip", "feed-hotfix.mip"])
        #expect(refusal(try bundle(4)) == .older(serial: 4, than: 5))
        #expect(inbox.newest(.hotfix) == 5)
        // What came into force and was cleared away is still not brought back.
        var seen = PolicyFolder.Seen()
        #expect(folder.takeIncoming(&seen, now: now).taken.count == 2)
        unlink(folder.incoming + "/feed-hotfix.mip")
        #expect(try inbox.put(PolicyBytes(bundle(5)), now: now) == .known(.hotfix, serial: 5))
        #expect(refusal(try bundle(4)) == .older(serial: 4, than: 5))
    }

    @Test func strangersAndDamageNeverReachTheFolder() throws {
        let stranger = try bundle(9, by: .random())
        #expect(refusal(stranger) != nil)
        #expect(refusal(try bundle(9, expires: now)) == .expired(now))
        var good = try bundle(9)
        good[good.count - 1] ^= 1
        #expect(refusal(good) == .contents)
        good.removeLast()
        #expect(refusal(good) != nil)
        for bytes in [[], Array("mispolcy".utf8), Array(stranger.prefix(511))] { #expect(refusal(bytes) != nil) }
        #expect(names.isEmpty)
        // A file of somebody else's under our name is no reason to refuse a good bundle.
        let file = try FileDescriptor.open(folder.incoming + "/feed-hotfix.mip", O_WRONLY | O_CREAT, mode: 0o600)
        try file.writeAll(try bundle(99, by: .random()))
        #expect(try inbox.put(PolicyBytes(bundle(2)), now: now) == .stored(.hotfix, serial: 2))
    }

    @Test func aHeadTellsBeforeTheRestIsThere() throws {
        let good = try bundle(9)
        let (head, isKnown) = try inbox.judge(head: Array(good.prefix(600)), now: now)
        #expect(head.serial == 9 && head.kind == .hotfix && head.fileBytes == good.count && !isKnown)
        var generator = SystemRandomNumberGenerator()
        // Every bit of what is signed counts, and so does every bit of the signature.
        for _ in 0..<2000 {
            var damaged = Array(good.prefix(512))
            damaged[Int.random(in: damaged.indices, using: &generator)] ^= 1 << Int.random(in: 0..<8, using: &generator)
            #expect(throws: DeliveryError.self) { try inbox.judge(head: damaged, now: now) }
        }
        for _ in 0..<2000 {
            let noise = (0..<Int.random(in: 0...700, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            #expect(throws: DeliveryError.self) { try inbox.judge(head: Array("mispolcy".utf8) + noise, now: now) }
        }
    }

    @Test func whatACrashLeftBehindIsReplaced() throws {
        let left = try FileDescriptor.open(folder.incoming + "/.feed-hotfix.new", O_WRONLY | O_CREAT, mode: 0o600)
        try left.writeAll([1, 2, 3])
        #expect(try inbox.put(PolicyBytes(bundle(2)), now: now) == .stored(.hotfix, serial: 2))
        #expect(names == ["feed-hotfix.mip"])
    }

    @Test func noRoomIsNotARefusal() throws {
        // Root writes where it may not; a file in the folder's place is in everybody's way.
        let aside = folder.incoming + ".aside"
        rename(folder.incoming, aside)
        _ = try FileDescriptor.open(folder.incoming, O_WRONLY | O_CREAT, mode: 0o600)
        let good = try bundle(2)
        #expect {
            try inbox.put(PolicyBytes(good), now: now)
        } throws: { error in
            if case .storage? = error as? DeliveryError { true } else { false }
        }
        unlink(folder.incoming)
        rename(aside, folder.incoming)
        #expect(try inbox.put(PolicyBytes(good), now: now) == .stored(.hotfix, serial: 2))
    }
}
