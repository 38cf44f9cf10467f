/// The caller's environment.
public enum Environment {
    public static func value(_ name: String) -> String? {
        guard let text = unsafe getenv(name) else { return nil }
        return unsafe String(cString: text)
    }

    /// Every `NAME=VALUE` the process was started with.
    public static func all() -> [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        guard var entry = unsafe clinux_environment() else { return found }
        while let text = unsafe entry.pointee {
            let pair = unsafe String(cString: text)
            if let equals = pair.utf8.firstIndex(of: UInt8(ascii: "=")), equals != pair.startIndex {
                found.append((String(pair[..<equals]), String(pair[pair.index(after: equals)...])))
            }
            unsafe entry += 1
        }
        return found
    }
}
