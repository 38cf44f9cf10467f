public import LinuxSystem

/// What the rules say of a place.
public struct PathVerdict: Sendable, Equatable {
    public enum Access: UInt8, Sendable {
        case denied
        /// May be read, listed and, if it says so, executed; never changed.
        case readOnly
        case full
    }

    public var access: Access
    public var mayExecute: Bool
    /// The deciding rule; -1: no rule speaks of the place.
    public var rule: Int32
    /// No rule speaks of the place, and it is let through to be recorded.
    public var isTraced: Bool
    /// Nothing inside can move another object to this place, or this object to another: the fast path may settle it for
    /// good. See ``FanotifyArbiter`` for what that takes.
    public var isSettled: Bool
    /// A `deny` or `protect` rule speaks of the place: to change it is an attempt, not a mistake.
    public var isGuarded: Bool

    public init(
        access: Access, mayExecute: Bool, rule: Int32 = -1, isTraced: Bool = false, isSettled: Bool = false,
        isGuarded: Bool = false
    ) {
        self.access = access
        self.mayExecute = mayExecute
        self.rule = rule
        self.isTraced = isTraced
        self.isSettled = isSettled
        self.isGuarded = isGuarded
    }

    public static let denied = PathVerdict(access: .denied, mayExecute: false)
}

/// Rules by place. Asked at every open: answers must allocate nothing.
public protocol PathDecider: AnyObject {
    /// The verdict for an absolute path as the sandbox sees it, lexically normal, no trailing NUL.
    func verdict(_ path: borrowing Span<UInt8>) -> PathVerdict

    /// The rule behind a verdict, for messages.
    func reference(_ rule: Int32) -> RuleReference
}

/// Knows which objects once had a name that a pattern denies, and were renamed away from it.
public protocol TakenNames: AnyObject {
    /// - Parameters:
    ///   - identity: the object about to be opened.
    ///   - path: where it lies, as seen inside.
    ///   - event: a descriptor of it.
    func taken(_ identity: ObjectIdentity, path: borrowing Span<UInt8>, event: Int32) -> TakenName
}

/// What is known of an object's former names.
public enum TakenName: Sendable, Equatable {
    /// None was denied.
    case none
    /// One was, by this rule.
    case denied(Int32)
    /// Somebody keeps renaming on the way to it.
    case undecidable
}
