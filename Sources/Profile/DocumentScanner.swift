/// Reads TOML 1.0 into assignments with their places.
///
/// Ours, and not TOMLKit, because every message and every rule of a profile names its line and column, which TOMLKit
/// does not keep; because all mistakes are wanted, not the first; because it ends the text and every string at a NUL,
/// runs out of stack over a key of some ten thousand dots, and aborts on a header without a name (version 0.6.0; built
/// for release, it goes on as if there were one); and because it brings all of Foundation into the binary, for 15 MB and
/// a fifth of a millisecond at every start. The tests hold this reader against TOMLKit.
///
/// Bytes outside ASCII are passed on as they are: the caller has checked that the text is UTF-8.
package struct DocumentScanner {
    private let bytes: [UInt8]
    private var index = 0
    private var line = 1
    /// The last place whose column was asked for; columns count on from it, so that long lines stay linear.
    private var columnIndex = 0
    private var column = 1
    private var document = Document()
    private var table = ""
    private var tableDepth = 0
    /// After a broken header: what follows belongs to nobody knows what.
    private var skipsEntries = false
    private var values = 0

    private struct Stop: Error {}

    /// Parts of a key, and arrays or inline tables in one another. A profile needs two.
    static let depthLimit = 16
    /// Values in one file, list entries and sections included.
    static let valueLimit = 10_000
    static let mistakeLimit = 100

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Reads a whole document. Never fails: what is wrong is in `mistakes`, and the rest is read on.
    package static func scan(_ bytes: [UInt8]) -> Document {
        var scanner = DocumentScanner(bytes)
        scanner.scanDocument()
        return scanner.document
    }

    private mutating func scanDocument() {
        // A byte order mark is allowed by TOML.
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF {
            index = 3
            columnIndex = 3
        }
        while document.mistakes.count < Self.mistakeLimit {
            do throws(Stop) {
                try skipBlank()
                guard index < bytes.count else { return }
                if bytes[index] == UInt8(ascii: "[") { try scanHeader() } else { try scanAssignment() }
                try endLine()
            } catch {
                recover()
            }
        }
    }

    // MARK: Places and mistakes

    private mutating func position() -> Document.Position {
        while columnIndex < index {
            // Continuation bytes of UTF-8 are no columns of their own.
            if bytes[columnIndex] & 0xC0 != 0x80 { column += 1 }
            columnIndex += 1
        }
        return Document.Position(line: line, column: column)
    }

    private mutating func newLine() {
        index += 1
        line += 1
        columnIndex = index
        column = 1
    }

    private mutating func report(_ position: Document.Position, _ found: String, _ remedy: String = "") {
        document.mistakes.append(Document.Mistake(position: position, found: found, remedy: remedy))
    }

    private mutating func fail(_ found: String, _ remedy: String = "") -> Stop {
        let position = position()
        report(position, found, remedy)
        return Stop()
    }

    /// Goes on at the next line that looks like a header or an assignment, so that the rest of a broken list does not
    /// raise one complaint a line.
    private mutating func recover() {
        while index < bytes.count {
            while index < bytes.count, bytes[index] != newline { index += 1 }
            guard index < bytes.count else { return }
            newLine()
            var look = index
            while look < bytes.count, isSpace(bytes[look]) { look += 1 }
            guard look < bytes.count else { continue }
            if bytes[look] == UInt8(ascii: "[") {
                // A header, not a list within the broken list.
                if look + 1 < bytes.count, isBare(bytes[look + 1]) || bytes[look + 1] == UInt8(ascii: "[") { return }
                continue
            }
            guard isBare(bytes[look]) else { continue }
            while look < bytes.count, isBare(bytes[look]) || isSpace(bytes[look]) || bytes[look] == UInt8(ascii: ".") {
                look += 1
            }
            if look < bytes.count, bytes[look] == UInt8(ascii: "=") { return }
        }
    }

    // MARK: Blanks

    private mutating func skipSpaces() {
        while index < bytes.count, isSpace(bytes[index]) { index += 1 }
    }

    /// Spaces, line ends and comments.
    private mutating func skipBlank() throws(Stop) {
        while index < bytes.count {
            let byte = bytes[index]
            if isSpace(byte) {
                index += 1
            } else if byte == newline {
                newLine()
            } else if byte == carriageReturn, index + 1 < bytes.count, bytes[index + 1] == newline {
                index += 1
            } else if byte == UInt8(ascii: "#") {
                try skipComment()
            } else {
                return
            }
        }
    }

    private mutating func skipComment() throws(Stop) {
        while index < bytes.count, bytes[index] != newline {
            let byte = bytes[index]
            if isControl(byte), !(byte == carriageReturn && index + 1 < bytes.count && bytes[index + 1] == newline) {
                throw fail("a control character in a comment", "remove it")
            }
            index += 1
        }
    }

    private mutating func endLine() throws(Stop) {
        skipSpaces()
        guard index < bytes.count else { return }
        let byte = bytes[index]
        if byte == newline || byte == UInt8(ascii: "#") { return }
        if byte == carriageReturn, index + 1 < bytes.count, bytes[index + 1] == newline { return }
        throw fail("\(describe(byte)) after a complete statement", "start a new line")
    }

    // MARK: Headers and keys

    private mutating func scanHeader() throws(Stop) {
        let start = position()
        try countValue()
        skipsEntries = true
        index += 1
        let isArrayElement = index < bytes.count && bytes[index] == UInt8(ascii: "[")
        if isArrayElement { index += 1 }
        let key = try scanKey()
        for _ in 0..<(isArrayElement ? 2 : 1) {
            guard index < bytes.count, bytes[index] == UInt8(ascii: "]") else {
                throw fail("a section's header is not closed", "write [name]")
            }
            index += 1
        }
        table = key.name
        tableDepth = key.depth
        skipsEntries = false
        document.headers.append(Document.Header(name: key.name, position: start, isArrayElement: isArrayElement))
    }

    /// One key, dotted or not, and the blanks around it.
    private mutating func scanKey() throws(Stop) -> (name: String, depth: Int) {
        var name = ""
        var depth = 0
        while true {
            skipSpaces()
            let start = index
            while index < bytes.count, isBare(bytes[index]) { index += 1 }
            if depth > 0 { name += "." }
            if index > start {
                name += text(start, index)
            } else if index < bytes.count, bytes[index] == doubleQuote || bytes[index] == singleQuote {
                name += try scanQuotedKey()
            } else if index < bytes.count {
                throw fail("\(describe(bytes[index])) where a key is due", "write key = value or [section]")
            } else {
                throw fail("the file ends where a key is due")
            }
            depth += 1
            if depth > Self.depthLimit { throw fail("a key of more than \(Self.depthLimit) parts") }
            skipSpaces()
            guard index < bytes.count, bytes[index] == UInt8(ascii: ".") else { return (name, depth) }
            index += 1
        }
    }

    private mutating func scanQuotedKey() throws(Stop) -> String {
        let start = index
        let plain = try skipLineString()
        let inner = bytes[(start + 1)..<(index - 1)]
        if plain, !inner.isEmpty, inner.allSatisfy(isBare) { return text(start + 1, index - 1) }
        return text(start, index)
    }

    private mutating func scanAssignment() throws(Stop) {
        try scanAssignment(prefix: table, depth: tableDepth)
    }

    private mutating func scanAssignment(prefix: String, depth: Int) throws(Stop) {
        let start = position()
        let key = try scanKey()
        guard index < bytes.count, bytes[index] == UInt8(ascii: "=") else {
            throw fail("a key without a value", "write \(shown(key.name)) = value")
        }
        index += 1
        skipSpaces()
        let name = prefix.isEmpty ? key.name : prefix + "." + key.name
        let valueStart = position()
        if index < bytes.count, bytes[index] == UInt8(ascii: "{") {
            try scanInlineTable(name, at: start, depth: depth + key.depth)
            return
        }
        let value = try scanValue(depth: depth)
        if skipsEntries { return }
        document.entries.append(
            Document.Entry(name: name, position: start, value: value, valuePosition: valueStart))
    }

    private mutating func scanInlineTable(_ name: String, at start: Document.Position, depth: Int) throws(Stop) {
        try countValue()
        guard depth <= Self.depthLimit else { throw fail("tables more than \(Self.depthLimit) deep") }
        if !skipsEntries {
            document.headers.append(Document.Header(name: name, position: start, isArrayElement: false))
        }
        index += 1
        skipSpaces()
        if index < bytes.count, bytes[index] == UInt8(ascii: "}") {
            index += 1
            return
        }
        while true {
            skipSpaces()
            try scanAssignment(prefix: name, depth: depth)
            skipSpaces()
            guard index < bytes.count else { throw fail("the file ends inside { }") }
            if bytes[index] == UInt8(ascii: "}") {
                index += 1
                return
            }
            guard bytes[index] == UInt8(ascii: ",") else {
                throw fail("\(describe(bytes[index])) inside { }", "separate by a comma, close by }")
            }
            index += 1
        }
    }

    // MARK: Values

    private mutating func scanValue(depth: Int) throws(Stop) -> Document.Value {
        try countValue()
        guard depth <= Self.depthLimit else { throw fail("lists more than \(Self.depthLimit) deep") }
        guard index < bytes.count else { throw fail("the file ends where a value is due") }
        let start = index
        let place = position()
        switch bytes[index] {
        case doubleQuote, singleQuote:
            let quote = bytes[index]
            if index + 2 < bytes.count, bytes[index + 1] == quote, bytes[index + 2] == quote {
                try skipBlockString(quote)
                return scalar(start, place)
            }
            if try skipLineString() { return .string(text(start + 1, index - 1)) }
            return scalar(start, place)
        case UInt8(ascii: "["):
            return try scanArray(depth: depth)
        case UInt8(ascii: "{"):
            // Only inside a list; its entries belong to no key of ours.
            let skipped = skipsEntries
            skipsEntries = true
            defer { skipsEntries = skipped }
            try scanInlineTable("", at: place, depth: depth + 1)
            return .table
        default:
            return try scanWord(place)
        }
    }

    private mutating func countValue() throws(Stop) {
        values += 1
        guard values <= Self.valueLimit else {
            index = bytes.count
            throw fail("more than \(Self.valueLimit) values in one file", "split it: profiles can extend several")
        }
    }

    private mutating func scanArray(depth: Int) throws(Stop) -> Document.Value {
        var elements: [Document.Element] = []
        elements.reserveCapacity(16)
        index += 1
        while true {
            try skipBlank()
            guard index < bytes.count else { throw fail("a list is not closed", "close it by ]") }
            if bytes[index] == UInt8(ascii: "]") { break }
            let place = position()
            elements.append(Document.Element(value: try scanValue(depth: depth + 1), position: place))
            try skipBlank()
            guard index < bytes.count else { throw fail("a list is not closed", "close it by ]") }
            if bytes[index] == UInt8(ascii: "]") { break }
            guard bytes[index] == UInt8(ascii: ",") else {
                throw fail("\(describe(bytes[index])) in a list", "separate entries by a comma, close by ]")
            }
            index += 1
        }
        index += 1
        return .array(elements)
    }

    /// Numbers, booleans, dates.
    private mutating func scanWord(_ place: Document.Position) throws(Stop) -> Document.Value {
        let start = index
        skipWord()
        guard index > start else {
            throw fail("\(describe(bytes[index])) where a value is due", "strings need quotes")
        }
        // A date and its time may be parted by one space.
        if index - start == 10, bytes[start + 4] == UInt8(ascii: "-"), index + 1 < bytes.count,
            bytes[index] == UInt8(ascii: " "), isDigit(bytes[index + 1])
        {
            index += 1
            skipWord()
        }
        let word = text(start, index)
        if word == "true" { return .boolean(true) }
        if word == "false" { return .boolean(false) }
        if let number = plainInteger(word) { return .integer(number) }
        return scalar(start, place)
    }

    private mutating func skipWord() {
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: "#"), UInt8(ascii: "["),
                UInt8(ascii: "{"), UInt8(ascii: "="), doubleQuote, singleQuote:
                return
            case let byte where byte <= 0x20 || byte == 0x7F:
                return
            default:
                index += 1
            }
        }
    }

    /// Moves past a string on one line. Answers whether it is plain: what stands between the quotes is its value.
    private mutating func skipLineString() throws(Stop) -> Bool {
        let quote = bytes[index]
        var plain = true
        index += 1
        while index < bytes.count {
            let byte = bytes[index]
            if byte == quote {
                index += 1
                return plain
            }
            if byte == newline || byte == carriageReturn { break }
            if isControl(byte) { throw fail("a control character in a string", "write it as an escape") }
            if byte == UInt8(ascii: "\\"), quote == doubleQuote {
                plain = false
                try skipEscape()
            } else {
                index += 1
            }
        }
        throw fail("a string is not closed on its line", "close it by the quote it began with")
    }

    private mutating func skipBlockString(_ quote: UInt8) throws(Stop) {
        index += 3
        while index < bytes.count {
            let byte = bytes[index]
            if byte == newline {
                newLine()
            } else if byte == quote, index + 2 < bytes.count, bytes[index + 1] == quote, bytes[index + 2] == quote {
                index += 3
                // Up to two quotes may stand right before the closing three.
                for _ in 0..<2 where index < bytes.count && bytes[index] == quote { index += 1 }
                return
            } else if byte == UInt8(ascii: "\\"), quote == doubleQuote {
                try skipEscape()
            } else if isControl(byte),
                !(byte == carriageReturn && index + 1 < bytes.count && bytes[index + 1] == newline)
            {
                throw fail("a control character in a string", "write it as an escape")
            } else {
                index += 1
            }
        }
        throw fail("a string over several lines is not closed", "close it by three quotes")
    }

    /// A NUL ends every path and name the kernel is given.
    private mutating func skipEscape() throws(Stop) {
        let length =
            switch index + 1 < bytes.count ? bytes[index + 1] : 0 {
            case UInt8(ascii: "u"): 4
            case UInt8(ascii: "U"): 8
            default: 0
            }
        if length > 0, index + 2 + length <= bytes.count,
            bytes[(index + 2)..<(index + 2 + length)].allSatisfy({ $0 == UInt8(ascii: "0") })
        {
            throw fail("a NUL character in a string", "remove it")
        }
        // The character after the backslash may be the line's end, which counts lines elsewhere.
        index += index + 1 < bytes.count && bytes[index + 1] >= 0x20 ? 2 : 1
    }

    /// The value whose text ends here. One that is none is reported, and the document read on.
    private mutating func scalar(_ start: Int, _ place: Document.Position) -> Document.Value {
        do throws(ScalarText.Mistake) {
            return try ScalarText.read(text(start, index))
        } catch {
            report(place, error.found, error.remedy)
            return .invalid
        }
    }

    // MARK: Bytes

    private func text(_ start: Int, _ end: Int) -> String { String(decoding: bytes[start..<end], as: UTF8.self) }

    private func shown(_ name: String) -> String { name.utf8.count <= 60 ? name : "key" }
}

private let newline = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")
private let doubleQuote = UInt8(ascii: "\"")
private let singleQuote = UInt8(ascii: "'")

private func isSpace(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

private func isControl(_ byte: UInt8) -> Bool { (byte < 0x20 && byte != UInt8(ascii: "\t")) || byte == 0x7F }

private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

private func isBare(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
    default: false
    }
}

private func describe(_ byte: UInt8) -> String {
    byte > 0x20 && byte < 0x7F ? "\"\(Character(Unicode.Scalar(byte)))\"" : "an unexpected character"
}

/// Decimal, without underscores or leading zeros, and short enough not to overflow; `nil` for all others.
private func plainInteger(_ word: String) -> Int64? {
    var digits = Substring(word)
    if digits.first == "-" || digits.first == "+" { digits.removeFirst() }
    let bytes = digits.utf8
    guard let first = bytes.first, bytes.count <= 18, bytes.allSatisfy(isDigit) else { return nil }
    if first == UInt8(ascii: "0"), bytes.count > 1 { return nil }
    return Int64(word)
}
