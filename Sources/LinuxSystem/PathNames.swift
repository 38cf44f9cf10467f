/// Whether one of the names in `path`, which need be neither absolute nor normal, is `..`.
public func climbs(_ path: String) -> Bool {
    let bytes = path.utf8.span
    var start = 0
    for index in 0...bytes.count where index == bytes.count || bytes[index] == UInt8(ascii: "/") {
        if index - start == 2, bytes[start] == UInt8(ascii: "."), bytes[start + 1] == UInt8(ascii: ".") {
            return true
        }
        start = index + 1
    }
    return false
}
