import ArgumentParser
import Glibc
import Record

// The common case first: see RunArguments.
if CommandLine.arguments.dropFirst().first == "run",
    let arguments = RunArguments(plain: CommandLine.arguments.dropFirst(2))
{
    exit(RunSequence(options: arguments).run())
}
do {
    var command = try Mis.parseAsRoot()
    try command.run()
} catch {
    // A slip on the command line of `run` is a set-up that failed: nothing ran.
    if Mis.exitCode(for: error) == .validationFailure, CommandLine.arguments.dropFirst().first == "run" {
        Messages.say(Mis.message(for: error))
        exit(RunExit.setup(.failed).code)
    }
    Mis.exit(withError: error)
}
