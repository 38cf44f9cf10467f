import CSeccomp

/// Compiles a policy to a finished filter. Takes libseccomp's 1.5 ms, so this happens when the package is built, and
/// at run time only for profiles that add system calls.
package enum FilterCompiler {
    package static func compile(_ policy: SeccompPolicy) throws(SeccompError) -> SeccompFilter {
        if let mistake = SeccompTable.check(extra: policy.extra).first { throw mistake }
        var kinds: [Decision] = []
        var numbered: [(number: Int32, kind: UInt16)] = []
        for (number, name) in SyscallNumbers.table() {
            let decision = SeccompTable.decision(for: name, under: policy)
            let kind = kinds.firstIndex(of: decision) ?? kinds.endIndex
            if kind == kinds.endIndex { kinds.append(decision) }
            numbered.append((number, UInt16(kind)))
        }
        let architecture = seccomp_arch_native()
        let dispatch = Dispatch(program: try Libseccomp.program(kinds: numbered), architecture: architecture)
        return SeccompFilter(
            instructions: try link(dispatch, kinds, architecture, report: policy.report), policy: policy)
    }

    /// Puts decisions in the place of libseccomp's answers, and runs of equal answers in the place of its one
    /// comparison for each number: the kernel checks, translates and tries a filter on every number while it is
    /// installed, so a filter of a third the size saves time at each start.
    private static func link(
        _ dispatch: Dispatch, _ kinds: [Decision], _ architecture: UInt32, report: SeccompPolicy.Report
    ) throws(SeccompError) -> [BPFInstruction] {
        var graph = FilterGraph()
        let unknown = graph.answer(BPF.fail(Errno.noSuchCall))
        let nodes = kinds.map { graph.node(for: $0, report: report) }
        var runs: [(start: UInt32, node: FilterGraph.NodeID)] = []
        for (start, answer) in try dispatch.intervals() {
            let kind = Int(answer) - Int(BPF.fail(Libseccomp.unknownKind)) - 1
            guard kind == -1 || nodes.indices.contains(kind) else {
                throw .unexpectedProgram("answer \(answer) to number \(start)")
            }
            let node = kind == -1 ? unknown : nodes[kind]
            if runs.last?.node != node { runs.append((start, node)) }
        }
        // BADARCH is the default action, and x32 numbers are the last run: nothing but this architecture gets further.
        let native = graph.load(BPF.number, next: graph.dispatch(runs[...]))
        let root = graph.load(
            BPF.architecture, next: graph.test(BPF.jumpEqual, architecture, yes: native, no: unknown))
        return graph.instructions(from: root)
    }
}
