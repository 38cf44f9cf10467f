public import ArgumentParser

/// Why a place to pull from cannot be used.
public struct EndpointError: Error, Equatable, CustomStringConvertible {
    public var description: String
}

/// A URL, as far as a feed needs it: scheme, host, port, and the rest unread.
///
/// Names and passwords have no place in it: a URL is seen in the list of processes, in logs and in the status file.
public struct Endpoint: Equatable, Sendable {
    public var scheme: String
    /// A name or an address; IPv6 without its brackets.
    public var host: String
    public var port: UInt16
    /// From the first `/` on.
    public var path: String
    /// As it was written.
    public var text: String

    /// Longer ones are refused.
    static let longest = 2048

    /// - Parameter ports: the schemes that are known, with the port each has by default.
    init(_ text: String, ports: [String: UInt16]) throws(EndpointError) {
        func refused(_ why: String) -> EndpointError { EndpointError(description: "\(text): \(why)") }
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.longest else { throw EndpointError(description: "a URL of \(bytes.count) bytes") }
        guard bytes.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw refused("a space or a character that is not ASCII; write it percent-encoded")
        }
        guard let mark = text.range(of: "://") else {
            throw refused("no URL; it begins with \(ports.keys.sorted().map { $0 + "://" }.joined(separator: " or "))")
        }
        scheme = text[..<mark.lowerBound].lowercased()
        guard let usual = ports[scheme] else {
            throw refused("scheme \"\(scheme)\"; known is \(ports.keys.sorted().joined(separator: ", "))")
        }
        let rest = text[mark.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let authority = rest[..<end]
        path = String(rest[end...])
        guard !authority.contains("@") else {
            throw refused("a user or password in a URL is seen by everybody; there are options for it")
        }
        var digits: Substring?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else { throw refused("\"[\" without \"]\"") }
            host = String(authority[authority.index(after: authority.startIndex)..<close])
            let after = authority[authority.index(after: close)...]
            guard after.isEmpty || after.hasPrefix(":") else { throw refused("\"\(after)\" after the address") }
            digits = after.isEmpty ? nil : after.dropFirst()
            guard host.contains(":"), host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else {
                throw refused("no IPv6 address between the brackets")
            }
        } else {
            let colon = authority.firstIndex(of: ":")
            host = String(authority[..<(colon ?? authority.endIndex)])
            digits = colon.map { authority[authority.index(after: $0)...] }
            guard !host.isEmpty, host.utf8.count <= 253,
                host.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "_" })
            else { throw refused("no host name") }
        }
        if let digits {
            guard digits.allSatisfy(\.isNumber), let number = UInt16(digits), number > 0 else {
                throw refused("port \"\(digits)\"")
            }
            port = number
        } else {
            port = usual
        }
        self.text = text
    }

    /// Whether the host is an address: nothing has to be looked up.
    public var isNumeric: Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return host.contains(":") || (parts.count == 4 && parts.allSatisfy { UInt8($0) != nil })
    }

    /// Whether it is this machine by its very address: a name may lead anywhere.
    var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        return isNumeric && !host.contains(":") && host.hasPrefix("127.")
    }
}

/// A bundle on a web server.
public struct WebAddress: Equatable, Sendable, ExpressibleByArgument {
    public let endpoint: Endpoint

    public init(_ text: String) throws(EndpointError) {
        if text.lowercased().hasPrefix("http://") {
            throw EndpointError(
                description: "\(text): without TLS anybody on the way can hold a bundle back unseen; write https://")
        }
        endpoint = try Endpoint(text, ports: ["https": 443])
    }

    public init?(argument: String) {
        guard let made = try? WebAddress(argument) else { return nil }
        self = made
    }
}

/// An MQTT broker.
public struct BrokerAddress: Equatable, Sendable, ExpressibleByArgument {
    public let endpoint: Endpoint
    public var usesTLS: Bool { endpoint.scheme == "mqtts" }

    public init(_ text: String) throws(EndpointError) {
        endpoint = try Endpoint(text, ports: ["mqtts": 8883, "mqtt": 1883])
        guard endpoint.path.isEmpty || endpoint.path == "/" else {
            throw EndpointError(description: "\(text): a broker has no path; --topic names what to subscribe to")
        }
        guard usesTLS || endpoint.isLoopback else {
            throw EndpointError(
                description: "\(text): without TLS only to this machine (127.0.0.1, ::1); write mqtts://")
        }
    }

    public init?(argument: String) {
        guard let made = try? BrokerAddress(argument) else { return nil }
        self = made
    }
}

extension String {
    /// The first place of `text`.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
