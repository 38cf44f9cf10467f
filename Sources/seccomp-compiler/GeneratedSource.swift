import SeccompRules

/// The C file behind seccomp_filters.h.
enum GeneratedSource {
    static func text() throws(SeccompError) -> String {
        var text = """
            /* Written by seccomp-compiler from the table in Sources/Seccomp/Rules. */
            #include "seccomp_filters.h"
            #include <stddef.h>


            """
        var entries: [String] = []
        for (index, policy) in SeccompPolicy.embedded.enumerated() {
            let filter = try FilterCompiler.compile(policy)
            text += "/* \(policy) (\(filter.instructions.count) instructions) */\n"
            text += "static const struct sock_filter filter_\(index)[] = {\n"
            for item in filter.instructions {
                text += "    {\(item.code), \(item.jt), \(item.jf), \(item.k)u},\n"
            }
            text += "};\n\n"
            entries.append("    {filter_\(index), \(filter.instructions.count)},\n")
        }
        return text + filterAccessor(entries) + names()
    }

    private static func filterAccessor(_ entries: [String]) -> String {
        """
        static const struct {
            const struct sock_filter *first;
            unsigned short length;
        } filters[] = {
        \(entries.joined())};

        const struct sock_filter *mis_seccomp_filter(unsigned int index, unsigned short *length) {
            if (index >= sizeof(filters) / sizeof(filters[0])) {
                *length = 0;
                return NULL;
            }
            *length = filters[index].length;
            return filters[index].first;
        }


        """
    }

    private static func names() -> String {
        let table = SyscallNumbers.table()
        let width = (table.map { $0.name.utf8.count }.max() ?? 0) + 1
        let rows = table.map { number, name in "    [\(number)] = {\"\(name)\", \(notice(name))},\n" }
        return """
            static const struct {
                char name[\(width)];
                unsigned char notice;
            } calls[] = {
            \(rows.joined())};

            #define CALL_COUNT (sizeof(calls) / sizeof(calls[0]))

            unsigned int mis_seccomp_number_count(void) {
                return CALL_COUNT;
            }

            const char *mis_seccomp_name(unsigned int number) {
                return number < CALL_COUNT && calls[number].name[0] ? calls[number].name : NULL;
            }

            unsigned char mis_seccomp_notice(unsigned int number) {
                return number < CALL_COUNT ? calls[number].notice : 0;
            }

            """
    }

    /// The MIS_SECCOMP_* bits of a call, as C.
    private static func notice(_ name: String) -> String {
        guard let group = SeccompTable.rules[name] else { return "0" }
        let outcomes = group.decision.outcomes.union(group.nested?.outcomes ?? [])
        var bits: [String] = []
        if outcomes.contains(.refuse) { bits.append("MIS_SECCOMP_REFUSABLE") }
        if outcomes.contains(.observe) { bits.append("MIS_SECCOMP_OBSERVED") }
        if group.counts { bits.append("MIS_SECCOMP_COUNTS") }
        return bits.isEmpty ? "0" : bits.joined(separator: " | ")
    }
}
