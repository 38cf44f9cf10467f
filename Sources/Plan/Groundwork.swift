public import Profile

/// What is known of a sandbox before its profile has been read: with whose rights it is begun. Enough for its first
/// process, its mount namespace and the file systems that every sandbox has.
public enum Foundation: Equatable, Sendable {
    /// Root's: device nodes can be made, owners set, ids changed in the end.
    case privileged
    /// An ordinary user's: everything is done in a user namespace with these ids.
    case ordinary(AgentIdentity)

    public var isPrivileged: Bool { self == .privileged }
}

/// What is known of a plan as soon as the profile has been read, before anybody has looked at the host: enough for the
/// rest of the namespaces and the limits.
public struct Groundwork: Equatable, Sendable {
    public var identity: AgentIdentity
    public var network: Profile.Network.Mode
    /// Capabilities the agent keeps, a bit each.
    public var capabilities: UInt64
    public var limits: PlannedLimits

    public init(identity: AgentIdentity, network: Profile.Network.Mode, capabilities: UInt64, limits: PlannedLimits) {
        self.identity = identity
        self.network = network
        self.capabilities = capabilities
        self.limits = limits
    }

    /// What the sandbox must have been begun on.
    public var foundation: Foundation { Foundation(of: identity) }
}

extension Foundation {
    fileprivate init(of identity: AgentIdentity) {
        self = identity.kind == .ordinary ? .ordinary(identity) : .privileged
    }
}

extension SandboxPlan {
    /// What this plan must have been begun with.
    public var groundwork: Groundwork {
        Groundwork(identity: identity, network: network, capabilities: capabilities, limits: limits)
    }
}

extension Planner {
    /// The part of ``groundwork(profile:request:machine:)`` that is known without a profile.
    public static func foundation(caller: Invoker, launcher: Int32) -> Foundation {
        Foundation(of: chooseIdentity(caller, launcher: launcher))
    }

    /// The part of ``plan(profile:request:machine:host:)`` that asks nothing of the host; nil when that would throw.
    public static func groundwork(profile: Profile, request: LaunchRequest, machine: Machine) -> Groundwork? {
        var errors: [String] = []
        _ = chooseTier(profile: profile, request: request, machine: machine, errors: &errors)
        let capabilities = capabilitySet(profile.process.capabilities, machine: machine, errors: &errors)
        guard errors.isEmpty else { return nil }
        return Groundwork(
            identity: chooseIdentity(request.caller, launcher: request.launcher), network: profile.network.mode,
            capabilities: capabilities,
            limits: resolve(profile.limits, machine))
    }
}
