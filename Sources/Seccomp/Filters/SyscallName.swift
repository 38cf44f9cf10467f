import CSeccompFilters
public import SeccompRules

/// Numbers to names, for records and for whoever answers notifications. Read from arrays in the binary: costs nothing
/// at start.
public enum SyscallName {
    /// The name of a system call of this machine's architecture; `nil` for a number the table does not know.
    public static func name(_ number: Int32) -> String? {
        guard let index = UInt32(exactly: number), let name = unsafe mis_seccomp_name(index) else { return nil }
        return unsafe String(cString: name)
    }

    /// The number of a system call; `nil`: there is none of this name. Looks through all of them.
    public static func number(_ name: String) -> UInt32? {
        (0..<mis_seccomp_number_count()).first { self.name(Int32($0)) == name }
    }
}

extension SeccompTable {
    /// What a notification about a system call asks of the supervisor.
    public enum Notice: Sendable, Hashable {
        /// Record it and answer EPERM, never "continue". `counts`: it is a violation; where false, honest programs try
        /// the call too (runtimes probing, debuggers), and it must not raise the threat level.
        case refused(counts: Bool)
        /// Look at the path, and answer "continue" whatever it is.
        case observed
    }

    /// The meaning of a notification about this number; `nil` for one that no filter notifies. Answer that one with
    /// EPERM as well.
    public static func notice(_ number: Int32) -> Notice? {
        guard let index = UInt32(exactly: number) else { return nil }
        let bits = Int32(mis_seccomp_notice(index))
        if bits & MIS_SECCOMP_OBSERVED != 0 { return .observed }
        if bits & MIS_SECCOMP_REFUSABLE != 0 { return .refused(counts: bits & MIS_SECCOMP_COUNTS != 0) }
        return nil
    }

    /// Every call that is refused and recorded, with some arguments at least, by number.
    public static var refusals: [(name: String, number: Int32)] {
        (0..<Int32(mis_seccomp_number_count())).compactMap { number in
            guard case .refused = notice(number), let name = SyscallName.name(number) else { return nil }
            return (name, number)
        }
    }
}
