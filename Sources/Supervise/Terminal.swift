import LinuxSystem

/// The caller's terminal: put into raw mode while the sandbox's own terminal serves the agent, and put back on every
/// way out.
final class Terminal {
    /// The descriptor that is a terminal: stdin, else stdout, else stderr.
    let descriptor: Int32
    private let takesInput: Bool
    private var saved: termios?

    /// - Parameter terminals: which of 0, 1, 2 are terminals.
    init?(_ terminals: [Bool]) {
        guard let first = terminals.firstIndex(of: true) else { return nil }
        descriptor = Int32(first)
        takesInput = terminals[0]
    }

    /// Keys do not reach the agent: when it was last tried, the terminal was not ours.
    var waitsForForeground: Bool { takesInput && saved == nil }

    var isForeground: Bool { tcgetpgrp(descriptor) == getpgrp() }

    /// Keys reach the agent's terminal as they are typed. Nothing happens in the background: the terminal is not ours
    /// then.
    func enterRawMode() {
        guard takesInput, saved == nil, isForeground else { return }
        var settings = termios()
        guard unsafe tcgetattr(descriptor, &settings) == 0 else { return }
        saved = settings
        unsafe cfmakeraw(&settings)
        unsafe tcsetattr(descriptor, TCSADRAIN, &settings)
    }

    func restore() {
        guard var settings = saved else { return }
        saved = nil
        guard isForeground else { return }
        unsafe tcsetattr(descriptor, TCSADRAIN, &settings)
    }

    var isRaw: Bool { saved != nil }

    /// Gives the agent's terminal the caller's size and settings. Call it before ``enterRawMode()``.
    func dress(_ controller: Int32) {
        var settings = termios()
        if unsafe tcgetattr(descriptor, &settings) == 0 { unsafe tcsetattr(controller, TCSANOW, &settings) }
        copySize(to: controller)
    }

    /// While the caller's terminal is not raw it turns newlines into line ends itself, and the agent's must not too.
    func shareOutputProcessing(with controller: Int32) {
        var settings = termios()
        guard unsafe tcgetattr(controller, &settings) == 0 else { return }
        if isRaw { settings.c_oflag |= tcflag_t(OPOST) } else { settings.c_oflag &= ~tcflag_t(OPOST) }
        unsafe tcsetattr(controller, TCSANOW, &settings)
    }

    func copySize(to controller: Int32) {
        var size = winsize()
        if unsafe clinux_ioctl_pointer(descriptor, clinux_TIOCGWINSZ, &size) == 0 {
            unsafe _ = clinux_ioctl_pointer(controller, clinux_TIOCSWINSZ, &size)
        }
    }
}
