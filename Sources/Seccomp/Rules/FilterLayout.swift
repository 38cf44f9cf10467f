extension FilterGraph {
    /// The instructions of everything reachable from `root`, which comes first.
    package func instructions(from root: NodeID) -> [BPFInstruction] {
        var layout = Layout(nodes: nodes)
        layout.place(root)
        // The root is never shared, so it was placed last and stands first.
        return layout.reversed.reversed()
    }

    /// Jumps only go forward, so the last instruction is placed first: whatever is jumped to has its place already, and
    /// distances are known. Places are counted from the end.
    private struct Layout {
        let nodes: [Node]
        var reversed: [BPFInstruction] = []
        var places: [NodeID: Int] = [:]

        init(nodes: [Node]) { self.nodes = nodes }

        mutating func place(_ id: NodeID) {
            guard places[id] == nil else { return }
            switch nodes[id] {
            case .answer(let value):
                emit(BPFInstruction(code: BPF.answer, k: value))
            case .load(let offset, let mask, let next):
                place(next)
                fallThrough(to: next)
                if mask != .max { emit(BPFInstruction(code: BPF.and, k: mask)) }
                emit(BPFInstruction(code: BPF.load, k: offset))
            case .test(let code, let k, let yes, let no):
                place(yes)
                place(no)
                let distances = reach(yes, no)
                emit(BPFInstruction(code: code, jt: distances.0, jf: distances.1, k: k))
            }
            places[id] = reversed.count - 1
        }

        private mutating func emit(_ instruction: BPFInstruction) { reversed.append(instruction) }

        /// Instructions to skip from the place that comes next to where `id` stands.
        private func distance(_ id: NodeID) -> Int { reversed.count - 1 - (places[id] ?? 0) }

        /// A load goes on with the instruction after it.
        private mutating func fallThrough(to id: NodeID) {
            let skipped = distance(id)
            if skipped > 0 { emit(BPFInstruction(code: BPF.jump, k: UInt32(skipped))) }
        }

        /// Conditional jumps reach 255 instructions: what stands further away is brought nearer, an answer by repeating
        /// it, anything else by a jump.
        private mutating func reach(_ yes: NodeID, _ no: NodeID) -> (UInt8, UInt8) {
            // Bringing the first nearer moves the second one instruction away, hence one less.
            if distance(yes) > 254 { bringNearer(yes) }
            if distance(no) > 255 { bringNearer(no) }
            return (UInt8(distance(yes)), UInt8(distance(no)))
        }

        private mutating func bringNearer(_ id: NodeID) {
            if case .answer(let value) = nodes[id] {
                emit(BPFInstruction(code: BPF.answer, k: value))
            } else {
                emit(BPFInstruction(code: BPF.jump, k: UInt32(distance(id))))
            }
            places[id] = reversed.count - 1
        }
    }
}
