import JSONText

/// Cuts what the agent writes to `MIS_REASONING_FD` into lines for the reasoning stream.
///
/// The agent may send anything, at any length, without ever ending a line: a piece is handed on at ``limit`` bytes at
/// the latest, so that memory stays bounded and the record has it in time.
public struct ReasoningLines: Sendable {
    /// The longest piece, bytes.
    public static let limit = 32 << 10

    private var rest: [UInt8] = []

    public init() {}

    /// Takes in more bytes and hands on each whole line, without its newline, and each piece of an overlong one.
    public mutating func feed(_ bytes: Span<UInt8>, _ line: (_ bytes: [UInt8], _ continues: Bool) -> Void) {
        for index in bytes.indices {
            if bytes[index] == UInt8(ascii: "\n") {
                line(rest, false)
                rest.removeAll(keepingCapacity: true)
                continue
            }
            rest.append(bytes[index])
            if rest.count == Self.limit {
                let whole = Self.endOfCharacters(in: rest)
                line(Array(rest[..<whole]), true)
                rest.removeSubrange(..<whole)
            }
        }
    }

    /// Hands on what came without a newline at the end.
    public mutating func finish(_ line: (_ bytes: [UInt8], _ continues: Bool) -> Void) {
        if !rest.isEmpty { line(rest, false) }
        rest = []
    }

    /// Takes in more bytes and records the lines.
    public mutating func feed(_ bytes: Span<UInt8>, to recorder: SessionRecorder) {
        feed(bytes) { Self.record($0, continues: $1, to: recorder) }
    }

    /// Records what came without a newline at the end.
    public mutating func finish(to recorder: SessionRecorder) {
        finish { Self.record($0, continues: $1, to: recorder) }
    }

    private static func record(_ bytes: [UInt8], continues: Bool, to recorder: SessionRecorder) {
        recorder.append(.reasoning) { writer in
            writer.member("text", bytes: bytes)
            if continues { writer.member("continues", true) }
        }
    }

    /// Where to cut so that no character is cut in two: before the last lead byte, if it stands near the end.
    private static func endOfCharacters(in bytes: [UInt8]) -> Int {
        let near = bytes.indices.suffix(3)
        guard let lead = near.last(where: { bytes[$0] >= 0xC0 }) else { return bytes.count }
        let length = bytes[lead] >= 0xF0 ? 4 : bytes[lead] >= 0xE0 ? 3 : 2
        return lead + length > bytes.count ? lead : bytes.count
    }
}
