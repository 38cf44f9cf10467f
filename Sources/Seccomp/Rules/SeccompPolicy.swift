/// Which system call filter a sandbox gets.
public struct SeccompPolicy: Sendable, Hashable {
    /// Lifts what a program needs that builds a sandbox of its own for its children, as Chromium does: new user, pid,
    /// network, mount, IPC and UTS namespaces by `clone` and `unshare`, `setns`, `chroot`. Mounting stays refused, so
    /// bubblewrap does not work inside. The price: the agent may own namespaces, hold every capability over them, and
    /// so reach kernel code (network configuration above all) that it cannot reach otherwise.
    public var nested: Bool
    /// System calls allowed in addition to the table, by name. ``SeccompTable/check(extra:)`` says which may be.
    public var extra: [String]
    public var report: Report

    /// What the filter hands to the supervisor through a seccomp listener (`seccomp_unotify(2)`).
    public enum Report: UInt8, Sendable, Hashable, CaseIterable {
        /// Nothing: refused calls fail with EPERM on the spot. Needs no listener.
        case none
        /// Refused calls wait for the supervisor, which records them and answers EPERM. Never "continue".
        case refusals
        /// Also calls that change a path: the supervisor looks at the path, and always answers "continue". This is
        /// observation; what is protected is protected by mounts, since the agent can swap the path meanwhile.
        case refusalsAndWrites
    }

    public init(nested: Bool = false, extra: [String] = [], report: Report = .none) {
        self.nested = nested
        self.extra = extra
        self.report = report
    }
}

extension SeccompPolicy {
    /// Sets of extra calls that come with a finished filter. Debuggers and LeakSanitizer ask for ptrace so often that a
    /// profile naming it alone should not pay libseccomp's 1.4 ms at each start.
    package static let embeddedExtras: [[String]] = [[], ["ptrace"]]

    /// Every policy whose filter is finished when the package is built, in the order of their index.
    package static var embedded: [SeccompPolicy] {
        embeddedExtras.flatMap { extra in
            [false, true].flatMap { nested in
                Report.allCases.map { SeccompPolicy(nested: nested, extra: extra, report: $0) }
            }
        }
    }

    /// The index of the finished filter; `nil` when this policy's extra calls have to be compiled.
    package var embeddedIndex: Int? {
        // Of `embeddedExtras`, by hand: every start comes here, and making that list and sets of it takes the runtime
        // longer than all the rest of choosing a filter.
        let extras: Int
        if extra.isEmpty { extras = 0 } else if extra.allSatisfy({ $0 == "ptrace" }) { extras = 1 } else { return nil }
        return (extras * 2 + (nested ? 1 : 0)) * Report.allCases.count + Int(report.rawValue)
    }
}

extension SeccompPolicy: CustomStringConvertible {
    /// "allow-list, nested sandboxes, plus ptrace, refusals reported"
    public var description: String {
        var parts = ["allow-list"]
        if nested { parts.append("nested sandboxes") }
        if !extra.isEmpty { parts.append("plus " + extra.joined(separator: " ")) }
        switch report {
        case .none: break
        case .refusals: parts.append("refusals reported")
        case .refusalsAndWrites: parts.append("refusals and writes reported")
        }
        return parts.joined(separator: ", ")
    }
}
