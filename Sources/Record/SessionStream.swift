/// The three streams of a session: what the agent did, what it thought, and how it went.
///
/// They are apart because they are used apart: reasoning is archived and never trained on, so that poisoned
/// reasoning cannot train a model (Defis, "Modular Intelligence Spaces", 2026, three-stream logging).
public enum SessionStream: Int, Sendable, CaseIterable {
    /// System calls, objects and verdicts.
    case execution
    /// The model's own words.
    case reasoning
    /// Success and failure.
    case outcome

    /// The name used in the manifest and in messages.
    public var name: String {
        switch self {
        case .execution: "execution"
        case .reasoning: "reasoning"
        case .outcome: "outcome"
        }
    }

    /// The file inside the session's folder.
    public var fileName: String { name + ".jsonl" }

    /// The `prev` of a stream's first line: SHA-256 of `<session id>/<stream name>`, so that a stream cannot be
    /// passed off as another session's, or as another stream.
    public func genesis(session: String) -> SHA256.Digest {
        SHA256.digest(of: "\(session)/\(name)".utf8.span)
    }
}

/// Which lines go first when there is too little room, in memory or on disk.
public enum RecordPriority: Int, Sendable, CaseIterable {
    /// Allowed accesses, kept only when the profile asks for them.
    case trace
    /// What the agent says of itself: as much as it likes to send.
    case ordinary
    /// Denials, level changes, kills and the outcome: part of all room is reserved for them.
    case alert
}
