/// What the rules say of one object.
public struct Decision: Sendable, Equatable {
    /// What the deciding rule grants; `nil` when no rule speaks of the object. Never `.execute`.
    public var access: PathRule.Access?
    /// The deciding rule's index in ``RuleSet/rules``.
    public var rule: Int?
    /// The nearest `execute` rule at or above the object, as an index in ``RuleSet/rules``.
    public var executeRule: Int?

    public init(access: PathRule.Access? = nil, rule: Int? = nil, executeRule: Int? = nil) {
        self.access = access
        self.rule = rule
        self.executeRule = executeRule
    }

    public var mayRead: Bool {
        switch access {
        case .read, .write, .protect, .tmpfs: true
        case .deny, .execute, nil: false
        }
    }

    public var mayWrite: Bool { access == .write || access == .tmpfs }

    /// A right of its own: neither `read` nor `write` gives it; `deny` takes it.
    public var mayExecute: Bool { executeRule != nil && access != .deny }
}

/// The rules of a profile, ready to be asked: the nearest rule at or above an object decides; at the same place deny
/// beats protect beats write beats tmpfs beats read, and of equals the one written last.
///
/// A glob or a `**/` pattern that matches the object, or a folder above it, counts as a rule standing there. Names are
/// bytes; nothing is folded or normalised. A question takes one pass over the path and allocates nothing, so that the
/// supervisor can ask at every open.
public struct RuleSet: Sendable {
    /// The rules as given, those without a place in this run included.
    public let rules: [PathRule]

    /// A place some rule names, or one on the way to it. Node 0 is the root folder.
    private struct Node {
        var parent: Int32
        var name: Range<Int32>
        /// Indices into `rules`, -1 for none.
        var access: Int32 = -1
        var execute: Int32 = -1
        /// The globs over names in this folder: a range of `globs`.
        var globs: Range<Int32> = 0..<0
    }

    private struct NameRule {
        /// Names of the pattern, as ranges of `text`, last first. One name for a glob.
        var names: Range<Int32>
        var rule: Int32
        var isExecute: Bool
        /// The first byte a last name must have; 0 when the pattern begins with a glob there.
        var first: UInt8
    }

    private struct PlacedGlob {
        var node: Int32
        var rule: NameRule
    }

    /// Where a name stands in `text`. (An array of ranges would have the runtime look up how they compare, at each start.)
    private struct Name {
        var start: Int32
        var end: Int32
    }

    private var nodes: [Node] = []
    /// Open addressing over (parent, name): node indices, -1 for free. A power of two.
    private var slots: [Int32] = []
    private var globs: [NameRule] = []
    private var suffixes: [NameRule] = []
    private var names: [Name] = []
    private var text: [UInt8] = []
    /// By rule: its strength among rules at the same place.
    private var ranks: [UInt8] = []

    public init(_ rules: [PathRule]) {
        self.rules = rules
        ranks.reserveCapacity(rules.count)
        for index in rules.indices { ranks.append(Self.rank(rules[index].access)) }
        nodes.append(Node(parent: -1, name: 0..<0))
        // Most rules bring one name; what is too small grows.
        var size = 64
        while size < rules.count * 4 { size *= 2 }
        slots = Array(repeating: -1, count: size)
        nodes.reserveCapacity(size / 2)
        text.reserveCapacity(rules.count * 16)
        var pending: [PlacedGlob] = []
        for index in rules.indices {
            switch rules[index].pattern {
            case .path(let path):
                place(Int32(index), at: makeNode(path))
            case .glob(let folder, let name):
                let glob = PlacedGlob(node: makeNode(folder), rule: nameRule([name], Int32(index)))
                // Those of one folder side by side, and of equals the last one written last.
                pending.insert(glob, at: (pending.lastIndex { $0.node <= glob.node } ?? -1) + 1)
            case .suffix(let names):
                suffixes.append(nameRule(names.reversed(), Int32(index)))
            case .unavailable:
                break
            }
        }
        for glob in pending {
            let node = Int(glob.node)
            let start = nodes[node].globs.isEmpty ? Int32(globs.count) : nodes[node].globs.lowerBound
            globs.append(glob.rule)
            nodes[node].globs = start..<Int32(globs.count)
        }
    }

    private static func rank(_ access: PathRule.Access) -> UInt8 {
        switch access {
        case .deny: 5
        case .protect: 4
        case .write: 3
        case .tmpfs: 2
        case .read: 1
        case .execute: 0
        }
    }

    // MARK: Asking

    /// What the rules say of an absolute path, lexically normal.
    public func access(for path: String) -> Decision {
        decide(path: path.utf8Span.span)
    }

    /// The same for bytes as the kernel gives them. Doubled and trailing slashes are passed over; `.` and `..` are names
    /// like others, so the path must be free of them.
    public func decide(path: borrowing Span<UInt8>) -> Decision {
        var access = nodes[0].access
        var execute = nodes[0].execute
        // The node of the folder reached so far; -1 once no rule names a place at or below it.
        var folder: Int32 = 0
        var index = 0
        let end = path.count
        while true {
            while index < end, path[index] == slash { index += 1 }
            if index == end { break }
            let start = index
            var hash = Self.seed(folder)
            while index < end, path[index] != slash {
                hash = (hash ^ UInt32(path[index])) &* 16_777_619
                index += 1
            }
            var here: Int32 = -1
            var executeHere: Int32 = -1
            if folder >= 0 {
                let globs = nodes[Int(folder)].globs
                folder = find(folder, hash, path, start, index)
                if folder >= 0 {
                    here = nodes[Int(folder)].access
                    executeHere = nodes[Int(folder)].execute
                }
                for glob in globs {
                    let rule = self.globs[Int(glob)]
                    if matches(rule, path, start, index) { apply(rule, &here, &executeHere) }
                }
            }
            for rule in suffixes where matches(rule, path, start, index) { apply(rule, &here, &executeHere) }
            if here >= 0 { access = here }
            if executeHere >= 0 { execute = executeHere }
        }
        return Decision(
            access: access >= 0 ? rules[Int(access)].access : nil, rule: access >= 0 ? Int(access) : nil,
            executeRule: execute >= 0 ? Int(execute) : nil)
    }

    /// Lets a rule stand at this place, beside what stands there already.
    private func apply(_ rule: NameRule, _ here: inout Int32, _ execute: inout Int32) {
        if rule.isExecute {
            execute = max(execute, rule.rule)
        } else {
            here = stronger(here, rule.rule)
        }
    }

    private func stronger(_ one: Int32, _ other: Int32) -> Int32 {
        if one < 0 { return other }
        let (a, b) = (ranks[Int(one)], ranks[Int(other)])
        if a == b { return max(one, other) }
        return a > b ? one : other
    }

    /// Whether the path up to `end`, whose last name begins at `start`, ends in the rule's names.
    private func matches(
        _ rule: NameRule, _ path: borrowing Span<UInt8>, _ start: Int, _ end: Int
    ) -> Bool {
        if rule.first != 0, path[start] != rule.first { return false }
        var start = start
        var end = end
        var isFirst = true
        for name in rule.names {
            if !isFirst {
                // To the name before: over the slashes, then over the name.
                end = start
                while end > 0, path[end - 1] == slash { end -= 1 }
                if end == 0 { return false }
                start = end
                while start > 0, path[start - 1] != slash { start -= 1 }
            }
            isFirst = false
            let name = names[Int(name)]
            guard Glob.matches(text.span, Int(name.start)..<Int(name.end), path, start..<end) else { return false }
        }
        return true
    }

    private func find(
        _ parent: Int32, _ hash: UInt32, _ path: borrowing Span<UInt8>, _ start: Int, _ end: Int
    ) -> Int32 {
        var slot = Self.finish(hash) & UInt32(slots.count - 1)
        while true {
            let candidate = slots[Int(slot)]
            if candidate < 0 { return -1 }
            let node = nodes[Int(candidate)]
            if node.parent == parent, node.name.count == end - start {
                var offset = 0
                let nameStart = Int(node.name.lowerBound)
                while offset < end - start, text[nameStart + offset] == path[start + offset] { offset += 1 }
                if offset == end - start { return candidate }
            }
            slot = (slot + 1) & UInt32(slots.count - 1)
        }
    }

    // MARK: Building

    private mutating func place(_ rule: Int32, at node: Int32) {
        if rules[Int(rule)].access == .execute {
            nodes[Int(node)].execute = rule
        } else {
            nodes[Int(node)].access = stronger(nodes[Int(node)].access, rule)
        }
    }

    private mutating func nameRule(_ parts: [String], _ rule: Int32) -> NameRule {
        let start = Int32(names.count)
        for part in parts {
            names.append(Name(start: Int32(text.count), end: Int32(text.count + part.utf8.count)))
            text.append(contentsOf: part.utf8)
        }
        let first = parts.first?.utf8.first ?? 0
        return NameRule(
            names: start..<Int32(names.count), rule: rule, isExecute: rules[Int(rule)].access == .execute,
            first: Glob.isSpecial(first) ? 0 : first)
    }

    private mutating func makeNode(_ path: String) -> Int32 {
        // By bytes, and without a list of parts: every start in tier bpf comes here for each rule.
        let bytes = path.utf8.span
        var folder: Int32 = 0
        var index = 0
        while true {
            while index < bytes.count, bytes[index] == slash { index += 1 }
            if index == bytes.count { return folder }
            let start = index
            var hash = Self.seed(folder)
            while index < bytes.count, bytes[index] != slash {
                hash = (hash ^ UInt32(bytes[index])) &* 16_777_619
                index += 1
            }
            var child = find(folder, hash, bytes, start, index)
            if child < 0 {
                child = Int32(nodes.count)
                nodes.append(Node(parent: folder, name: Int32(text.count)..<Int32(text.count + index - start)))
                for place in start..<index { text.append(bytes[place]) }
                insert(child, hash)
            }
            folder = child
        }
    }

    private mutating func insert(_ node: Int32, _ hash: UInt32) {
        // Half full at most: every search ends at a free slot, and soon.
        if nodes.count * 2 > slots.count {
            slots = Array(repeating: -1, count: slots.count * 2)
            for other in 1..<nodes.count where other != Int(node) { fill(Int32(other), self.hash(of: nodes[other])) }
        }
        fill(node, hash)
    }

    private mutating func fill(_ node: Int32, _ hash: UInt32) {
        var slot = Self.finish(hash) & UInt32(slots.count - 1)
        while slots[Int(slot)] >= 0 { slot = (slot + 1) & UInt32(slots.count - 1) }
        slots[Int(slot)] = node
    }

    private func hash(of node: Node) -> UInt32 {
        var hash = Self.seed(node.parent)
        for index in node.name { hash = (hash ^ UInt32(text[Int(index)])) &* 16_777_619 }
        return hash
    }

    /// FNV-1a, begun from the folder. Rules are the user's own, so nobody is out for collisions.
    private static func seed(_ folder: Int32) -> UInt32 {
        (2_166_136_261 ^ UInt32(bitPattern: folder)) &* 16_777_619
    }

    private static func finish(_ hash: UInt32) -> UInt32 { hash ^ (hash >> 15) }
}

private let slash = UInt8(ascii: "/")
