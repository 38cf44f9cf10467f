// Writes a Swift file that holds each profile's text as a static string: no file to find at run time, nothing to
// decode, nothing allocated before it is asked for.
//
// embed-profiles OUTPUT.swift PROFILE.toml...

import Glibc

func fail(_ message: String) -> Never {
    print("embed-profiles: \(message)")
    exit(1)
}

func read(_ path: String) -> String {
    guard let file = unsafe fopen(path, "r") else { fail("cannot open \(path)") }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    while true {
        let byte = unsafe getc(file)
        if byte == EOF { break }
        bytes.append(UInt8(truncatingIfNeeded: byte))
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { fail("\(path) is not UTF-8") }
    return text
}

let arguments = CommandLine.arguments
guard arguments.count >= 3 else { fail("usage: embed-profiles OUTPUT.swift PROFILE.toml...") }

var names: [String] = []
var cases = ""
for path in arguments.dropFirst(2) {
    let name = (path.split(separator: "/").last ?? "").dropLast(".toml".count)
    let text = read(path)
    // A raw string ends only where the text has three quotes and a number sign, which is no use in a profile.
    guard !text.contains("\"\"\"#"), !text.contains("\\#"), !text.contains("\r") else {
        fail("\(path): holds \"\"\"#, \\# or a carriage return")
    }
    guard text.hasSuffix("\n") else { fail("\(path): does not end in a line end") }
    names.append("\"\(name)\"")
    cases += "        case \"\(name)\":\n            #\"\"\"\n\(text)\n\"\"\"#\n"
}

let source = """
    enum EmbeddedProfiles {
        static let names: [StaticString] = [\(names.joined(separator: ", "))]

        static func text(named name: String) -> StaticString? {
            switch name {
    \(cases)        default: nil
            }
        }
    }

    """

guard let file = unsafe fopen(arguments[1], "w") else { fail("cannot write \(arguments[1])") }
guard unsafe fputs(source, file) >= 0, unsafe fclose(file) == 0 else { fail("cannot write \(arguments[1])") }
