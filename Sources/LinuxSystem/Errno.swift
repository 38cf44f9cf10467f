/// What the kernel answered. The one place where a C result of -1 becomes a Swift error is ``kernel(_:)``.
public struct Errno: Error, Equatable, Sendable, CustomStringConvertible {
    public let code: Int32

    @inlinable
    public init(_ code: Int32) { self.code = code }

    /// The symbol of errno(3), such as `EACCES`.
    public var name: String { unsafe String(cString: clinux_errno_name(code)) }

    /// The symbol and libc's sentence: `EACCES (Permission denied)`.
    public var description: String { unsafe "\(name) (\(String(cString: strerror(code))))" }

    @inlinable static var current: Errno { Errno(errno) }
}

/// Makes one system call; -1 becomes an ``Errno``, EINTR is tried again.
///
/// EBADF and EFAULT are mistakes of the caller, never of the world: they trap in debug builds.
///
/// Inlined, so that no start has the runtime look up how the result's type compares.
@inlinable
@discardableResult
public func kernel<Result: SignedInteger>(_ call: () -> Result) throws(Errno) -> Result {
    while true {
        let result = call()
        if result != -1 { return result }
        let error = Errno.current
        if error.code == EINTR { continue }
        assert(error.code != EBADF && error.code != EFAULT, "\(error) is a mistake of ours")
        throw error
    }
}

/// A failed step, told to a person: what was being done, to what, what the kernel said, and what to try.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    public var doing: String
    public var object: String
    public var errno: Errno
    public var remedy: String?

    public init(_ doing: String, _ object: String, _ errno: Errno, remedy: String? = nil) {
        self.doing = doing
        self.object = object
        self.errno = errno
        self.remedy = remedy
    }

    public var description: String {
        let sentence = object.isEmpty ? "\(doing): \(errno)" : "\(doing) \(object): \(errno)"
        return remedy.map { "\(sentence); \($0)" } ?? sentence
    }
}

extension Errno {
    /// The same answer with the deed named.
    public func doing(_ deed: String, _ object: String = "", remedy: String? = nil) -> SystemError {
        SystemError(deed, object, self, remedy: remedy)
    }
}
