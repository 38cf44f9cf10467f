import Foundation
import JSONText
import LinuxSystem
import Testing

@testable import Record

/// A folder of a test's own, gone with it.
final class TestFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "/mis-record-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func read(_ name: String) throws -> [UInt8] { try Array(Data(contentsOf: URL(fileURLWithPath: path + "/" + name))) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
    }

    var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? [] }
}

enum Sample {
    static let description = SessionDescription(
        version: "0.0-test", command: [Array("/bin/true".utf8)], environment: [Array("HOME=/h".utf8)],
        profile: "default", tier: "landlock")

    static func recorder(
        in parent: TestFolder, limits: SessionRecorder.Limits = .init(),
        onTrouble: @escaping @Sendable (SessionRecorder.Trouble) -> Void = { _ in },
        write: PositionedWrite? = nil
    ) throws -> SessionRecorder {
        let identifier = try #require(SessionIdentifier("s1"))
        let folder = try SessionFolder.make(identifier, in: parent.path)
        guard let write else {
            return try SessionRecorder.start(in: folder, description, limits: limits, onTrouble: onTrouble)
        }
        return try SessionRecorder(folder, description, limits, onTrouble: onTrouble, write: write)
    }

    /// A finished session with `lines` lines in each stream but the empty reasoning.
    static func session(in parent: TestFolder, lines: Int) throws -> String {
        let recorder = try recorder(in: parent)
        for number in 0..<lines {
            recorder.append(.execution) { $0.member("event", "open \(number)") }
            recorder.append(.outcome, .alert) { $0.member("event", "done \(number)") }
        }
        let summary = recorder.finish()
        try #require(summary.isSealed && summary.lost == 0)
        return summary.path
    }
}

/// The SHA-256 of bytes, as hexadecimal digits.
func digest(_ bytes: some Sequence<UInt8>) -> String {
    let bytes = Array(bytes)
    return SHA256.digest(of: bytes.span).text
}

/// The bytes hexadecimal digits stand for.
func unhex(_ digits: String?) -> [UInt8]? {
    guard let digits else { return nil }
    return Hexadecimal.bytes(of: digits.utf8.span)
}

/// Counts and keeps what is reported, from any thread.
final class TroubleLog: @unchecked Sendable {
    private let lock = NSLock()
    private var found: [SessionRecorder.Trouble] = []

    func add(_ trouble: SessionRecorder.Trouble) { lock.withLock { found.append(trouble) } }

    var all: [SessionRecorder.Trouble] { lock.withLock { found } }
}
