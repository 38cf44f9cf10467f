import ArgumentParser
import Glibc
import Record

// The common case first: see RunArguments.
let words = RawArguments.texts()
if words.first == "run", let arguments = RunArguments(plain: words.dropFirst()) {
    exit(RunSequence(options: arguments).run())
}
do {
    var command = try Mis.parseAsRoot()
    try command.run()
} catch {
    // A slip on the command line of `run` is a set-up that failed: nothing ran.
    if Mis.exitCode(for: error) == .validationFailure, words.first == "run" {
        Messages.say(Mis.message(for: error))
        exit(RunExit.setup(.failed).code)
    }
    Mis.exit(withError: error)
}
