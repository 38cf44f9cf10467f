import CSeccomp
import Glibc

/// Turns system call names into the beginning of a filter: which architecture, which number, which kind of answer.
///
/// libseccomp is asked for answers alone, not for tests on arguments: it compares whole 64-bit arguments where the
/// kernel uses 32 bits, has no "none of these values", and drops a rule that a broader one follows. Each kind of
/// answer is an errno of its own here, and ``FilterCompiler`` puts the real thing in its place.
enum Libseccomp {
    /// The errno that stands for "the table does not know this number".
    static let unknownKind: UInt16 = 0xE00

    /// - Parameter kinds: number of a call and the kind of its answer, below 0x100.
    static func program(kinds: [(number: Int32, kind: UInt16)]) throws(SeccompError) -> [BPFInstruction] {
        let unknown = BPF.fail(unknownKind)
        guard let context = unsafe seccomp_init(unknown) else {
            throw .compiler(step: "seccomp_init", errno: ENOMEM)
        }
        defer { unsafe seccomp_release(context) }
        try check("seccomp_attr_set", unsafe seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, unknown))
        for (number, kind) in kinds {
            let action = BPF.fail(unknownKind + 1 + kind)
            try check("seccomp_rule_add", unsafe seccomp_rule_add_array(context, action, number, 0, nil))
        }
        return try unsafe export(context)
    }

    private static func check(_ step: String, _ status: Int32) throws(SeccompError) {
        if status < 0 { throw .compiler(step: step, errno: -status) }
    }

    /// libseccomp writes to a descriptor only. A pipe holds 64 KiB, more than the 4,096 instructions of 8 bytes the
    /// kernel takes, so writing all before reading any does not block.
    private static func export(_ context: scmp_filter_ctx) throws(SeccompError) -> [BPFInstruction] {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw .compiler(step: "pipe", errno: errno) }
        let (reader, writer) = (ends[0], ends[1])
        defer { close(reader) }
        let status = unsafe seccomp_export_bpf(context, writer)
        close(writer)
        try check("seccomp_export_bpf", status)

        var program = [BPFInstruction](repeating: BPFInstruction(code: 0, k: 0), count: 4096)
        let got = try readAll(reader, into: &program)
        let size = MemoryLayout<BPFInstruction>.stride
        guard got > 0, got % size == 0 else { throw .unexpectedProgram("\(got) bytes") }
        program.removeLast(program.count - got / size)
        return program
    }

    /// Reads to the end or until the array is full. Returns bytes.
    private static func readAll(_ reader: Int32, into program: inout [BPFInstruction]) throws(SeccompError) -> Int {
        var used = 0
        while true {
            let got = unsafe program.withUnsafeMutableBytes { buffer in
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[used...])
                return unsafe read(reader, rest.baseAddress, rest.count)
            }
            if got < 0 && errno == EINTR { continue }
            if got < 0 { throw .compiler(step: "read", errno: errno) }
            if got == 0 { return used }
            used += got
        }
    }
}
