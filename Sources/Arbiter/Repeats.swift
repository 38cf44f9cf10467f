import CBpf

extension Arbiter {
    /// Denials that were counted as repeats of one that was told, and have not been told since: for the end of a
    /// sandbox, when no further record will bring them. Each names the record it repeats by that record's time.
    public func untoldRepeats(of sandbox: borrowing RegisteredSandbox) -> [(since: UInt64, count: UInt64)] {
        // Where nothing was counted as a repeat there is none to look for among everybody's.
        guard counters(of: sandbox).repeats > 0 else { return [] }
        var untold: [(since: UInt64, count: UInt64)] = []
        for (key, repeated) in Entry.all(tables.repeats.number, arbiter_repeat_key(), arbiter_repeat())
        where key.cgroup == sandbox.cgroup && repeated.suppressed > 0 {
            untold.append((repeated.since, repeated.suppressed))
        }
        return untold
    }
}
