import KernelSupport
import Launch

/// A failed launch, explained: what failed, and its likely cause on this machine with the remedy.
enum FailureText {
    static func explain(_ failure: LaunchFailure) -> String {
        var text = "set-up failed, nothing ran: \(failure)"
        if let hint = hint(failure) { text += ". Likely: \(hint)" }
        return text
    }

    static func hint(_ failure: LaunchFailure) -> LaunchFailureHint? {
        guard let deed = deed(failure) else { return nil }
        // Only now: the full look at the machine takes its time.
        let support = KernelSupport.fullProbe(stateFolder: "/")
        return LaunchFailureHint.cause(of: deed, errno: failure.error.errno.code, support: support)
    }

    /// The step's own words know more than the system call's number.
    private static func deed(_ failure: LaunchFailure) -> LaunchFailureHint.Deed? {
        switch failure.error.doing {
        case "writing the id map": .idMap
        case "making the agent's user namespace", "cloning the sandbox": .userNamespace
        case "making a proc for": .procMount
        default: failure.call.flatMap(LaunchFailureHint.Deed.init(systemCall:))
        }
    }
}
