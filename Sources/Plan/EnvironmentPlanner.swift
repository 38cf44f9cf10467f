import Profile

/// The agent's environment: only what the profile or the command line names.
enum EnvironmentPlanner {
    static func plan(profile: Profile, request: LaunchRequest, identity: AgentIdentity) -> [EnvironmentVariable] {
        // mis's own variables speak to mis, not to the agent.
        let caller = request.environment.filter { !$0.name.hasPrefix("MIS_") }.map { (name: $0.name, value: $0.value) }
        var process = profile.process
        process.environment += request.environmentOptions
        // A few dozen: looking through them costs less than a dictionary's first use.
        var result = process.filteredEnvironment(caller).map { EnvironmentVariable($0.name, $0.value) }
        func set(_ name: String, _ value: String) {
            result.removeAll { $0.name == name }
            result.append(EnvironmentVariable(name, value))
        }
        set("HOME", identity.home)
        set("USER", identity.name)
        set("LOGNAME", identity.name)
        if !result.contains(where: { $0.name == "PATH" }) { set("PATH", "/usr/local/bin:/usr/bin:/bin") }
        set("MIS_SESSION", request.session)
        if profile.streams.reasoning { set("MIS_REASONING_FD", "3") }
        return result.sorted { $0.name < $1.name }
    }
}
