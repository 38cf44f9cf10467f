import CBpf
import LinuxSystem

/// The keys of a sandbox's entries, so that they can be taken out without looking through everybody's.
final class Entered {
    var labels: [arbiter_label_key] = []
    var names: [arbiter_name_key] = []
    var anchors: [arbiter_anchor_key] = []
    var addresses: [arbiter_address_key] = []
}

/// A name rule below a folder: the folder (a descriptor), the node of the names' tree, and what the rule says.
struct Anchor {
    let folder: Int32
    let node: UInt32
    var rights: UInt32
    var rule: UInt32
    var flags: UInt32
}

extension Arbiter {
    /// Labels what the descriptors stand for: one walk of the kernel over this process's descriptors tells which inodes
    /// these are, and the labels go into the tables by the thousand.
    func label(
        _ rules: [ObjectRule], anchors: [Anchor], slot: UInt32, entered: Entered
    ) throws(ArbiterError) {
        if rules.isEmpty, anchors.isEmpty { return }
        let objects = try identified(Set(rules.map(\.descriptor)).union(anchors.map(\.folder)))
        var labels: [arbiter_label_key] = []
        var values: [arbiter_label] = []
        for rule in rules {
            let object = try known(objects[rule.descriptor], rule.descriptor)
            labels.append(arbiter_label_key(slot: slot, unused: 0, inode: object.inode))
            values.append(
                arbiter_label(
                    number: object.number, device: object.device, generation: object.generation,
                    rights: rule.rights.rawValue, rule: rule.rule))
        }
        // Noted before they are there: what fails half way is taken out again.
        entered.labels += labels
        try Entry.put(tables.labels.number, labels, values, table: "labels", room: ARBITER_LABELS)
        var places: [arbiter_anchor_key] = []
        var found: [arbiter_anchor] = []
        for anchor in anchors {
            let object = try known(objects[anchor.folder], anchor.folder)
            places.append(arbiter_anchor_key(slot: slot, node: anchor.node, inode: object.inode))
            found.append(
                arbiter_anchor(
                    number: object.number, device: object.device, generation: object.generation,
                    rights: anchor.rights, rule: anchor.rule, flags: anchor.flags, unused: 0))
        }
        entered.anchors += places
        try Entry.put(tables.anchors.number, places, found, table: "names", room: ARBITER_NAMES)
    }

    private func known(_ object: arbiter_object?, _ descriptor: Int32) throws(ArbiterError) -> arbiter_object {
        if let object { return object }
        throw .rule("on descriptor \(descriptor)", "the kernel found no such descriptor of this process")
    }

    /// What the kernel has behind descriptors of this process.
    private func identified(_ wanted: Set<Int32>) throws(ArbiterError) -> [Int32: arbiter_object] {
        var room = 2 * wanted.count + 512
        while true {
            var found = [arbiter_object](repeating: arbiter_object(), count: room)
            let program = tables.listObjects.number
            let count = try attempt("looking through this process's descriptors") {
                unsafe found.withUnsafeMutableBufferPointer { found -> Int32 in
                    guard let start = found.baseAddress else { return -1 }
                    return unsafe cbpf_list_objects(program, UInt32(getpid()), start, Int32(found.count))
                }
            }
            if Int(count) > room {
                room = Int(count) * 2
                continue
            }
            var objects: [Int32: arbiter_object] = [:]
            objects.reserveCapacity(wanted.count)
            for object in found.prefix(Int(count)) {
                let descriptor = Int32(bitPattern: object.descriptor)
                if wanted.contains(descriptor) { objects[descriptor] = object }
            }
            return objects
        }
    }

    /// Enters name rules as a tree read from the last part to the first. Returns the lengths of last parts as bits, and
    /// the folders that anchor rules, to be labelled.
    func enter(
        _ rules: [NameRule], slot: UInt32, entered: Entered
    ) throws(ArbiterError) -> (lengths: UInt64, anchors: [Anchor]) {
        var nodes: [[String]: UInt32] = [:]
        var values: [[String]: arbiter_name] = [:]
        var anchors: [Anchor] = []
        var lengths: UInt64 = 0
        for rule in rules {
            let text = rule.parts.joined(separator: "/")
            guard (1...ARBITER_NAME_DEPTH).contains(rule.parts.count) else {
                throw .rule(text, "a name has 1 to \(ARBITER_NAME_DEPTH) parts here")
            }
            for part in rule.parts {
                guard (1..<ARBITER_NAME_BYTES).contains(part.utf8.count), part != ".", part != "..",
                    !part.utf8.contains(UInt8(ascii: "/")), !part.utf8.contains(UInt8(ascii: "*")),
                    !part.utf8.contains(UInt8(ascii: "?")), !part.utf8.contains(UInt8(ascii: "["))
                else {
                    throw .rule(text, "parts are plain names of at most \(ARBITER_NAME_BYTES - 1) bytes")
                }
            }
            // The rule itself, then each shorter beginning of it as a part on the way.
            for count in (1...rule.parts.count).reversed() {
                let onTheWay = count < rule.parts.count
                let path = Array(rule.parts.prefix(count).reversed())
                for depth in 1...path.count {
                    let prefix = Array(path.prefix(depth))
                    if nodes[prefix] == nil {
                        nodes[prefix] = UInt32(nodes.count + 1)
                        var value = arbiter_name()
                        value.node = UInt32(nodes.count)
                        values[prefix] = value
                    }
                }
                guard var value = values[path] else { continue }
                let wayFlag = onTheWay ? ARBITER_NAME_ON_THE_WAY.rawValue : 0
                if let folder = rule.anchor {
                    value.flags |= ARBITER_NAME_ANCHORED.rawValue
                    let anchor = Anchor(
                        folder: folder, node: value.node, rights: rule.rights.rawValue, rule: rule.rule,
                        flags: wayFlag)
                    // A rule of its own at a place beats being on the way to another's.
                    let other = anchors.firstIndex { $0.folder == folder && $0.node == value.node }
                    if let other {
                        if anchors[other].flags != 0 { anchors[other] = anchor }
                    } else {
                        anchors.append(anchor)
                    }
                } else if value.flags & ARBITER_NAME_ANYWHERE.rawValue == 0
                    || value.flags & ARBITER_NAME_ON_THE_WAY.rawValue != 0
                {
                    value.flags &= ~ARBITER_NAME_ON_THE_WAY.rawValue
                    value.flags |= ARBITER_NAME_ANYWHERE.rawValue | wayFlag
                    value.rights = rule.rights.rawValue
                    value.rule = rule.rule
                }
                values[path] = value
                if !onTheWay { lengths |= 1 << UInt64(rule.parts[count - 1].utf8.count & 63) }
            }
        }
        var entries: [arbiter_name] = []
        for (path, value) in values {
            guard let last = path.last else { continue }
            let above = path.count > 1 ? nodes[Array(path.dropLast())] ?? 0 : 0
            var key = arbiter_name_key()
            let bytes = Array(last.utf8)
            unsafe bytes.withUnsafeBufferPointer {
                unsafe cbpf_name_key(&key, slot, above, $0.baseAddress!, UInt32($0.count))
            }
            entered.names.append(key)
            entries.append(value)
        }
        try Entry.put(tables.names.number, entered.names, entries, table: "names", room: ARBITER_NAMES)
        return (lengths, anchors)
    }
}
