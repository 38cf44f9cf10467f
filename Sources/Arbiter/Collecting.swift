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
        guard let line = try? readText("/proc/\(pid)/stat"), let end = line.lastIndex(of: ")") else { return 0 }
        let fields = line[line.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19]) ?? 0 : 0
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

    /// Takes out the entries of runs that ended without doing so: their process is gone and so is their cgroup. A
    /// cgroup that outlived its supervisor still has its guards, until it is gone too.
    func collect() {
        guard let mount = Arbiter.cgroupMount() else { return }
        // Requests of whoever was killed while labelling; one of our own number is another's who had it before.
        for key in Entry.keys(tables.requests.number, empty: arbiter_request_key())
        where key.pid == UInt32(getpid()) || Arbiter.processStart(key.pid) == 0 {
            Entry.remove(tables.requests.number, key)
        }
        var live: UInt32 = 0
        for cgroup in Entry.keys(tables.cgroups.number, empty: UInt64(0)) {
            var slot: UInt32 = 0
            guard Entry.get(tables.cgroups.number, cgroup, into: &slot) else { continue }
            var sandbox = arbiter_sandbox()
            guard Entry.get(tables.sandboxes.number, slot, into: &sandbox) else { continue }
            if sandbox.state == ARBITER_FREE.rawValue {
                Entry.remove(tables.cgroups.number, cgroup)
            } else if sandbox.cgroup == cgroup {
                if cbpf_cgroup_alive(mount.number, cgroup) == 0, !Arbiter.runs(sandbox) {
                    erase(slot: slot, cgroup: cgroup)
                } else {
                    live += 1
                }
            }
        }
        if live == 0 { unsafe cbpf_registry_clear(registry) }
        unsafe cbpf_registry_count(registry, live)
    }

    /// Removes every entry of a sandbox. The cgroup's goes last: whoever is killed on the way leaves what the next one
    /// finds by it.
    func erase(slot: UInt32, cgroup: UInt64) {
        for key in Entry.keys(tables.labels.number, empty: arbiter_label_key()) where key.slot == slot {
            Entry.remove(tables.labels.number, key)
        }
        for key in Entry.keys(tables.names.number, empty: arbiter_name_key()) where key.slot == slot {
            Entry.remove(tables.names.number, key)
        }
        for key in Entry.keys(tables.anchors.number, empty: arbiter_anchor_key()) where key.slot == slot {
            Entry.remove(tables.anchors.number, key)
        }
        for key in Entry.keys(tables.addresses.number, empty: arbiter_address_key()) where key.slot == slot {
            Entry.remove(tables.addresses.number, key)
        }
        free(slot: slot)
        removeCgroups(of: slot)
    }

    /// Gives back what a sandbox entered. Its keys are known, so this costs what it has and not what all have.
    func erase(slot: UInt32, entered: Entered) {
        for key in entered.labels { Entry.remove(tables.labels.number, key) }
        for key in entered.names { Entry.remove(tables.names.number, key) }
        for key in entered.anchors { Entry.remove(tables.anchors.number, key) }
        for key in entered.addresses { Entry.remove(tables.addresses.number, key) }
        free(slot: slot)
        removeCgroups(of: slot)
    }

    private func removeCgroups(of slot: UInt32) {
        for cgroup in Entry.keys(tables.cgroups.number, empty: UInt64(0)) {
            var owner: UInt32 = 0
            if Entry.get(tables.cgroups.number, cgroup, into: &owner), owner == slot {
                Entry.remove(tables.cgroups.number, cgroup)
            }
        }
    }

    private func free(slot: UInt32) {
        let (policy, flags) = unsafe (sandboxes[Int(slot)].policy, sandboxes[Int(slot)].flags)
        if policy != 0 { leave(policy: policy - 1) }
        if flags & ARBITER_REVOKED.rawValue != 0 { forgetRevoked() }
        Entry.remove(tables.alerts.number, slot)
        Entry.remove(tables.traces.number, slot)
        // An array's entry cannot be removed, only be free.
        _ = try? Entry.put(tables.sandboxes.number, slot, arbiter_sandbox(), table: "sandboxes", room: 0)
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
