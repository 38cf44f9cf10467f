import CBpf

/// What the kernel has counted for one sandbox, summed over its processors.
public struct Counters: Sendable, Equatable {
    public var allowed: UInt64 = 0
    public var denied: UInt64 = 0
    public var traced: UInt64 = 0
    /// Allowed on the object's own remembered verdict.
    public var cacheHits: UInt64 = 0
    /// Allowed on the remembered verdict of the folder the object lies in; not in ``cacheHits``.
    public var folderHits: UInt64 = 0
    public var cacheMisses: UInt64 = 0
    public var uncached: UInt64 = 0
    public var alertsSent: UInt64 = 0
    public var alertsLost: UInt64 = 0
    public var tracesSent: UInt64 = 0
    public var tracesLost: UInt64 = 0
    /// Denials told only as the `repeats` of another.
    public var repeats: UInt64 = 0
    public var failedClosed: UInt64 = 0
    /// Denied by a layer of the threat policy; these are in ``denied``, too.
    public var threats: UInt64 = 0
    /// Code that was started or mapped although the threat policy could not have its digest.
    public var unhashed: UInt64 = 0
    /// Lost records by processor: alerts and traces.
    public var lostByProcessor: [(alerts: UInt64, traces: UInt64)] = []

    /// All that was allowed: judged anew or remembered.
    public var allAllowed: UInt64 { allowed + cacheHits + folderHits }

    public static func == (left: Counters, right: Counters) -> Bool {
        left.values == right.values
    }

    private var values: [UInt64] {
        [
            allowed, denied, traced, cacheHits, cacheMisses, uncached, alertsSent, alertsLost, tracesSent, tracesLost,
            repeats, failedClosed, threats, unhashed, folderHits,
        ]
    }
}

extension Arbiter {
    /// The sandbox's counters so far.
    public func counters(of sandbox: borrowing RegisteredSandbox) -> Counters {
        var all = [arbiter_counters](repeating: arbiter_counters(), count: Int(max(cbpf_processors(), 1)))
        let map = tables.counters.number
        let slot = sandbox.slot
        let found = unsafe all.withUnsafeMutableBufferPointer { all in
            unsafe withUnsafePointer(to: slot) { unsafe cbpf_map_get(map, $0, all.baseAddress!) }
        }
        var sum = Counters()
        guard found == 0 else { return sum }
        for one in all {
            let value = one.value
            sum.allowed += value.0
            sum.denied += value.1
            sum.traced += value.2
            sum.cacheHits += value.3
            sum.cacheMisses += value.4
            sum.uncached += value.5
            sum.alertsSent += value.6
            sum.alertsLost += value.7
            sum.tracesSent += value.8
            sum.tracesLost += value.9
            sum.repeats += value.10
            sum.failedClosed += value.11
            sum.threats += value.12
            sum.unhashed += value.13
            sum.folderHits += value.14
            sum.lostByProcessor.append((value.7, value.9))
        }
        return sum
    }
}

extension Arbiter {
    /// Entries in the kernel's tables, for tests that look for leaks.
    public var entries: String {
        let cgroups = Entry.all(tables.cgroups.number, UInt64(0), UInt32(0)).count
        let labels = Entry.all(tables.labels.number, arbiter_label_key(), arbiter_label()).count
        let names = Entry.all(tables.names.number, arbiter_name_key(), arbiter_name()).count
        let anchors = Entry.all(tables.anchors.number, arbiter_anchor_key(), arbiter_anchor()).count
        let addresses = Entry.all(tables.addresses.number, arbiter_address_key(), arbiter_address()).count
        return
            "cgroups \(cgroups) labels \(labels) names \(names) anchors \(anchors) addresses \(addresses) "
            + "sandboxes \(unsafe registry.pointee.sandboxes)"
    }

    /// Folders with a remembered verdict, for tests.
    public func rememberedFolders() throws(ArbiterError) -> Int {
        let map = try Pins.map(
            pins, "folder_cache", key: MemoryLayout<arbiter_folder_key>.size, value: MemoryLayout<arbiter_folder>.size)
        return Entry.all(map.number, arbiter_folder_key(), arbiter_folder()).count
    }
}
