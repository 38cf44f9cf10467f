/// What was asked of `mis run`, as plain values.
///
/// The argument parser's reflection costs more than a millisecond at each start, in a launcher whose whole start-up is
/// a few. So well-formed command lines are read here, by the same names; whatever is not plainly understood (help,
/// mistakes, abbreviations of the parser's own) is left to the parser, which then has the last word.
struct RunArguments: Equatable {
    var profile = "default"
    var workspace: String?
    var ro: [String] = []
    var rw: [String] = []
    var deny: [String] = []
    var bind: [String] = []
    var net: String?
    var env: [String] = []
    var limit: [String] = []
    var timeout: String?
    var require: String?
    var record: String?
    var report: String?
    var dryRun = false
    var json = false
    var quiet = false
    var verbose = false
    var forceWorkspace = false
    var command: [String] = []

    init() {}

    /// Reads what follows `mis run`; nil when it is for the argument parser.
    init?(plain arguments: ArraySlice<String>) {
        var rest = arguments
        while let argument = rest.first {
            rest = rest.dropFirst()
            if argument == "--" {
                command = Array(rest)
                break
            }
            guard argument.hasPrefix("-") else {
                command = [argument] + rest
                break
            }
            if setFlag(argument) { continue }
            let name: String
            let value: String
            if argument.hasPrefix("--"), let equals = argument.firstIndex(of: "=") {
                name = String(argument[..<equals])
                value = String(argument[argument.index(after: equals)...])
            } else {
                // A value that looks like an option is a slip the parser explains.
                guard let next = rest.first, !next.hasPrefix("-") || next == "-" else { return nil }
                rest = rest.dropFirst()
                name = argument
                value = next
            }
            guard setOption(name, value) else { return nil }
        }
        if command.isEmpty { return nil }
    }

    private mutating func setFlag(_ name: String) -> Bool {
        switch name {
        case "--dry-run": dryRun = true
        case "--json": json = true
        case "-q", "--quiet": quiet = true
        case "-v", "--verbose": verbose = true
        case "--force-workspace": forceWorkspace = true
        default: return false
        }
        return true
    }

    private mutating func setOption(_ name: String, _ value: String) -> Bool {
        switch name {
        case "-p", "--profile": profile = value
        case "-w", "--workspace": workspace = value
        case "--ro": ro.append(value)
        case "--rw": rw.append(value)
        case "--deny": deny.append(value)
        case "--bind": bind.append(value)
        case "--net": net = value
        case "--env": env.append(value)
        case "--limit": limit.append(value)
        case "--timeout": timeout = value
        case "--require": require = value
        case "--record": record = value
        case "--report": report = value
        default: return false
        }
        return true
    }
}
