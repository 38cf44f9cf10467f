// Runs one command in a cgroup the kernel arbiter guards, with rules from the command line, and prints what the kernel
// told as JSON lines. For tests inside virtual machines and for measuring; a person wants `mis run`.
//
//   arbiter-exercise run [OPTION...] -- COMMAND...   exits as COMMAND did (128+N for signal N)
//     --rule RIGHTS:PATH      rights out of r, w, x, c, or - for none, on an object
//     --name RIGHTS:PATTERN   **/a/b (anywhere) or FOLDER//a/b (below a folder)
//     --address +|-ADDRESS/PREFIX[:FIRST-LAST]         IPv4
//     --flag learn|trace|ptrace|userns|mounts|nameless|wx|internet|uring   --families 1,2,10,16
//     --otherwise RIGHTS  --nameless RIGHTS  --events FILE  --counters  --without PROGRAM,...  --pins FOLDER
//     --threat FILE           a threat policy (Threat.swift says in which form)   --lifetime OPEN,EXECUTE,USE seconds
//     --turn FILE ...         threat policies that take turns while the command runs; tells on stderr how many took one
//     --after FILE:LEVEL:FLAGS|RIGHTS:PATH|threat:POLICY|revoke:|mapped:OUTPUT     done when FILE appears, which goes then
//     --extra-sandboxes N     registers N more sandboxes beside it, for costs
//     --extra-labels N        labels N more files, for costs
//   arbiter-exercise vectors -- FILE                 asks the kernel's key function
//   arbiter-exercise start [--rule ...]              nanoseconds a later run spends here: medians of 20
//   arbiter-exercise load|unload|programs|table|collect|folders [--pins FOLDER] [--without PROGRAM,...]
import Arbiter
import CBpf
import LinuxSystem

struct Trouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

func main() throws -> Int32 {
    var arguments = ArraySlice(CommandLine.arguments.dropFirst())
    let verb = arguments.popFirst() ?? ""
    var options = Options()
    try options.read(&arguments)
    switch verb {
    case "run":
        return try run(options, Array(arguments))
    case "load":
        let arbiter = try options.arbiter()
        print(arbiter.loaded ? "loaded" : "found", arbiter.programs.count, "programs")
    case "unload":
        print(try Arbiter.unload(root: options.pins, without: options.without) ? "unpinned" : "in use")
    case "programs":
        let arbiter = try options.arbiter()
        for program in arbiter.programs { print(program) }
    case "vectors":
        return try askVectors(options, arguments.popFirst() ?? "") ? 0 : 1
    case "start":
        try start(options)
    case "table":
        for line in try Arbiter.measure() {
            print("\(line.name)\t\(line.hook)\t\(line.verified)\t\(line.bytes)")
        }
    case "collect":
        let arbiter = try options.arbiter()
        print(arbiter.entries)
    case "folders":
        print(try options.arbiter().rememberedFolders())
    default:
        throw Trouble("run, start, vectors, load, unload, programs, table, collect or folders is wanted")
    }
    return 0
}

do {
    exit(try main())
} catch {
    try? FileDescriptor(owning: 2).writeAll("arbiter-exercise: \(error)\n".utf8)
    exit(125)
}
