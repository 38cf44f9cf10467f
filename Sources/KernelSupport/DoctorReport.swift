public import JSONText
public import Profile

/// One thing `mis doctor` looked at.
public struct DoctorCheck: Sendable, Equatable {
    /// Stable: scripts look for it.
    public var id: String
    /// False: something that could be enforced here is not, or not fully.
    public var ok: Bool
    /// What was found.
    public var detail: String
    /// The exact remedy; nil when nothing is wrong.
    public var fix: String?

    public init(_ id: String, ok: Bool, _ detail: String, fix: String? = nil) {
        self.id = id
        self.ok = ok
        self.detail = detail
        self.fix = ok ? nil : fix
    }
}

/// What a machine can enforce, and for each gap how to get it. Made of a ``KernelSupport`` value with its detail;
/// asks the machine nothing itself.
public struct DoctorReport: Sendable, Equatable {
    /// The strongest tier there is; nil: mis cannot run here.
    public var tier: Tier?
    /// `uname -r`.
    public var kernel: String
    public var checks: [DoctorCheck]

    public init(_ support: KernelSupport) {
        tier = support.bestTier
        kernel = support.release
        checks = DoctorChecks(support: support).all()
    }

    public subscript(id: String) -> DoctorCheck? { checks.first { $0.id == id } }
}

extension DoctorReport: JSONWritable {
    /// `{"tier","kernel","checks":[{"id","ok","detail","fix"}]}`; `tier` is null where mis cannot run, `fix` where
    /// nothing is wrong.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("tier", tier?.rawValue)
            writer.member("kernel", kernel)
            writer.member("checks", checks)
        }
    }
}

extension DoctorCheck: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", id)
            writer.member("ok", ok)
            writer.member("detail", detail)
            writer.member("fix", fix)
        }
    }
}

extension DoctorReport {
    /// The report for people: gaps with their remedy below them.
    /// - Parameter colours: on a terminal.
    public func text(colours: Bool = false) -> String {
        let (good, bad, plain) = colours ? ("\u{1B}[32m", "\u{1B}[33m", "\u{1B}[0m") : ("", "", "")
        var text = "tier: \(tier?.rawValue ?? "none: mis cannot run here")\nkernel: \(kernel)\n\n"
        let width = checks.map(\.id.count).max() ?? 0
        for check in checks {
            let name = check.id + String(repeating: " ", count: width - check.id.count)
            let mark = check.ok ? "\(good)ok \(plain)" : "\(bad)gap\(plain)"
            text += "\(mark)  \(name)  \(check.detail)\n"
            guard let fix = check.fix else { continue }
            for (place, line) in fix.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                text += String(repeating: " ", count: width + 7) + (place == 0 ? "fix: " : "     ") + line + "\n"
            }
        }
        let gaps = checks.count { !$0.ok }
        text += gaps == 0 ? "\nno gaps\n" : "\n\(gaps) gap\(gaps == 1 ? "" : "s")\n"
        return text
    }
}
