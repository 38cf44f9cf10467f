import CSeccompFilters
// Whoever asks for a filter speaks of policies, filters and errors; they are declared there only because the tool that
// runs while the package is built needs them too.
@_exported public import SeccompRules

/// Finished filters for the launcher.
public enum SeccompFilters {
    /// The filter of a policy: out of the binary, or by libseccomp (1.5 ms) when the policy adds system calls that no
    /// finished filter covers.
    ///
    /// - Throws: what ``SeccompTable/check(extra:)`` finds first, or libseccomp's failure.
    public static func filter(for policy: SeccompPolicy) throws(SeccompError) -> SeccompFilter {
        guard let index = policy.embeddedIndex, let filter = embedded(index, policy) else {
            return try FilterCompiler.compile(policy)
        }
        return filter
    }

    private static func embedded(_ index: Int, _ policy: SeccompPolicy) -> SeccompFilter? {
        var length: UInt16 = 0
        guard let first = unsafe mis_seccomp_filter(UInt32(index), &length) else { return nil }
        let instructions = unsafe UnsafeBufferPointer(start: first, count: Int(length)).map {
            BPFInstruction(code: $0.code, jt: $0.jt, jf: $0.jf, k: $0.k)
        }
        return SeccompFilter(instructions: instructions, policy: policy)
    }
}
