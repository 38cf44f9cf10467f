import CBpf
import LinuxSystem

/// The maps a run writes to, open.
struct Tables: ~Copyable {
    let cgroups: FileDescriptor
    let sandboxes: FileDescriptor
    let counters: FileDescriptor
    let labels: FileDescriptor
    let names: FileDescriptor
    let anchors: FileDescriptor
    let addresses: FileDescriptor
    let repeats: FileDescriptor
    let alerts: FileDescriptor
    let traces: FileDescriptor
    let policies: FileDescriptor
    let base: FileDescriptor
    let hotfix: FileDescriptor
    let exact: FileDescriptor
    let whitelist: FileDescriptor
    let listObjects: FileDescriptor
    let askPolicy: FileDescriptor
    let listMapped: FileDescriptor

    static func open(_ folder: String) throws(ArbiterError) -> Tables {
        return Tables(
            cgroups: try Pins.map(folder, "cgroups", key: 8, value: 4),
            sandboxes: try Pins.map(folder, "sandboxes", key: 4, value: MemoryLayout<arbiter_sandbox>.size),
            counters: try Pins.map(folder, "counters", key: 4, value: MemoryLayout<arbiter_counters>.size),
            labels: try Pins.map(
                folder, "labels", key: MemoryLayout<arbiter_label_key>.size, value: MemoryLayout<arbiter_label>.size),
            names: try Pins.map(
                folder, "names", key: MemoryLayout<arbiter_name_key>.size, value: MemoryLayout<arbiter_name>.size),
            anchors: try Pins.map(
                folder, "anchors", key: MemoryLayout<arbiter_anchor_key>.size,
                value: MemoryLayout<arbiter_anchor>.size),
            addresses: try Pins.map(
                folder, "addresses", key: MemoryLayout<arbiter_address_key>.size,
                value: MemoryLayout<arbiter_address>.size),
            repeats: try Pins.map(
                folder, "repeats", key: MemoryLayout<arbiter_repeat_key>.size,
                value: MemoryLayout<arbiter_repeat>.size),
            alerts: try Pins.map(folder, "alerts", key: 4, value: 4),
            traces: try Pins.map(folder, "traces", key: 4, value: 4),
            policies: try Pins.map(folder, "policies", key: 4, value: MemoryLayout<arbiter_policy>.size),
            base: try Pins.map(folder, "policy_base", key: 4, value: 4),
            hotfix: try Pins.map(folder, "policy_hotfix", key: 4, value: 4),
            exact: try Pins.map(folder, "policy_exact", key: 4, value: 4),
            whitelist: try Pins.map(folder, "policy_whitelist", key: 4, value: 4),
            listObjects: try program(folder, "list_objects"), askPolicy: try program(folder, "ask_policy"),
            listMapped: try program(folder, "list_mapped"))
    }

    private static func program(_ folder: String, _ name: String) throws(ArbiterError) -> FileDescriptor {
        let path = "\(folder)/programs/\(name)"
        return FileDescriptor(owning: try attempt("opening", path) { unsafe cbpf_pinned(path) })
    }
}

/// Map entries by value. One place for the pointers.
enum Entry {
    static func get<Key, Value>(_ map: Int32, _ key: Key, into value: inout Value) -> Bool {
        unsafe withUnsafePointer(to: key) { key in
            unsafe withUnsafeMutablePointer(to: &value) { unsafe cbpf_map_get(map, key, $0) == 0 }
        }
    }

    static func put<Key, Value>(
        _ map: Int32, _ key: Key, _ value: Value, table: String, room: Int
    ) throws(ArbiterError) {
        let result = unsafe withUnsafePointer(to: key) { key in
            unsafe withUnsafePointer(to: value) { unsafe cbpf_map_put(map, key, $0) }
        }
        if result == 0 { return }
        let error = Errno(errno)
        if error.code == E2BIG || error.code == ENOSPC { throw .full(table, room) }
        throw .system(error.doing("writing the kernel's table of", table))
    }

    static func remove<Key>(_ map: Int32, _ key: Key) {
        // What is not there need not be removed.
        _ = unsafe withUnsafePointer(to: key) { unsafe cbpf_map_remove(map, $0) }
    }

    /// Writes many entries in a few calls. All of one kind, and their keys differ.
    static func put<Key, Value>(
        _ map: Int32, _ keys: [Key], _ values: [Value], table: String, room: Int
    ) throws(ArbiterError) {
        let result = unsafe keys.withUnsafeBytes { keys in
            unsafe values.withUnsafeBufferPointer { values -> Int32 in
                guard let first = keys.baseAddress, let value = values.baseAddress else { return 0 }
                return unsafe cbpf_map_put_all(map, first, value, UInt32(values.count))
            }
        }
        if result == 0 { return }
        let error = Errno(errno)
        if error.code == E2BIG || error.code == ENOSPC { throw .full(table, room) }
        throw .system(error.doing("writing the kernel's table of", table))
    }

    static func remove<Key>(_ map: Int32, _ keys: [Key]) {
        let size = UInt32(MemoryLayout<Key>.stride)
        unsafe keys.withUnsafeBytes { keys in
            guard let first = keys.baseAddress else { return }
            _ = unsafe cbpf_map_remove_all(map, first, size, UInt32(keys.count) / size)
        }
    }

    /// All entries; those that change meanwhile may be missed or come twice.
    static func all<Key, Value>(_ map: Int32, _ key: Key, _ value: Value) -> [(key: Key, value: Value)] {
        var found: [(key: Key, value: Value)] = []
        var keys = [Key](repeating: key, count: many)
        var values = [Value](repeating: value, count: many)
        var place = [UInt8](repeating: 0, count: Int(CBPF_PLACE))
        var more: Int32 = 1
        var first: Int32 = 1
        while more == 1, found.count < 1 << 20 {
            var count = UInt32(many)
            more = unsafe keys.withUnsafeMutableBytes { keys in
                unsafe values.withUnsafeMutableBytes { values in
                    unsafe place.withUnsafeMutableBufferPointer { place -> Int32 in
                        guard let at = place.baseAddress, let key = keys.baseAddress,
                            let value = values.baseAddress
                        else { return -1 }
                        return unsafe cbpf_map_some(map, at, first, key, value, &count)
                    }
                }
            }
            if more < 0 { break }
            first = 0
            for index in 0..<Int(count) { found.append((keys[index], values[index])) }
        }
        return found
    }

    /// Entries read at a time.
    private static let many = 4096
}
