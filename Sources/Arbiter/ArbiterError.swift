public import LinuxSystem

/// Why the kernel arbiter cannot be had, or what of it failed.
public enum ArbiterError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A call failed: what, on what, the kernel's answer, what to try.
    case system(SystemError)
    /// The kernel took not all of the programs: which one, and what the loader said.
    case notLoaded(String, Errno)
    /// Something in the folder of pins is not ours.
    case foreignPin(String)
    /// Programs that were attached by these pins are not any more: the folder of links, and their names.
    case incomplete(String, [String])
    /// No room: which table, and how large it is.
    case full(String, Int)
    /// A rule that the kernel side cannot hold, and why.
    case rule(String, String)

    public var description: String {
        switch self {
        case .system(let error): error.description
        case .notLoaded(let what, let errno): "loading the kernel's programs: \(errno); \(what)"
        case .foreignPin(let path):
            "\(path) was not put there by this program; remove it (unlink, or rm -r on the folder) and start again"
        case .incomplete(let folder, let missing):
            "\(folder): \(missing.joined(separator: ", ")) \(missing.count == 1 ? "is" : "are") no longer attached; "
                + "end the sandboxes of this machine, remove the folder above (rm -r) and start again"
        case .full(let table, let room):
            "the kernel's table of \(table) is full (\(room)); end a sandbox or use fewer rules"
        case .rule(let rule, let reason): "rule \(rule): \(reason)"
        }
    }
}

/// Makes one call of the shim; -1 becomes an ``ArbiterError`` that names the deed.
@discardableResult
func attempt<Result: SignedInteger>(
    _ doing: String, _ object: String = "", remedy: String? = nil, _ call: () -> Result
) throws(ArbiterError) -> Result {
    do { return try kernel(call) } catch { throw .system(error.doing(doing, object, remedy: remedy)) }
}
