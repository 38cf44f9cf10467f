/// What a web server said of a file's version, to be told back to it: ETag and Last-Modified (RFC 9110, section 8.8).
///
/// Strangers' bytes that come back in a request of ours: only what cannot break out of a header line is kept.
public struct Validators: Equatable, Sendable {
    public private(set) var entityTag: String?
    public private(set) var lastModified: String?

    /// Longer ones are not kept: the file is then fetched again.
    static let longest = 256

    public init() {}

    public init(entityTag: String?, lastModified: String?) {
        self.entityTag = entityTag.flatMap { Self.entityTag(Array($0.utf8)[...]) }
        self.lastModified = lastModified.flatMap { Self.date(Array($0.utf8)[...]) }
    }

    public var isEmpty: Bool { entityTag == nil && lastModified == nil }

    /// Header lines for the next request.
    public var requestLines: [String] {
        [entityTag.map { "If-None-Match: \($0)" }, lastModified.map { "If-Modified-Since: \($0)" }].compactMap { $0 }
    }

    /// One line of a response's head. A status line begins a new response, after a redirect for example.
    public mutating func take(_ line: [UInt8]) {
        if line.starts(with: "HTTP/".utf8) {
            self = Validators()
            return
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
        var value = line[(colon + 1)...]
        while let first = value.first, first == 32 || first == 9 { value = value.dropFirst() }
        while let last = value.last, last == 32 || last == 9 || last == 13 || last == 10 { value = value.dropLast() }
        switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
        case "etag": entityTag = Self.entityTag(value)
        case "last-modified": lastModified = Self.date(value)
        default: break
        }
    }

    /// `"..."` or `W/"..."`.
    private static func entityTag(_ text: ArraySlice<UInt8>) -> String? {
        let quoted = text.starts(with: "W/".utf8) ? text.dropFirst(2) : text
        let quote = UInt8(ascii: "\"")
        guard text.count <= longest, quoted.count >= 2, quoted.first == quote, quoted.last == quote,
            quoted.dropFirst().dropLast().allSatisfy({ $0 > 32 && $0 < 127 && $0 != quote })
        else { return nil }
        return String(decoding: text, as: UTF8.self)
    }

    private static func date(_ text: ArraySlice<UInt8>) -> String? {
        let known = Array(" ,:+-".utf8)
        guard !text.isEmpty, text.count <= 64,
            text.allSatisfy({
                known.contains($0) || (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
            })
        else { return nil }
        return String(decoding: text, as: UTF8.self)
    }
}
