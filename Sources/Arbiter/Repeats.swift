import CBpf

extension Arbiter {
    /// Denials that were counted as repeats of one that was told, and have not been told since: for the end of a
    /// sandbox, when no further record will bring them. Each names the record it repeats by that record's time.
    public func untoldRepeats(of sandbox: borrowing RegisteredSandbox) -> [(since: UInt64, count: UInt64)] {
        var untold: [(since: UInt64, count: UInt64)] = []
        for key in Entry.keys(tables.repeats.number, empty: arbiter_repeat_key()) where key.cgroup == sandbox.cgroup {
            var repeated = arbiter_repeat()
            guard Entry.get(tables.repeats.number, key, into: &repeated), repeated.suppressed > 0 else { continue }
            untold.append((repeated.since, repeated.suppressed))
        }
        return untold
    }
}
