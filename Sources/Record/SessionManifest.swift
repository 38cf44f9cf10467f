import JSONText

/// What a session is a record of.
public struct SessionDescription: Sendable {
    /// The version of mis.
    public let version: String
    /// Arguments, secrets masked.
    public let command: [[UInt8]]
    /// `NAME=VALUE`, secrets masked.
    public let environment: [[UInt8]]
    public let profile: String
    /// The tier in force.
    public let tier: String

    /// Secrets in `command` and `environment` are masked here (see ``Redaction``), so that none is kept.
    public init(version: String, command: [[UInt8]], environment: [[UInt8]], profile: String, tier: String) {
        self.version = version
        self.command = Redaction.redact(arguments: command)
        self.environment = environment.map(Redaction.redact)
        self.profile = profile
        self.tier = tier
    }
}

/// How far one stream got, and what it lost.
public struct StreamSummary: Sendable, Equatable {
    public let stream: SessionStream
    /// Lines and bytes in the file.
    public let lines: UInt64
    public let bytes: UInt64
    /// SHA-256 of the last line (without its newline), or the stream's genesis when there is none.
    public let head: SHA256.Digest
    /// Lines lost because they came faster than they could be written.
    public let lostToQueue: UInt64
    /// Lines lost because the session may keep no more on disk.
    public let lostToLimit: UInt64
    /// Lines lost because the disk refused them.
    public let lostToErrors: UInt64

    public var lost: UInt64 { lostToQueue + lostToLimit + lostToErrors }
}

/// `manifest.json`: what the session is, and how its streams must end.
///
/// The last member, `seal`, is the SHA-256 of every byte of the file before the name `"seal"`, so that a changed
/// manifest shows like a changed line. It proves nothing against somebody who rewrites the whole folder: for that, keep
/// the seal elsewhere.
struct SessionManifest {
    static let fileName = "manifest.json"
    static let temporaryName = "manifest.json.new"
    static let format = 1
    static let sealName = "\"seal\""

    enum State: String { case running, ended }

    let identifier: SessionIdentifier
    let description: SessionDescription
    let started: EventTime
    /// `nil` while the run goes on.
    let ended: EventTime?
    let streams: [StreamSummary]

    /// The file's bytes and its seal.
    func text() -> (bytes: [UInt8], seal: SHA256.Digest) {
        var writer = JSONWriter(pretty: true)
        var seal = SHA256.digest(of: writer.bytes.span)
        writer.object { writer in
            writer.member("format", Self.format)
            writer.member("session", identifier.text)
            writer.member("state", (ended == nil ? State.running : .ended).rawValue)
            writer.member("started", started.text)
            writer.member("ended", ended?.text)
            writer.member("mis", description.version)
            writer.member("command", byteStrings: description.command)
            writer.member("environment", byteStrings: description.environment)
            writer.member("profile", description.profile)
            writer.member("tier", description.tier)
            writer.object("streams") { writer in
                for stream in streams { writer.member(stream.stream.name, stream) }
            }
            writer.key("seal")
            let name = writer.bytes.count - Self.sealName.utf8.count - ": ".utf8.count
            seal = SHA256.digest(of: writer.bytes.span.extracting(..<name))
            writer.string(seal.text)
        }
        return (writer.bytes + [UInt8(ascii: "\n")], seal)
    }

    /// Where the name `"seal"` starts: its last occurrence, for it is the last member.
    static func sealStart(in bytes: [UInt8]) -> Int? {
        let name = Array(sealName.utf8)
        guard bytes.count >= name.count else { return nil }
        return (0...bytes.count - name.count).reversed().first { bytes[$0..<$0 + name.count].elementsEqual(name) }
    }
}

extension StreamSummary: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("file", stream.fileName)
            writer.member("count", lines)
            writer.member("bytes", bytes)
            writer.member("head", head.text)
            writer.member("lost", lost)
            writer.member("lost_queue", lostToQueue)
            writer.member("lost_limit", lostToLimit)
            writer.member("lost_error", lostToErrors)
        }
    }
}
