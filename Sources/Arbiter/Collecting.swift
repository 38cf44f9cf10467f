import CBpf
import LinuxSystem

extension Arbiter {
    /// Whether the run that registered a sandbox still is: its process number may be another's by now, its start
    /// time is not.
    static func runs(_ sandbox: arbiter_sandbox) -> Bool {
        processStart(sandbox.owner_pid) == sandbox.owner_start
    }

    /// Field 22 of /proc/PID/stat (proc_pid_stat(5)): clock ticks after boot; 0 where there is no such process.
    static func processStart(_ pid: UInt32) -> UInt64 {
        guard let line = try? readText("/proc/\(pid)/stat") else { return 0 }
        // By bytes: each start asks for its own. The name before field 3 may hold anything.
        let bytes = line.utf8.span
        var index = bytes.count - 1
        while index >= 0, bytes[index] != UInt8(ascii: ")") { index -= 1 }
        if index < 0 { return 0 }
        var (spaces, ticks): (Int, UInt64) = (0, 0)
        for place in index..<bytes.count where spaces <= 20 {
            if bytes[place] == UInt8(ascii: " ") {
                spaces += 1
            } else if spaces == 20 {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place]) else { return 0 }
                ticks = ticks * 10 + UInt64(bytes[place] - UInt8(ascii: "0"))
            }
        }
        return ticks
    }

    /// Where cgroup v2 is mounted.
    static func cgroupMount() -> FileDescriptor? {
        for path in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            if unsafe access("\(path)/cgroup.procs", F_OK) == 0 {
                return try? FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
            }
        }
        return nil
    }

    /// Takes out the entries of runs that ended without doing so: their cgroup is gone, as the kernel has noted with
    /// them, and so is their process. A cgroup that outlived its supervisor still has its guards, until it is gone too.
    /// Costs nothing for those that live: the note is only taken for a reason to look.
    func collect() {
        var live: UInt32 = 0
        for slot in 1..<UInt32(ARBITER_SANDBOXES) {
            let place = unsafe sandboxes + Int(slot)
            if unsafe place.pointee.state == ARBITER_FREE.rawValue { continue }
            if unsafe place.pointee.gone != 0, !Arbiter.runs(unsafe place.pointee),
                let mount = Arbiter.cgroupMount(),
                cbpf_cgroup_alive(mount.number, unsafe place.pointee.cgroup) == 0
            {
                erase(slot: slot)
            } else {
                live += 1
            }
        }
        if live == 0 { unsafe cbpf_registry_clear(registry) }
        unsafe cbpf_registry_count(registry, live)
    }

    /// Removes every entry of a sandbox whose keys only the tables know.
    private func erase(slot: UInt32) {
        let entered = Entered()
        entered.labels = Entry.all(tables.labels.number, arbiter_label_key(), arbiter_label())
            .compactMap { $0.key.slot == slot ? $0.key : nil }
        entered.names = Entry.all(tables.names.number, arbiter_name_key(), arbiter_name())
            .compactMap { $0.key.slot == slot ? $0.key : nil }
        entered.anchors = Entry.all(tables.anchors.number, arbiter_anchor_key(), arbiter_anchor())
            .compactMap { $0.key.slot == slot ? $0.key : nil }
        entered.addresses = Entry.all(tables.addresses.number, arbiter_address_key(), arbiter_address())
            .compactMap { $0.key.slot == slot ? $0.key : nil }
        vacate(slot: slot, entered: entered)
        release(slot: slot)
    }

    /// Gives back what a sandbox entered. Its keys are known, so this costs what it has and not what all have. The place is
    /// still taken, so no lock is wanted. Whoever is killed on the way leaves a place that is gone, for the next one to
    /// collect.
    func vacate(slot: UInt32, entered: Entered) {
        let place = unsafe sandboxes + Int(slot)
        unsafe cbpf_sandbox_going(place)
        Entry.remove(tables.labels.number, entered.labels)
        Entry.remove(tables.names.number, entered.names)
        Entry.remove(tables.anchors.number, entered.anchors)
        Entry.remove(tables.addresses.number, entered.addresses)
        if slot >= UInt32(ARBITER_KEPT_RINGS) {
            Entry.remove(tables.alerts.number, slot)
            Entry.remove(tables.traces.number, slot)
        }
    }

    /// Gives a vacated place back, under the lock. Whoever is killed on the way leaves a place that is gone; and after
    /// that, cgroups without a place, which the kernel takes out as they go.
    func release(slot: UInt32) {
        let place = unsafe sandboxes + Int(slot)
        let (cgroup, policy, flags) = unsafe (place.pointee.cgroup, place.pointee.policyNumber, place.pointee.flags)
        if let policy { leave(policy: policy) }
        if flags & ARBITER_REVOKED.rawValue != 0 { forgetRevoked() }
        unsafe cbpf_sandbox_free(place)
        Entry.remove(tables.cgroups.number, cgroup)
        // Those below it, if any were ever made: the kernel takes them out as they go, but some may still be there.
        if unsafe registry.pointee.nested != 0 {
            let below = Entry.all(tables.cgroups.number, UInt64(0), UInt32(0)).filter { $0.value == slot }
            Entry.remove(tables.cgroups.number, below.map(\.key))
        }
    }

    /// Unpins the programs, whole or not, unless a cgroup they guard still is. Returns whether it did.
    public static func unload(root: String = "/sys/fs/bpf/mis", without: String = "") throws(ArbiterError) -> Bool {
        let pins = try Pins(root: root, without: without)
        guard unsafe access(pins.folder, F_OK) == 0 else { return true }
        if Pins.inUse(pins.folder) { return false }
        try Pins.remove(pins.folder)
        return true
    }
}
