import Arbiter
import LinuxSystem

struct Options {
    var pins = "/sys/fs/bpf/mis"
    var without = ""
    var rules: [(Rights, String)] = []
    var names: [(Rights, String)] = []
    var addresses: [String] = []
    var policy = SandboxPolicy()
    var events: String?
    var counters = false
    var extra = 0
    var labels = 0

    static func rights(_ text: Substring) throws -> Rights {
        var rights: Rights = []
        for letter in text {
            switch letter {
            case "r": rights.insert(.read)
            case "w": rights.insert(.write)
            case "x": rights.insert(.execute)
            case "c": rights.insert(.connect)
            case "-": break
            default: throw Trouble("rights are letters out of r, w, x, c: \(text)")
            }
        }
        return rights
    }

    static func flag(_ name: String) throws -> SandboxPolicy.Flags {
        switch name {
        case "learn": .learn
        case "trace": .trace
        case "ptrace": .ptrace
        case "userns": .userNamespaces
        case "mounts": .mounts
        case "nameless": .namelessCode
        case "wx": .refuseWritableCode
        case "internet": .internet
        case "uring": .ioUring
        default: throw Trouble("no flag \(name)")
        }
    }

    mutating func read(_ arguments: inout ArraySlice<String>) throws {
        while let option = arguments.first {
            arguments.removeFirst()
            if option == "--" { return }
            if option == "--counters" {
                counters = true
                continue
            }
            guard let value = arguments.popFirst() else { throw Trouble("\(option) wants a value") }
            switch option {
            case "--rule", "--name":
                guard let colon = value.firstIndex(of: ":") else { throw Trouble("RIGHTS:… is wanted in \(value)") }
                let entry = (try Options.rights(value[..<colon]), String(value[value.index(after: colon)...]))
                if option == "--rule" { rules.append(entry) } else { names.append(entry) }
            case "--address": addresses.append(value)
            case "--flag": policy.flags.insert(try Options.flag(value))
            case "--families": policy.families = Set(value.split(separator: ",").compactMap { UInt8($0) })
            case "--otherwise": policy.otherwise = try Options.rights(value[...])
            case "--nameless": policy.nameless = try Options.rights(value[...])
            case "--events": events = value
            case "--without": without = value
            case "--pins": pins = value
            case "--extra-sandboxes": extra = Int(value) ?? 0
            case "--extra-labels": labels = Int(value) ?? 0
            default: throw Trouble("no option \(option)")
            }
        }
    }

    /// Opens what the rules name. The descriptors live as long as the process: they hold the labels.
    mutating func open() throws {
        var number: UInt32 = 1
        for (rights, path) in rules {
            let object = try FileDescriptor.open(path, O_PATH).release()
            policy.objects.append(ObjectRule(descriptor: object, rights: rights, rule: number))
            number += 1
        }
        for (rights, pattern) in names {
            if pattern.hasPrefix("**/") {
                let parts = pattern.dropFirst(3).split(separator: "/").map(String.init)
                policy.names.append(NameRule(parts: parts, anchor: nil, rights: rights, rule: number))
            } else {
                let pieces = pattern.split(separator: "/", omittingEmptySubsequences: false)
                guard let gap = pieces.dropFirst().firstIndex(of: "") else { throw Trouble("FOLDER//name: \(pattern)") }
                let folder = try FileDescriptor.open(pieces[..<gap].joined(separator: "/"), O_PATH).release()
                let parts = pieces[(gap + 1)...].map(String.init)
                policy.names.append(NameRule(parts: parts, anchor: folder, rights: rights, rule: number))
            }
            number += 1
        }
        for text in addresses {
            let pieces = text.dropFirst().split(separator: ":")
            let network = (pieces.first ?? "").split(separator: "/")
            let octets = (network.first ?? "").split(separator: ".").compactMap { UInt8($0) }
            guard octets.count == 4, let prefix = UInt32(network.last ?? "") else { throw Trouble("address \(text)") }
            var ports: ClosedRange<UInt16> = 0...65535
            if pieces.count > 1 {
                let ends = pieces[1].split(separator: "-").compactMap { UInt16($0) }
                guard let first = ends.first, let last = ends.last, first <= last else {
                    throw Trouble("ports \(text)")
                }
                ports = first...last
            }
            policy.addresses.append(
                AddressRule(
                    address: [UInt8](repeating: 0, count: 10) + [0xff, 0xff] + octets, prefix: 96 + prefix,
                    ports: ports, allowed: text.hasPrefix("+"), rule: number))
            number += 1
        }
    }
}
