// Writes the C file of finished filters and names: seccomp-compiler OUTPUT
//
// Run by the EmbedSeccomp plugin on the building machine. libseccomp compiles for the architecture this program runs
// on, so the package is built on the architecture it is for.

import Glibc
import SeccompRules

func fail(_ message: String) -> Never {
    var line = "seccomp-compiler: \(message)\n"
    _ = line.withUTF8 { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
    exit(1)
}

/// Writes the whole text, or ends the program: a truncated file would be a truncated filter.
func save(_ text: String, at path: String) {
    guard let file = unsafe fopen(path, "w") else { fail("cannot write \(path): errno \(errno)") }
    let written = unsafe fputs(text, file)
    let closed = unsafe fclose(file)
    if written < 0 || closed != 0 { fail("cannot write \(path): errno \(errno)") }
}

guard CommandLine.arguments.count == 2 else { fail("usage: seccomp-compiler OUTPUT.c") }
do {
    save(try GeneratedSource.text(), at: CommandLine.arguments[1])
} catch {
    fail("\(error)")
}
