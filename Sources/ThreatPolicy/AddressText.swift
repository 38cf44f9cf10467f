/// Addresses as people write them, and ranges: `[PROTOCOL/]ADDRESS[/PREFIX][:PORT]`, IPv6 in brackets and by RFC 5952.
public enum AddressText {
    static func parse(_ text: String) throws(KeyTextError) -> AddressRange {
        let mistake = KeyTextError(
            "\"\(text)\" is no address: write [tcp/]192.0.2.0/24[:443] or [udp/][2001:db8::]/32[:53]")
        var rest = Substring(text)
        var protocolNumber: UInt8 = 0
        for (name, number) in [("tcp/", UInt8(6)), ("udp/", 17), ("icmp/", 1), ("sctp/", 132)]
        where rest.hasPrefix(name) {
            protocolNumber = number
            rest = rest.dropFirst(name.count)
        }
        let high: UInt64
        let low: UInt64
        let isV6 = rest.hasPrefix("[")
        if isV6 {
            guard let end = rest.firstIndex(of: "]") else { throw mistake }
            guard let words = version6(rest[rest.index(after: rest.startIndex)..<end]) else { throw mistake }
            (high, low) = words
            rest = rest[rest.index(after: end)...]
        } else {
            let digits = rest.prefix { $0 == "." || $0.isWholeNumber && $0.isASCII }
            guard let address = version4(digits) else { throw mistake }
            (high, low) = (0, 0xFFFF_0000_0000 | UInt64(address))
            rest = rest.dropFirst(digits.count)
        }
        var prefix: UInt8 = 128
        if rest.hasPrefix("/") {
            let digits = rest.dropFirst().prefix { $0 != ":" }
            guard let bits = UInt8(digits), bits <= (isV6 ? 128 : 32) else { throw mistake }
            prefix = isV6 ? bits : bits + 96
            rest = rest.dropFirst(digits.count + 1)
        }
        var port: UInt16 = 0
        if rest.hasPrefix(":") {
            guard let number = UInt16(rest.dropFirst()), number > 0 else { throw mistake }
            port = number
        } else if !rest.isEmpty {
            throw mistake
        }
        return AddressRange(
            SocketAddress(high: high, low: low, port: port, protocolNumber: protocolNumber), prefix: prefix)
    }

    private static func version4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard part.count <= 3, let byte = UInt8(part) else { return nil }
            address = address << 8 | UInt32(byte)
        }
        return address
    }

    private static func version6(_ text: Substring) -> (high: UInt64, low: UInt64)? {
        var halves: [[UInt16]] = []
        var parts = [text]
        let gap = text.indices.first { text[$0...].hasPrefix("::") }
        if let gap { parts = [text[..<gap], text[text.index(gap, offsetBy: 2)...]] }
        for part in parts {
            var groups: [UInt16] = []
            if !part.isEmpty {
                for group in part.split(separator: ":", omittingEmptySubsequences: false) {
                    if group.contains("."), let address = version4(group) {
                        groups += [UInt16(address >> 16), UInt16(address & 0xFFFF)]
                        continue
                    }
                    guard (1...4).contains(group.count), let number = UInt16(group, radix: 16), group.first != "+"
                    else { return nil }
                    groups.append(number)
                }
            }
            halves.append(groups)
        }
        var groups = halves[0]
        if halves.count == 2 {
            let missing = 8 - halves[0].count - halves[1].count
            guard missing >= 1 else { return nil }
            groups += Array(repeating: 0, count: missing) + halves[1]
        }
        guard groups.count == 8 else { return nil }
        func word(_ part: ArraySlice<UInt16>) -> UInt64 { part.reduce(0) { $0 << 16 | UInt64($1) } }
        return (word(groups[..<4]), word(groups[4...]))
    }

    static func text(_ range: AddressRange) -> String {
        let address = range.address
        var text =
            switch address.protocolNumber {
            case 0: ""
            case 1: "icmp/"
            case 6: "tcp/"
            case 17: "udp/"
            case 132: "sctp/"
            default: "\(address.protocolNumber)/"
            }
        let isVersion4 = isVersion4(address.high, address.low) && range.prefix >= 96
        text += isVersion4 ? version4(address.low) : "[\(version6(address.high, address.low))]"
        text += "/\(isVersion4 ? range.prefix - 96 : range.prefix)"
        return address.port == 0 ? text : text + ":\(address.port)"
    }

    /// `192.0.2.1:443`, `[2001:db8::1]:443`.
    /// - Parameter address: 16 bytes, IPv4 as ::ffff:a.b.c.d.
    public static func describe(_ address: [UInt8], port: UInt16) -> String {
        guard address.count == 16 else { return "port \(port)" }
        func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        let (high, low) = (word(address[..<8]), word(address[8...]))
        return (isVersion4(high, low) ? version4(low) : "[\(version6(high, low))]") + ":\(port)"
    }

    private static func isVersion4(_ high: UInt64, _ low: UInt64) -> Bool { high == 0 && low >> 32 == 0xFFFF }

    private static func version4(_ low: UInt64) -> String {
        (0..<4).map { "\(low >> UInt64(24 - $0 * 8) & 0xFF)" }.joined(separator: ".")
    }

    /// RFC 5952: the longest run of zero groups, of at least two, becomes "::".
    private static func version6(_ high: UInt64, _ low: UInt64) -> String {
        let groups = [high, low].flatMap { word in (0..<4).map { word >> UInt64(48 - $0 * 16) & 0xFFFF } }
        var best = 0..<0
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ groups: ArraySlice<UInt64>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        if best.isEmpty { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}
