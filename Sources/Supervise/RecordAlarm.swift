public import LinuxSystem

/// Tells the supervisor, from the thread that writes the record, that the record cannot be kept.
public final class RecordAlarm: Sendable {
    private let event: FileDescriptor

    public init() throws(SystemError) {
        do {
            event = FileDescriptor(owning: try kernel { eventfd(0, O_CLOEXEC | O_NONBLOCK) })
        } catch {
            throw error.doing("making an event")
        }
    }

    var descriptor: Int32 { event.number }

    public func raise() {
        var one: UInt64 = 1
        _ = unsafe write(event.number, &one, 8)
    }
}
