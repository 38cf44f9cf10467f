import JSONText
import LinuxSystem

/// What mis itself says: on stderr, one line each, marked as its own, control characters made visible.
enum Messages {
    static func say(_ text: String) {
        let line = Array("mis: ".utf8) + Array(TerminalText.escaped(Array(text.utf8)).utf8) + [UInt8(ascii: "\n")]
        unsafe line.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                let count = unsafe write(2, bytes.baseAddress! + written, bytes.count - written)
                if count <= 0 { return }
                written += count
            }
        }
    }

    /// Whether standard output is a terminal that shows colours, and nobody asked for none (https://no-color.org).
    static var hasColours: Bool {
        isatty(1) == 1 && Environment.value("TERM") != "dumb" && (Environment.value("NO_COLOR") ?? "").isEmpty
    }

    /// Bytes for standard output.
    static func print(_ bytes: [UInt8]) {
        let out = FileDescriptor(owning: 1)
        try? out.writeAll(bytes)
        _ = out.release()
    }
}
