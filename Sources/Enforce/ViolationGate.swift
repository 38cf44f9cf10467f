import LinuxSystem

/// Stands before a ``ViolationSink`` and adds up repetitions, so that a program that retries a refused access in a loop
/// costs a counter each time and not a record.
///
/// The first of a kind passes at once. Equal ones within the window are counted and passed on as one, with their count,
/// when the window is over (``settle()``, or the next one of the kind), or at the end (``finish()``). A fixed number of
/// kinds is remembered: distinct violations, however many, take no memory, and each one passes.
public final class ViolationGate {
    private struct Entry {
        var key: UInt64
        var windowEnd: UInt64
        var pending: UInt64
        var last: Violation
    }

    private let sink: any ViolationSink
    /// Nanoseconds.
    private let window: UInt64
    private var entries: [Entry?]
    private var hasPending = false

    public init(_ sink: any ViolationSink, window: UInt64 = 250_000_000) {
        self.sink = sink
        self.window = window
        entries = Array(repeating: nil, count: 128)
    }

    /// Takes one violation in. `make` is asked for it only when it is not a repetition within the window.
    func report(
        _ layer: Violation.Layer, _ operation: String, _ object: borrowing Span<UInt8>, make: () -> Violation
    ) {
        let key = Self.key(layer, operation, object)
        let slot = Int(truncatingIfNeeded: key >> 17) & (entries.count - 1)
        let now = Clock.monotonic()
        if let entry = entries[slot] {
            if entry.key == key, now < entry.windowEnd {
                entries[slot]?.pending += 1
                hasPending = true
                return
            }
            pass(slot)
        }
        let violation = make()
        entries[slot] = Entry(key: key, windowEnd: now + window, pending: 0, last: violation)
        sink.violation(violation)
    }

    func report(_ violation: Violation) {
        report(violation.layer, violation.operation, violation.object.span) { violation }
    }

    func observed(operation: String, object: borrowing Span<UInt8>, pid: Int32) {
        sink.observed(operation: operation, object: [UInt8](copying: object), pid: pid)
    }

    func traced(operation: String, object: borrowing Span<UInt8>, pid: Int32) {
        sink.traced(operation: operation, object: [UInt8](copying: object), pid: pid)
    }

    func enforcementLost(_ reason: String) { sink.enforcementLost(reason) }

    /// Passes on what was added up in windows that are over. Cheap when there is nothing: meant for a timer.
    public func settle() {
        guard hasPending else { return }
        let now = Clock.monotonic()
        hasPending = false
        for slot in entries.indices {
            guard let entry = entries[slot], entry.pending > 0 else { continue }
            if entry.windowEnd <= now { pass(slot) } else { hasPending = true }
        }
    }

    /// Passes on everything that was added up.
    public func finish() {
        for slot in entries.indices { pass(slot) }
        hasPending = false
    }

    private func pass(_ slot: Int) {
        guard let entry = entries[slot], entry.pending > 0 else { return }
        entries[slot]?.pending = 0
        var violation = entry.last
        violation.count = entry.pending
        sink.violation(violation)
    }

    private static func key(
        _ layer: Violation.Layer, _ operation: String, _ object: borrowing Span<UInt8>
    ) -> UInt64 {
        // FNV-1a. Somebody who finds collisions makes two of his own violations count as one name.
        var key: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in operation.utf8 { key = (key ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for byte in layer.rawValue.utf8 { key = (key ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for index in object.indices { key = (key ^ UInt64(object[index])) &* 0x100_0000_01b3 }
        return key
    }
}

extension Array where Element == UInt8 {
    init(copying span: borrowing Span<UInt8>) {
        self.init()
        reserveCapacity(span.count)
        for index in span.indices { append(span[index]) }
    }
}
