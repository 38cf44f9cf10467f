/// Masks obvious secrets in what is recorded of a command line and an environment.
///
/// Obvious means: the value of a name that says it is secret (`--api-key=...`, `DB_PASSWORD=...`, `"token": "..."`,
/// `?access_token=...`), the content of an Authorization or Cookie header, the user part of a URL, a private key in
/// PEM, and tokens that carry their issuer's mark (`sk-...`, `ghp_...`, `AKIA...`). A secret that looks like any other
/// word is not found; masking more than needed is the lesser harm. Linear in the length of its input.
public enum Redaction {
    /// What stands where a secret stood.
    public static let mask = "***"

    /// One argument, or one `NAME=VALUE`, with its secrets masked. Masking twice changes nothing more.
    public static func redact(_ bytes: [UInt8]) -> [UInt8] {
        var scan = SecretScan(bytes)
        return scan.masked()
    }

    /// A command's arguments with their secrets masked, also where the name is one argument and the value the next.
    public static func redact(arguments: [[UInt8]]) -> [[UInt8]] {
        var result: [[UInt8]] = []
        result.reserveCapacity(arguments.count)
        let program = arguments.first.map { $0.suffix { $0 != UInt8(ascii: "/") } }
        for (index, argument) in arguments.enumerated() {
            let option = index > 0 ? arguments[index - 1] : []
            if index > 1, !argument.isEmpty, takesSecret(option), !argument.starts(with: "--".utf8) {
                result.append(Array(mask.utf8))
            } else if index > 1, let masked = knownOption(of: program ?? [], option, argument) {
                result.append(masked)
            } else {
                result.append(redact(argument))
            }
        }
        return result
    }

    /// `--token`, `-password`: an option whose name says that a secret follows.
    private static func takesSecret(_ option: [UInt8]) -> Bool {
        guard option.first == UInt8(ascii: "-") else { return false }
        let name = option.drop { $0 == UInt8(ascii: "-") }
        return name.allSatisfy(SecretName.isPart) && SecretName.isSecret(name)
    }

    /// Options that only their program gives a meaning to: `curl -u user:password`, `sshpass -p password`.
    private static func knownOption(
        of program: ArraySlice<UInt8>, _ option: [UInt8], _ argument: [UInt8]
    ) -> [UInt8]? {
        if program.elementsEqual("sshpass".utf8), option.elementsEqual("-p".utf8) { return Array(mask.utf8) }
        let takesUser = ["-u", "--user", "-U", "--proxy-user"].contains { option.elementsEqual($0.utf8) }
        if program.elementsEqual("curl".utf8), takesUser, let colon = argument.firstIndex(of: UInt8(ascii: ":")) {
            return argument[...colon] + Array(mask.utf8)
        }
        return nil
    }
}

extension Array where Element == UInt8 {
    /// The longest end all of whose elements satisfy `predicate`.
    fileprivate func suffix(while predicate: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        var start = endIndex
        while start > startIndex, predicate(self[start - 1]) { start -= 1 }
        return self[start...]
    }
}

/// Which names announce a secret.
enum SecretName {
    static func isPart(_ byte: UInt8) -> Bool {
        isWord(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }

    static func isWord(_ byte: UInt8) -> Bool {
        isUpper(byte) || isLower(byte) || isDigit(byte) || byte == UInt8(ascii: "_")
    }

    private static func isUpper(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") }
    private static func isLower(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    /// Whether the value of something with this name is to be masked.
    static func isSecret(_ name: ArraySlice<UInt8>) -> Bool {
        guard mayBeSecret(name) else { return false }
        let parts = split(name)
        guard let last = parts.last, !harmless.contains(last) else { return false }
        for part in parts where endings.contains(where: part.hasSuffix) || words.contains(part) { return true }
        if parts.count > 1 && (last == "pwd" || last == "auth" || last == "pass") { return true }
        if last == "auth" && parts.count == 1 { return true }
        if last == "key" && parts.count > 1 {
            // An environment variable that ends in _KEY nearly always holds one.
            return keyKinds.contains(parts[parts.count - 2]) || !name.contains(where: isLower)
        }
        return false
    }

    /// Whether three letters in a row begin one of the words below: nearly all names end here, at no cost.
    private static func mayBeSecret(_ name: ArraySlice<UInt8>) -> Bool {
        var last: UInt32 = 0
        for byte in name {
            last = (last << 8 | UInt32(byte | 0x20)) & 0xFFFFFF
            switch last {
            // tok, sec, pas, pwd, key, aut, cre, coo, bea
            case 0x746F6B, 0x736563, 0x706173, 0x707764, 0x6B6579, 0x617574, 0x637265, 0x636F6F, 0x626561: return true
            default: continue
            }
        }
        return false
    }

    private static let endings = [
        "token", "secret", "password", "passwd", "passphrase", "passcode", "apikey", "credential", "credentials",
    ]
    private static let words: Set<String> = ["authorization", "cookie", "bearer", "secrets"]
    private static let keyKinds: Set<String> = [
        "access", "account", "api", "client", "deploy", "encryption", "master", "private", "secret", "service",
        "signing",
    ]
    /// A name that ends in one of these tells where a secret is, or about it, not the secret.
    private static let harmless: Set<String> = [
        "count", "dir", "file", "length", "limit", "name", "path", "sock", "ttl", "type",
    ]

    /// Parts between separators and where a capital follows a small letter, in lower case.
    private static func split(_ name: ArraySlice<UInt8>) -> [String] {
        var parts: [String] = []
        var part: [UInt8] = []
        var wasLower = false
        for byte in name {
            let separates = !isUpper(byte) && !isLower(byte) && !isDigit(byte)
            if separates || (wasLower && isUpper(byte)) {
                if !part.isEmpty { parts.append(String(decoding: part, as: UTF8.self)) }
                part = []
            }
            if !separates { part.append(isUpper(byte) ? byte | 0x20 : byte) }
            wasLower = isLower(byte)
        }
        if !part.isEmpty { parts.append(String(decoding: part, as: UTF8.self)) }
        return parts
    }
}
