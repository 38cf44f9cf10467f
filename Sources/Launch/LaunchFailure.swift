public import LinuxSystem

/// A launch that did not come about: nothing of the agent has run.
public struct LaunchFailure: Error, Sendable, CustomStringConvertible {
    /// What was being done (`binding`), to what, and the kernel's answer.
    public var error: SystemError
    /// The system call that failed inside the step, when the child said so.
    public var call: Int32?

    public init(_ error: SystemError, call: Int32? = nil) {
        self.error = error
        self.call = call
    }

    public var description: String { error.description }
}
