import CBpf
import LinuxSystem

/// The keys of a sandbox's entries, so that they can be taken out without looking through everybody's.
final class Entered {
    var labels: [arbiter_label_key] = []
    var names: [arbiter_name_key] = []
    var anchors: [arbiter_anchor_key] = []
    var addresses: [arbiter_address_key] = []

    /// Notes what the kernel made of a request.
    func add(_ answer: arbiter_request) {
        if answer.node == 0 {
            var key = arbiter_label_key()
            key.slot = answer.slot
            key.inode = answer.inode
            labels.append(key)
        } else {
            var key = arbiter_anchor_key()
            key.slot = answer.slot
            key.node = answer.node
            key.inode = answer.inode
            anchors.append(key)
        }
    }
}

extension Arbiter {
    /// Labels what the descriptors stand for: the requests go into a map, and one walk of the kernel over this
    /// process's descriptors turns them into labels on the inodes it finds there.
    func label(_ rules: [ObjectRule], slot: UInt32, entered: Entered) throws(ArbiterError) {
        try put(
            rules.map { rule in
                var request = arbiter_request()
                request.slot = slot
                request.rights = rule.rights.rawValue
                request.rule = rule.rule
                return (rule.descriptor, request)
            }, entered: entered)
    }

    /// Several requests for one descriptor (a folder that anchors more than one name) go in turns, as do more than the
    /// table of requests has room for beside those of others.
    private func put(
        _ asked: [(descriptor: Int32, request: arbiter_request)], entered: Entered
    ) throws(ArbiterError) {
        var waiting = asked
        while !waiting.isEmpty {
            var taken: Set<Int32> = []
            var next: [(descriptor: Int32, request: arbiter_request)] = []
            for item in waiting {
                guard taken.count < 8192, taken.insert(item.descriptor).inserted else {
                    next.append(item)
                    continue
                }
                try Entry.put(
                    tables.requests.number, key(item.descriptor), item.request, table: "label requests", room: 65536)
            }
            defer { for descriptor in taken { Entry.remove(tables.requests.number, key(descriptor)) } }
            if taken.isEmpty { return }
            let program = tables.putLabels.number
            try attempt("labelling") { cbpf_put_labels(program, UInt32(getpid())) }
            for descriptor in taken {
                var answer = arbiter_request()
                _ = Entry.get(tables.requests.number, key(descriptor), into: &answer)
                if answer.answer == 2 { throw .full("labels", ARBITER_LABELS) }
                guard answer.answer == 1 else {
                    throw .rule("on descriptor \(descriptor)", "the kernel found no such descriptor of this process")
                }
                entered.add(answer)
            }
            waiting = next
        }
    }

    private func key(_ descriptor: Int32) -> arbiter_request_key {
        var key = arbiter_request_key()
        key.pid = UInt32(getpid())
        key.descriptor = UInt32(bitPattern: descriptor)
        return key
    }

    /// Enters name rules as a tree read from the last part to the first, and returns the lengths of last parts as bits.
    func enter(_ rules: [NameRule], slot: UInt32, entered: Entered) throws(ArbiterError) -> UInt64 {
        var nodes: [[String]: UInt32] = [:]
        var values: [[String]: arbiter_name] = [:]
        var anchors: [(descriptor: Int32, request: arbiter_request)] = []
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
                if let anchor = rule.anchor {
                    value.flags |= ARBITER_NAME_ANCHORED.rawValue
                    var request = arbiter_request()
                    request.slot = slot
                    request.node = value.node
                    request.rights = rule.rights.rawValue
                    request.rule = rule.rule
                    request.flags = wayFlag
                    // A rule of its own at a place beats being on the way to another's.
                    let other = anchors.firstIndex { $0.descriptor == anchor && $0.request.node == value.node }
                    if let other {
                        if anchors[other].request.flags != 0 { anchors[other].request = request }
                    } else {
                        anchors.append((anchor, request))
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
        for (path, value) in values {
            guard let last = path.last else { continue }
            let above = path.count > 1 ? nodes[Array(path.dropLast())] ?? 0 : 0
            var key = arbiter_name_key()
            let bytes = Array(last.utf8)
            unsafe bytes.withUnsafeBufferPointer {
                unsafe cbpf_name_key(&key, slot, above, $0.baseAddress!, UInt32($0.count))
            }
            entered.names.append(key)
            try Entry.put(tables.names.number, key, value, table: "names", room: ARBITER_NAMES)
        }
        try put(anchors, entered: entered)
        return lengths
    }
}
