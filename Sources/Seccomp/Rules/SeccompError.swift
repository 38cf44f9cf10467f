/// Why there is no filter for a policy.
public enum SeccompError: Error, Sendable, Hashable {
    /// No system call of this name; `nearest` is one spelled much like it.
    case unknownCall(name: String, nearest: String?)
    /// A call no profile may allow, and why.
    case forbiddenCall(name: String, reason: String)
    /// libseccomp or the pipe it writes to failed.
    case compiler(step: String, errno: Int32)
    /// libseccomp wrote a program that is not of the form this project reads.
    case unexpectedProgram(String)
}

extension SeccompError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unknownCall(let name, let nearest?):
            "process.seccomp: there is no system call \"\(name)\"; did you mean \"\(nearest)\"?"
        case .unknownCall(let name, nil):
            "process.seccomp: there is no system call \"\(name)\"; names are those of the manual's section 2"
        case .forbiddenCall(let name, let reason):
            "process.seccomp: \"\(name)\" can never be allowed: \(reason)"
        case .compiler(let step, let errno):
            "seccomp filter: \(step) failed with errno \(errno); without extra system calls in process.seccomp the "
                + "finished filter of the program is used"
        case .unexpectedProgram(let what):
            "seccomp filter: libseccomp's program is not understood (\(what)); without extra system calls in "
                + "process.seccomp the finished filter of the program is used"
        }
    }
}
