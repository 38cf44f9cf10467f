import CBpf
import LinuxSystem

/// A sandbox the kernel knows: its place in the tables, its rings, and the descriptors that keep its labels true.
public struct RegisteredSandbox: ~Copyable {
    public let slot: UInt32
    public let cgroup: UInt64
    /// Readable when there are alerts; for epoll.
    public let alerts: EventRing
    /// Readable when a quarter of it is full: look at it by the clock too.
    public let traces: EventRing
    let entered: Entered
}

extension Arbiter {
    /// Enters a sandbox: when this returns, whatever enters `cgroup` and starts a program is judged by `policy`.
    ///
    /// The cgroup has no children and no tasks yet. Descriptors in `policy` must stay open until ``unregister(_:)``:
    /// they hold the labelled objects in place.
    ///
    /// - Parameters:
    ///   - cgroup: the number of a cgroup of the v2 hierarchy (its folder's inode).
    ///   - session: told back in events.
    public func register(
        cgroup: UInt64, session: UInt64, policy: SandboxPolicy
    ) throws(ArbiterError) -> RegisteredSandbox {
        let slot = try takePlace(cgroup: cgroup, session: session, policy: policy)
        let entered = Entered()
        do {
            let alerts = try ring("mis_alerts", slot, in: tables.alerts.number, bytes: UInt32(ARBITER_ALERT_BYTES))
            let traces = try ring("mis_traces", slot, in: tables.traces.number, bytes: UInt32(ARBITER_TRACE_BYTES))
            try clearCounters(slot)
            let names = try enter(policy.names, slot: slot, entered: entered)
            try label(policy.objects, anchors: names.anchors, slot: slot, entered: entered)
            try enter(policy.addresses, slot: slot, entered: entered)
            unsafe cbpf_sandbox_names(sandboxes + Int(slot), names.lengths)
            return RegisteredSandbox(slot: slot, cgroup: cgroup, alerts: alerts, traces: traces, entered: entered)
        } catch {
            // The error that stopped us is the one to tell; what stays, the next run collects.
            _ = try? leavePlace(slot, entered)
            throw error
        }
    }

    /// Takes a sandbox out again, after its last task has ended. Its entries are gone when this returns.
    public func unregister(_ sandbox: borrowing RegisteredSandbox) throws(ArbiterError) {
        sandbox.alerts.retire()
        sandbox.traces.retire()
        let lock = try leavePlace(sandbox.slot, sandbox.entered)
        // The last user of an older version: what was loaded since serves everybody who comes.
        if unsafe registry.pointee.sandboxes == 0, try lock.hasNewer() { try Pins.remove(pins) }
    }

    /// Takes a place and enters who is in it, under the lock: two runs must not take the same, and the folder must not go
    /// meanwhile. All the rest is the place's own, and is entered and taken out without the lock: some of it waits for the
    /// kernel, and hundreds of runs that start or end at once wait for it together.
    private func takePlace(
        cgroup: UInt64, session: UInt64, policy: SandboxPolicy
    ) throws(ArbiterError) -> UInt32 {
        let lock = try Pins(root: root, without: without)
        // Whoever unpinned the folder meanwhile left us attached, but the next run would load beside us.
        guard unsafe access(pins, F_OK) == 0 else {
            throw .system(Errno(ENOENT).doing("finding the pins again", pins, remedy: "start again"))
        }
        let slot = try freeSlot()
        let pid = UInt32(getpid())
        var sandbox = arbiter_sandbox()
        sandbox.cgroup = cgroup
        sandbox.session = session
        sandbox.owner_pid = pid
        sandbox.owner_start = Arbiter.processStart(pid)
        sandbox.state = ARBITER_SETUP.rawValue
        sandbox.flags = policy.flags.rawValue
        sandbox.default_rights = policy.otherwise.rawValue
        sandbox.anonymous_rights = policy.nameless.rawValue
        sandbox.level = 5
        sandbox.lifetime = (policy.lifetimes.open, policy.lifetimes.execute, policy.lifetimes.use)
        for family in policy.families where family < 64 { sandbox.families |= 1 << UInt64(family) }
        // Nobody is inside yet. First the cgroup, then its place, then all the rest, so that whoever collects finds what a
        // run has left that was killed anywhere here.
        try Entry.put(tables.cgroups.number, cgroup, slot, table: "cgroups", room: 65536)
        unsafe cbpf_registry_mark(registry, cgroup)
        unsafe cbpf_sandbox_enter(sandboxes + Int(slot), &sandbox)
        unsafe cbpf_registry_count(registry, registry.pointee.sandboxes + 1)
        _ = lock.root
        return slot
    }

    /// Takes out what a sandbox entered, then gives its place back. Returns the lock that this takes.
    private func leavePlace(_ slot: UInt32, _ entered: Entered) throws(ArbiterError) -> Pins {
        vacate(slot: slot, entered: entered)
        let lock = try Pins(root: root, without: without)
        release(slot: slot)
        unsafe cbpf_registry_count(registry, max(registry.pointee.sandboxes, 1) - 1)
        return lock
    }

    /// Adds or changes labels of a sandbox that is registered, for instance on mounts its set-up has made.
    public func label(_ rules: [ObjectRule], in sandbox: borrowing RegisteredSandbox) throws(ArbiterError) {
        try label(rules, anchors: [], slot: sandbox.slot, entered: sandbox.entered)
        voidVerdicts()
    }

    /// The level the threat rules have put the sandbox on, and flags with it; verdicts given before are void.
    public func set(
        level: UInt32, flags: SandboxPolicy.Flags, of sandbox: borrowing RegisteredSandbox
    ) throws(ArbiterError) {
        let entry = unsafe sandboxes + Int(sandbox.slot)
        unsafe cbpf_sandbox_level(entry, level)
        unsafe cbpf_sandbox_flags(entry, flags.rawValue, ARBITER_REVOKED.rawValue)
        voidVerdicts()
    }

    /// Whether the rules are live: the set-up has ended with its first exec.
    public func isArmed(_ sandbox: borrowing RegisteredSandbox) -> Bool {
        var entry = arbiter_sandbox()
        return Entry.get(tables.sandboxes.number, sandbox.slot, into: &entry)
            && entry.state == ARBITER_ARMED.rawValue
    }

    private func freeSlot() throws(ArbiterError) -> UInt32 {
        // 0 means "no sandbox" everywhere.
        for slot in 1..<UInt32(ARBITER_SANDBOXES) where unsafe sandboxes[Int(slot)].state == ARBITER_FREE.rawValue {
            return slot
        }
        throw .full("sandboxes", ARBITER_SANDBOXES - 1)
    }

    /// The ring in a place, or a new one. What waits in the kernel when a ring is entered is this call, for every reader
    /// of every table; so the first places keep theirs.
    private func ring(
        _ name: String, _ slot: UInt32, in table: Int32, bytes: UInt32
    ) throws(ArbiterError) -> EventRing {
        if slot < UInt32(ARBITER_KEPT_RINGS), let kept = try EventRing.kept(in: table, slot, bytes: bytes) {
            return kept
        }
        let ring = try EventRing.make(name, bytes: bytes)
        try Entry.put(table, slot, ring.descriptor, table: "rings", room: ARBITER_SANDBOXES)
        return ring
    }

    private func clearCounters(_ slot: UInt32) throws(ArbiterError) {
        let zeros = [arbiter_counters](repeating: arbiter_counters(), count: Int(cbpf_processors()))
        let map = tables.counters.number
        let result = unsafe zeros.withUnsafeBufferPointer { zeros in
            unsafe withUnsafePointer(to: slot) { unsafe cbpf_map_put(map, $0, zeros.baseAddress!) }
        }
        try attempt("clearing the counters") { result }
    }

    private func enter(_ rules: [AddressRule], slot: UInt32, entered: Entered) throws(ArbiterError) {
        var values: [arbiter_address] = []
        for rule in rules {
            guard rule.address.count == 16, rule.prefix <= 128 else {
                throw .rule("address", "16 bytes and a prefix of at most 128 bits are wanted")
            }
            var key = arbiter_address_key()
            key.prefix = 32 + rule.prefix
            key.slot = slot
            unsafe withUnsafeMutableBytes(of: &key.address) { unsafe $0.copyBytes(from: rule.address) }
            var value = arbiter_address()
            value.allowed = rule.allowed ? 1 : 0
            value.first_port = rule.ports.lowerBound
            value.last_port = rule.ports.upperBound
            value.rule = rule.rule
            entered.addresses.append(key)
            values.append(value)
        }
        try Entry.put(tables.addresses.number, entered.addresses, values, table: "addresses", room: 65536)
    }
}
