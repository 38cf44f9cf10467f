import Arbiter
import LinuxSystem

/// What is changed under a running sandbox as soon as a file appears: its level and flags, the rights on an object, its
/// threat policy; or open files are made to follow, or who has refused code mapped is written to a file.
struct Change {
    let file: String
    let kind: Kind

    enum Kind {
        case level(UInt32, SandboxPolicy.Flags)
        case rights(Rights, String)
        case threat(String)
        case revoke
        case mapped(String)
    }

    init(_ text: String) throws {
        let pieces = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard pieces.count == 3 else { throw Trouble("FILE:LEVEL:FLAGS or FILE:RIGHTS:PATH is wanted in \(text)") }
        file = pieces[0]
        if pieces[1] == "threat" {
            kind = .threat(pieces[2])
        } else if pieces[1] == "revoke" {
            kind = .revoke
        } else if pieces[1] == "mapped" {
            kind = .mapped(pieces[2])
        } else if let level = UInt32(pieces[1]) {
            var flags: SandboxPolicy.Flags = []
            for name in pieces[2].split(separator: ",") { flags.insert(try Options.flag(String(name))) }
            kind = .level(level, flags)
        } else {
            kind = .rights(try Options.rights(pieces[1][...]), pieces[2])
        }
    }

    func make(_ arbiter: borrowing Arbiter, _ sandbox: borrowing RegisteredSandbox) throws {
        switch kind {
        case .level(let level, let flags): try arbiter.set(level: level, flags: flags, of: sandbox)
        case .rights(let rights, let path):
            let object = try FileDescriptor.open(path, O_PATH).release()
            try arbiter.label([ObjectRule(descriptor: object, rights: rights, rule: 1000)], in: sandbox)
        case .threat(let file): try Threat(reading: file).put(in: arbiter, for: sandbox)
        case .revoke: try arbiter.revoke(in: sandbox)
        case .mapped(let file):
            let list = try arbiter.mappingRevoked(in: sandbox).map(String.init).joined(separator: " ")
            try replaceText(list + "\n", at: file)
        }
    }
}

struct Options {
    var pins = "/sys/fs/bpf/mis"
    var without = ""
    var missing: Set<String> = []
    var threat: String?
    /// Policies that take turns for as long as the command runs, as fast as the kernel takes them.
    var turns: [String] = []
    var changes: [Change] = []
    var rules: [(Rights, String)] = []
    var names: [(Rights, String)] = []
    var addresses: [String] = []
    var policy = SandboxPolicy()
    var events: String?
    var counters = false
    var extra = 0
    var labels = 0

    func arbiter() throws -> Arbiter { try Arbiter.open(root: pins, without: without, missing: missing) }

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

    /// OPEN,EXECUTE,USE in seconds.
    static func lifetimes(_ text: String) throws -> SandboxPolicy.Lifetimes {
        let numbers = text.split(separator: ",").compactMap { UInt32($0) }
        guard numbers.count == 3 else { throw Trouble("three numbers of seconds are wanted in \(text)") }
        var lifetimes = SandboxPolicy.Lifetimes()
        (lifetimes.open, lifetimes.execute, lifetimes.use) = (numbers[0], numbers[1], numbers[2])
        return lifetimes
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
        case "unhashed": .refuseUnhashed
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
            case "--threat": threat = value
            case "--turn": turns.append(value)
            case "--lifetime": policy.lifetimes = try Options.lifetimes(value)
            case "--missing": missing = Set(value.split(separator: ",").map(String.init))
            case "--after": changes.append(try Change(value))
            case "--pins": pins = value
            case "--extra-sandboxes": extra = Int(value) ?? 0
            case "--extra-labels": labels = Int(value) ?? 0
            default: throw Trouble("no option \(option)")
            }
        }
    }

    /// A label is a descriptor, a sandbox beside this one two rings.
    private func makeRoom() throws {
        let wanted = rlim_t(labels + 2 * extra + 1000)
        let which = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        try kernel { unsafe getrlimit(which, &limit) }
        guard limit.rlim_cur < wanted else { return }
        limit = rlimit(rlim_cur: wanted, rlim_max: max(wanted, limit.rlim_max))
        try kernel { unsafe setrlimit(which, &limit) }
    }

    /// Labels of files that nobody opens, to see what many of them cost.
    mutating func openMany() throws {
        try makeRoom()
        guard labels > 0 else { return }
        let folder = "/tmp/labels-\(getpid())"
        try kernel { unsafe mkdir(folder, 0o755) }
        for index in 0..<labels {
            let file = "\(folder)/\(index)"
            let object = try FileDescriptor.open(file, O_RDONLY | O_CREAT, mode: 0o644).release()
            // The descriptor is all that is needed; a name fewer to take away afterwards.
            try kernel { unsafe unlink(file) }
            policy.objects.append(ObjectRule(descriptor: object, rights: .read, rule: 1))
        }
        try kernel { unsafe rmdir(folder) }
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
            var (address, prefix) = ([UInt8](repeating: 0, count: 10) + [0xff, 0xff], UInt32(96))
            var rest = text.dropFirst()
            if rest.first == "[", let end = rest.firstIndex(of: "]") {
                var bytes = [UInt8](repeating: 0, count: 16)
                let literal = String(rest[rest.index(after: rest.startIndex)..<end])
                guard unsafe inet_pton(AF_INET6, literal, &bytes) == 1 else { throw Trouble("address \(text)") }
                (address, prefix) = (bytes, 0)
                rest = rest[rest.index(after: end)...]
            } else {
                let end = rest.firstIndex(of: "/") ?? rest.endIndex
                address += rest[..<end].split(separator: ".").compactMap { UInt8($0) }
                rest = rest[end...]
            }
            let pieces = rest.dropFirst().split(separator: ":")
            guard address.count == 16, let bits = pieces.first.flatMap({ UInt32($0) }) else {
                throw Trouble("address \(text)")
            }
            prefix += bits
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
                    address: address, prefix: prefix, ports: ports, allowed: text.hasPrefix("+"), rule: number))
            number += 1
        }
    }
}
