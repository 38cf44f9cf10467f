public import Profile

/// What is known of a plan as soon as the profile has been read, before anybody has looked at the host: enough to begin
/// the sandbox's namespaces and the file systems that every sandbox has.
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
}

extension SandboxPlan {
    /// What this plan must have been begun with.
    public var groundwork: Groundwork {
        Groundwork(identity: identity, network: network, capabilities: capabilities, limits: limits)
    }
}

extension Planner {
    /// The part of ``plan(profile:request:machine:host:)`` that asks nothing of the host; nil when that would throw.
    public static func groundwork(profile: Profile, request: LaunchRequest, machine: Machine) -> Groundwork? {
        var errors: [String] = []
        _ = chooseTier(profile: profile, request: request, machine: machine, errors: &errors)
        let capabilities = capabilitySet(profile.process.capabilities, machine: machine, errors: &errors)
        guard errors.isEmpty else { return nil }
        return Groundwork(
            identity: chooseIdentity(request), network: profile.network.mode, capabilities: capabilities,
            limits: resolve(profile.limits, machine))
    }
}
