import CBpf
import HostView
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
        let objects = try identified(rules.count + anchors.count)
        var labels: [arbiter_label_key] = []
        var values: [arbiter_label] = []
        for rule in rules {
            let object = try known(objects, rule.descriptor)
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
            let object = try known(objects, anchor.folder)
            places.append(arbiter_anchor_key(slot: slot, node: anchor.node, inode: object.inode))
            found.append(
                arbiter_anchor(
                    number: object.number, device: object.device, generation: object.generation,
                    rights: anchor.rights, rule: anchor.rule, flags: anchor.flags, unused: 0))
        }
        entered.anchors += places
        try Entry.put(tables.anchors.number, places, found, table: "names", room: ARBITER_NAMES)
    }

    /// What `objects`, in the order of their descriptors, tell of one.
    private func known(_ objects: [arbiter_object], _ descriptor: Int32) throws(ArbiterError) -> arbiter_object {
        var (low, high) = (0, objects.count)
        while low < high {
            let middle = (low + high) / 2
            let number = Int32(bitPattern: objects[middle].descriptor)
            if number == descriptor { return objects[middle] }
            if number < descriptor { low = middle + 1 } else { high = middle }
        }
        throw .rule("on descriptor \(descriptor)", "the kernel found no such descriptor of this process")
    }

    /// What the kernel has behind the descriptors of this process, in their order: it walks the table from its beginning.
    private func identified(_ wanted: Int) throws(ArbiterError) -> [arbiter_object] {
        var room = 2 * wanted + 512
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
            found.removeLast(room - Int(count))
            return found
        }
    }

    /// Enters name rules as a tree read from the last part to the first. Returns the lengths of last parts as bits, and
    /// the folders that anchor rules, to be labelled.
    func enter(
        _ rules: [NameRule], slot: UInt32, entered: Entered
    ) throws(ArbiterError) -> (lengths: UInt64, anchors: [Anchor]) {
        // A node for each beginning of a name read backwards, its parts joined by slashes; numbered from 1.
        var nodes = PathIndex()
        var values: [arbiter_name] = []
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
                var path = ""
                var place = 0
                for part in rule.parts.prefix(count).reversed() {
                    let above = path.isEmpty ? 0 : UInt32(place + 1)
                    path += path.isEmpty ? part : "/" + part
                    let found = nodes.insert(path)
                    place = found.place
                    guard found.isNew else { continue }
                    var value = arbiter_name()
                    value.node = UInt32(place + 1)
                    values.append(value)
                    entered.names.append(Self.key(part, slot: slot, above: above))
                }
                var value = values[place]
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
                values[place] = value
                if !onTheWay { lengths |= 1 << UInt64(rule.parts[count - 1].utf8.count & 63) }
            }
        }
        try Entry.put(tables.names.number, entered.names, values, table: "names", room: ARBITER_NAMES)
        return (lengths, anchors)
    }

    private static func key(_ part: String, slot: UInt32, above: UInt32) -> arbiter_name_key {
        var key = arbiter_name_key()
        let bytes = Array(part.utf8)
        unsafe bytes.withUnsafeBufferPointer { bytes in
            guard let first = bytes.baseAddress else { return }
            unsafe cbpf_name_key(&key, slot, above, first, UInt32(bytes.count))
        }
        return key
    }
}
