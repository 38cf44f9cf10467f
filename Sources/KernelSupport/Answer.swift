/// What the machine said when asked whether it has something.
public enum Answer: Sendable, Equatable {
    case yes
    /// Why not, in words for a person.
    case no(String)

    public var isYes: Bool { self == .yes }

    public var reason: String? {
        if case .no(let reason) = self { return reason }
        return nil
    }
}
