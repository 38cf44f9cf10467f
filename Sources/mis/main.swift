import Glibc

// The common case first: see RunArguments.
if CommandLine.arguments.dropFirst().first == "run",
    let arguments = RunArguments(plain: CommandLine.arguments.dropFirst(2))
{
    exit(RunSequence(options: arguments).run())
}
Mis.main()
