/// A filter as a graph of tests before it becomes a line of instructions. Equal parts exist once, and a test whose two
/// ways are the same is no test, so that nothing in the finished filter is superfluous.
package struct FilterGraph {
    package typealias NodeID = Int

    package enum Node: Hashable {
        case answer(UInt32)
        /// Loads a word of `struct seccomp_data`, masks it, and goes on.
        case load(offset: UInt32, mask: UInt32, next: NodeID)
        /// Compares the word that is loaded.
        case test(code: UInt16, k: UInt32, yes: NodeID, no: NodeID)
    }

    package private(set) var nodes: [Node] = []
    private var known: [Node: NodeID] = [:]

    package init() {}

    package mutating func answer(_ value: UInt32) -> NodeID { intern(.answer(value)) }

    package mutating func test(_ code: UInt16, _ k: UInt32, yes: NodeID, no: NodeID) -> NodeID {
        yes == no ? yes : intern(.test(code: code, k: k, yes: yes, no: no))
    }

    /// `next` after loading; just `next` when it is an answer and so looks at nothing.
    package mutating func load(_ offset: UInt32, mask: UInt32 = .max, next: NodeID) -> NodeID {
        if case .answer = nodes[next] { return next }
        return intern(.load(offset: offset, mask: mask, next: next))
    }

    private mutating func intern(_ node: Node) -> NodeID {
        if let id = known[node] { return id }
        nodes.append(node)
        known[node] = nodes.count - 1
        return nodes.count - 1
    }
}

extension FilterGraph {
    /// A decision as a part of the graph that starts with nothing loaded.
    mutating func node(for decision: Decision, report: SeccompPolicy.Report) -> NodeID {
        switch decision {
        case .outcome(let outcome): return answer(outcome.action(report))
        case .choose(let word, let cases, let otherwise):
            var next = node(for: otherwise, report: report)
            for item in cases.reversed() {
                let then = node(for: item.then, report: report)
                switch item.test {
                case .equals(let k): next = test(BPF.jumpEqual, k, yes: then, no: next)
                case .atMost(let k): next = test(BPF.jumpGreater, k, yes: next, no: then)
                case .anyBit(let k): next = test(BPF.jumpAnyBit, k, yes: then, no: next)
                }
            }
            return load(BPF.argument(word.argument), mask: word.mask, next: next)
        }
    }

    /// A balanced tree of comparisons that leads from a loaded number to the part for its interval.
    ///
    /// - Parameter intervals: first number and part of each interval, ascending from 0; the last one is open.
    mutating func dispatch(_ intervals: ArraySlice<(start: UInt32, node: NodeID)>) -> NodeID {
        let first = intervals.startIndex
        if intervals.count == 1 { return intervals[first].node }
        // One number in the midst of a run: a single comparison instead of two.
        if intervals.count == 3, intervals[first].node == intervals[first + 2].node,
            intervals[first + 2].start - intervals[first + 1].start == 1
        {
            return test(
                BPF.jumpEqual, intervals[first + 1].start, yes: intervals[first + 1].node, no: intervals[first].node)
        }
        // Parts that test arguments run at every call, while the kernel remembers numbers that are always allowed
        // (seccomp_cache_check_allow, Linux 5.11): the former are put nearer to the root.
        let weights = intervals.map { isAnswer($0.node) ? 1 : 4 }
        let half = weights.reduce(0, +) / 2
        var split = first + 1
        var below = weights[0]
        while split < intervals.endIndex - 1, below + weights[split - first] <= half {
            below += weights[split - first]
            split += 1
        }
        let upper = dispatch(intervals[split...])
        let lower = dispatch(intervals[..<split])
        return test(BPF.jumpGreaterOrEqual, intervals[split].start, yes: upper, no: lower)
    }

    private func isAnswer(_ node: NodeID) -> Bool {
        if case .answer = nodes[node] { return true }
        return false
    }
}

extension Outcome {
    /// The value the filter returns.
    func action(_ report: SeccompPolicy.Report) -> UInt32 {
        switch self {
        case .allow: BPF.allow
        case .refuse: report == .none ? BPF.fail(Errno.notPermitted) : BPF.notify
        case .observe: report == .refusalsAndWrites ? BPF.notify : BPF.allow
        case .answer(let errno): BPF.fail(errno)
        case .listen: report == .none ? BPF.allow : BPF.fail(Errno.busy)
        }
    }
}
