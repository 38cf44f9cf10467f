import JSONText
import LinuxSystem

/// Why a record could not be made, kept or read.
public struct RecordError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was being done: "make the session folder".
    public let action: String
    /// To what: nearly always a path.
    public let object: String
    /// What the kernel said; `nil` when the refusal is ours.
    public let errno: Errno?
    /// What is wrong, when the refusal is ours.
    public let problem: String?
    /// What to try.
    public let remedy: String

    init(_ action: String, _ object: String, _ answer: Errno, option: String = "--record", remedy: String? = nil) {
        self.action = action
        self.object = object
        errno = answer
        problem = nil
        self.remedy = remedy ?? answer.remedy(option)
    }

    init(_ action: String, _ object: String, problem: String, remedy: String) {
        self.action = action
        self.object = object
        errno = nil
        self.problem = problem
        self.remedy = remedy
    }

    /// One line, fit for a terminal.
    public var description: String {
        let reason = errno?.description ?? problem ?? "refused"
        return "cannot \(action) \(TerminalText.escaped(object)): \(TerminalText.escaped(reason)); \(remedy)"
    }
}

extension Errno {
    /// What helps against the usual causes.
    fileprivate func remedy(_ option: String) -> String {
        switch code {
        case ENOSPC, EDQUOT: "free some space there, or choose another place with \(option)"
        case EROFS: "choose a place that can be written with \(option)"
        case EACCES, EPERM: "choose a place you may write to with \(option)"
        case ENOENT: "make the folder, or choose another with \(option)"
        case EMFILE, ENFILE: "raise the limit of open files"
        case EIO: "check the disk, or choose another place with \(option)"
        default: "choose another place with \(option)"
        }
    }
}
