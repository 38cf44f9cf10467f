/// Comma-separated values (RFC 4180): quotes, doubled quotes in them, line ends in them.
extension ThreatList {
    mutating func readCSV(_ text: [UInt8]) {
        guard String(validating: text, as: UTF8.self) != nil else { return mistake(1, "it is not UTF-8") }
        var rows = CSVRows(text)
        guard let header = rows.next() else { return mistake(1, "no line that names the columns") }
        let known = ["key", "operation", "reason", "cve", "cvss"]
        var columns: [String: Int] = [:]
        for (index, name) in header.fields.enumerated() {
            guard known.contains(name), columns[name] == nil else {
                return mistake(
                    1, "column \"\(name)\" is unknown or there twice; there are: \(known.joined(separator: ", "))")
            }
            columns[name] = index
        }
        guard columns["key"] != nil else { return mistake(1, "no column \"key\"") }
        while let row = rows.next() {
            if row.fields == [""] { continue }
            guard row.fields.count == header.fields.count else {
                mistake(row.line, "\(row.fields.count) fields, and \(header.fields.count) columns")
                continue
            }
            func field(_ name: String) -> String? { columns[name].map { row.fields[$0] } }
            add(
                key: field("key"), operation: field("operation"), reason: field("reason"), cve: field("cve"),
                score: field("cvss"), line: row.line)
        }
        if rows.isBroken { mistake(rows.line, "a quoted field does not end, or something follows its end") }
    }
}

/// Reads rows one by one; what cannot be is remembered in `isBroken`, and ends them.
struct CSVRows {
    private let text: [UInt8]
    private var index = 0
    private(set) var line = 1
    private(set) var isBroken = false

    init(_ text: [UInt8]) { self.text = text }

    mutating func next() -> (fields: [String], line: Int)? {
        guard index < text.count, !isBroken else { return nil }
        let start = line
        var fields: [String] = []
        while true {
            guard let field = field() else { return nil }
            fields.append(String(decoding: field, as: UTF8.self))
            guard index < text.count else { break }
            if text[index] == UInt8(ascii: ",") {
                index += 1
                continue
            }
            line += 1
            // A carriage return ends a line by itself, too.
            let isPair = text[index] == 13 && index + 1 < text.count && text[index + 1] == 10
            index += isPair ? 2 : 1
            break
        }
        return (fields, start)
    }

    private mutating func field() -> [UInt8]? {
        var bytes: [UInt8] = []
        guard index < text.count, text[index] == UInt8(ascii: "\"") else {
            while index < text.count, ![UInt8(ascii: ","), 10, 13].contains(text[index]) {
                bytes.append(text[index])
                index += 1
            }
            return bytes
        }
        index += 1
        while index < text.count {
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: "\"") {
                if index < text.count, text[index] == byte {
                    index += 1
                } else if index == text.count || [UInt8(ascii: ","), 10, 13].contains(text[index]) {
                    return bytes
                } else {
                    break
                }
            } else if byte == 10 {
                line += 1
            }
            bytes.append(byte)
        }
        isBroken = true
        return nil
    }
}
