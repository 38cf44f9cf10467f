// Writes the C file that holds the kernel's programs, from its template: the object's digest, by which every start finds
// the pins of its own version, is worked out here, once, and not from four hundred kilobytes at each start.
//
// embed-object TEMPLATE.c.in OBJECT.o OUTPUT.c

import Glibc

func fail(_ message: String) -> Never {
    print("embed-object: \(message)")
    exit(1)
}

func read(_ path: String) -> [UInt8] {
    guard let file = unsafe fopen(path, "r") else { fail("cannot open \(path)") }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    while true {
        let byte = unsafe getc(file)
        if byte == EOF { return bytes }
        bytes.append(UInt8(truncatingIfNeeded: byte))
    }
}

/// 128 bits that differ for different objects. Not a defence: the folder of pins is root's.
func digest(_ object: [UInt8]) -> [UInt64] {
    var first = 0xcbf2_9ce4_8422_2325 ^ UInt64(object.count)
    var second = 0x9e37_79b9_7f4a_7c15 &+ UInt64(object.count)
    for start in stride(from: 0, to: object.count, by: 8) {
        var word: UInt64 = 0
        for byte in object[start..<min(start + 8, object.count)].reversed() { word = word << 8 | UInt64(byte) }
        first = (first ^ word) &* 0x100_0000_01b3
        first ^= first >> 31
        second = (second &+ word) &* 0xbf58_476d_1ce4_e5b9
        second ^= second >> 27
    }
    return [first, second]
}

func hexadecimal(_ word: UInt64) -> String {
    let text = String(word, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
}

let arguments = CommandLine.arguments
guard arguments.count == 4 else { fail("usage: embed-object TEMPLATE.c.in OBJECT.o OUTPUT.c") }
let template = String(decoding: read(arguments[1]), as: UTF8.self)
let parts = template.split(separator: "@DIGEST@", omittingEmptySubsequences: false)
guard parts.count == 2 else { fail("\(arguments[1]): wanted @DIGEST@ once") }
let object = read(arguments[2])
guard !object.isEmpty else { fail("\(arguments[2]): empty") }
let text = parts[0] + digest(object).map(hexadecimal).joined() + parts[1]
guard let output = unsafe fopen(arguments[3], "w") else { fail("cannot write \(arguments[3])") }
let written = unsafe fputs(String(text), output)
guard unsafe fclose(output) == 0, written >= 0 else { fail("cannot write \(arguments[3])") }
