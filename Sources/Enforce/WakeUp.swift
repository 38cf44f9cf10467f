import LinuxSystem

/// One descriptor to poll for several, with a timer among them.
final class WakeUp {
    let descriptor: FileDescriptor
    private let timer: FileDescriptor
    private var isArmed = false

    init(_ others: Int32...) throws(SystemError) {
        do throws(Errno) {
            descriptor = FileDescriptor(owning: try kernel { epoll_create1(Int32(EPOLL_CLOEXEC)) })
            timer = FileDescriptor(
                owning: try kernel {
                    timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC) | Int32(TFD_NONBLOCK))
                })
            for other in others + [timer.number] { try kernel { clinux_epoll_add(descriptor.number, other) } }
        } catch {
            throw error.doing("making a descriptor to wait on")
        }
    }

    /// Fires once after so many milliseconds, unless it is armed already: what comes later goes along.
    func arm(milliseconds: UInt64) {
        guard !isArmed else { return }
        isArmed = clinux_timer_arm(timer.number, max(milliseconds, 1) * 1_000_000) == 0
    }

    /// Whether the timer has fired since it was armed.
    func hasFired() -> Bool {
        var count: UInt64 = 0
        let size = unsafe withUnsafeMutableBytes(of: &count) { unsafe read(timer.number, $0.baseAddress, $0.count) }
        guard size == 8 else { return false }
        isArmed = false
        return true
    }
}
