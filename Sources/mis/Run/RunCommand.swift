import ArgumentParser
import Profile

/// `mis run`
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a command in a sandbox.",
        discussion: """
            The command's stdin, stdout and stderr are its own. mis exits with the command's status; 128+N when \
            signal N ended it; 120 out of memory, 121 killed by policy, 122 killed by the watchdog, 123 enforcement \
            was lost, 124 timeout, 125 set-up failed and nothing ran, 126 not executable, 127 not found.
            """
    )

    @OptionGroup var options: RunOptions

    @Argument(
        parsing: .captureForPassthrough, help: "The command and its arguments. '--' before it ends mis's own options.")
    var command: [String] = []

    func validate() throws {
        // What looks like an option and is none of ours is a slip, not a command: '--' says otherwise.
        if let first = command.first, first.hasPrefix("-"), first != "--" {
            if first == "--help" || first == "-h" { throw CleanExit.helpRequest(self) }
            throw ValidationError(
                "unknown option \(first); see 'mis run --help', and put '--' before a command like that")
        }
        if arguments.isEmpty {
            throw ValidationError("no command given; say what to run, for example: mis run -- make test")
        }
    }

    /// The command without the `--` that ended the options.
    var arguments: [String] {
        command.first == "--" ? Array(command.dropFirst()) : command
    }

    func run() throws {
        let status = RunSequence(options: options.values(command: arguments)).run()
        throw ExitCode(status)
    }
}

/// Everything `mis run` takes before the command.
struct RunOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "A profile's name, or a file (with a '/').")
    var profile = "default"

    @Option(name: .shortAndLong, help: "The folder the agent works in: writable, at the same path inside.")
    var workspace: String?

    @Option(help: "Show PATH inside, read-only. Repeatable.")
    var ro: [String] = []

    @Option(help: "Show PATH inside, writable. Repeatable.")
    var rw: [String] = []

    @Option(help: "Deny PATH, or a name pattern such as '**/.env'. Repeatable.")
    var deny: [String] = []

    @Option(help: ArgumentHelp("Show a place at another path: SRC:DST[:ro]. Repeatable.", valueName: "src:dst"))
    var bind: [String] = []

    @Option(help: "none: a network of its own with nothing but loopback; host: the host's.")
    var net: String?

    @Option(help: ArgumentHelp("Pass a variable, or set it with NAME=VALUE. Repeatable.", valueName: "name[=value]"))
    var env: [String] = []

    @Option(
        help: ArgumentHelp(
            "memory, memory-high, cpu, cpu-weight, pids, io-weight, files, file-size, tmp-size. Repeatable.",
            valueName: "key=value"))
    var limit: [String] = []

    @Option(help: "End the run after 30s, 10m, 1h: TERM, and five seconds later KILL.")
    var timeout: String?

    @Option(help: "bpf, fanotify or landlock: refuse to run below it.")
    var require: String?

    @Option(help: ArgumentHelp("Where the session is kept.", valueName: "dir"))
    var record: String?

    @Option(help: ArgumentHelp("Write one JSON object there when the run ends; '-' is stdout.", valueName: "file"))
    var report: String?

    @Flag(help: "Print what would be done, and stop.")
    var dryRun = false

    @Flag(help: "With --dry-run: as JSON.")
    var json = false

    @Flag(name: .shortAndLong, help: "No line of mis's own unless something failed.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Say more about what is enforced and how the run went.")
    var verbose = false

    @Flag(help: "Accept a workspace that is the home folder or part of the system.")
    var forceWorkspace = false

    func values(command: [String]) -> RunArguments {
        var values = RunArguments()
        values.profile = profile
        values.workspace = workspace
        values.ro = ro
        values.rw = rw
        values.deny = deny
        values.bind = bind
        values.net = net
        values.env = env
        values.limit = limit
        values.timeout = timeout
        values.require = require
        values.record = record
        values.report = report
        values.dryRun = dryRun
        values.json = json
        values.quiet = quiet
        values.verbose = verbose
        values.forceWorkspace = forceWorkspace
        values.command = command
        return values
    }
}
