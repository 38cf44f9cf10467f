import JSONText
import ThreatPolicy

/// Which bundles are in force: the policy folder's `active.json`.
public struct ActivePolicy: Equatable, Sendable {
    /// A bundle tried on a share of the sandboxes first.
    public struct Canary: Equatable, Sendable {
        public var file: String
        /// Of the sandboxes, 1 to 99.
        public var percent: Int
    }

    public struct Part: Equatable, Sendable {
        /// Name in the store.
        public var current: String?
        public var canary: Canary?
        /// The largest serial ever taken; what comes later must be above it, whatever was rolled back.
        public var highest: UInt64 = 0
    }

    /// A file that was put into the folder and not taken.
    public struct Refused: Equatable, Sendable {
        public var name: String
        /// Device, inode, size and time of change: which file it was.
        public var identity: String
        public var reason: String
        /// Seconds since 1970.
        public var time: Int64
    }

    public var base = Part()
    public var hotfix = Part()
    /// The last ones, at most ``refusedKept``.
    public var refused: [Refused] = []

    /// Which files of `incoming` were found to be what was taken, the last ones: nobody need read them again.
    public private(set) var taken: [String] = []

    static let refusedKept = 10
    static let takenKept = 10

    mutating func noteTaken(_ identity: String) {
        guard !taken.contains(identity) else { return }
        taken = Array(([identity] + taken).prefix(Self.takenKept))
    }

    public init() {}

    public subscript(kind: BundleKind) -> Part {
        get { kind == .base ? base : hotfix }
        set { if kind == .base { base = newValue } else { hotfix = newValue } }
    }

    /// The file in force for a session: a share of the sessions, always the same ones, has the canary.
    public func file(_ kind: BundleKind, session: String) -> String? {
        if let canary = self[kind].canary, Self.draw(session) < canary.percent { return canary.file }
        return self[kind].current
    }

    /// 0 to 99, by the session's name.
    static func draw(_ session: String) -> Int {
        Int(PolicySignature.draw(Array("canary \(session)".utf8)) % 100)
    }

    // MARK: JSON

    var text: [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            for kind in BundleKind.allCases {
                writer.object(kind.label) { writer in
                    let part = self[kind]
                    writer.member("current", part.current)
                    writer.member("highest", part.highest)
                    if let canary = part.canary {
                        writer.member("canary", canary.file)
                        writer.member("percent", canary.percent)
                    }
                }
            }
            writer.array("refused") { writer in
                for refused in refused {
                    writer.object { writer in
                        writer.member("name", refused.name)
                        writer.member("identity", refused.identity)
                        writer.member("reason", refused.reason)
                        writer.member("time", refused.time)
                    }
                }
            }
            writer.member("taken", taken)
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }

    init(_ text: [UInt8]) throws(JSONError) {
        let value = try JSONReader.read(text, limits: .init(depth: 8, bytes: 1 << 20))
        for kind in BundleKind.allCases {
            guard let part = value[kind.label] else { continue }
            self[kind].current = part["current"]?.string.flatMap(Self.storeName)
            self[kind].highest = part["highest"]?.uint64 ?? 0
            if let file = part["canary"]?.string.flatMap(Self.storeName), let percent = part["percent"]?.int64,
                (1...99).contains(percent)
            {
                self[kind].canary = Canary(file: file, percent: Int(percent))
            }
        }
        for entry in (value["refused"]?.array ?? []).prefix(Self.refusedKept) {
            guard let name = entry["name"]?.string, let identity = entry["identity"]?.string,
                let reason = entry["reason"]?.string, let time = entry["time"]?.int64
            else { continue }
            refused.append(Refused(name: name, identity: identity, reason: reason, time: time))
        }
        taken = (value["taken"]?.array ?? []).prefix(Self.takenKept).compactMap(\.string)
    }

    /// A name that lies in the store and nowhere else.
    private static func storeName(_ name: String) -> String? {
        name.isEmpty || name.utf8.contains(47) || name.hasPrefix(".") ? nil : name
    }
}
