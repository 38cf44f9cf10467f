import LinuxSystem

/// Signals as a descriptor. They are blocked in every thread from the start (before any is made), so that none can
/// interrupt or end the launcher on the way, and all are read here.
public struct SignalSource: ~Copyable {
    private let file: FileDescriptor

    /// Forwarded to the agent, or served by the supervisor.
    private static let watched: [Int32] = [
        SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGCONT, SIGWINCH, SIGTTIN, SIGTTOU,
        SIGPIPE,
    ]

    public init() throws(SystemError) {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in Self.watched { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        do {
            file = FileDescriptor(
                owning: try kernel { unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK)) })
        } catch {
            throw error.doing("watching signals")
        }
    }

    var descriptor: Int32 { file.number }

    /// The next signal; nil when there is none.
    func next() -> Int32? {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard unsafe read(file.number, &information, size) == size else { return nil }
        return Int32(information.ssi_signo)
    }
}
