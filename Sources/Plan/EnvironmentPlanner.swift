import Profile

/// The agent's environment: only what the profile or the command line names.
enum EnvironmentPlanner {
    static func plan(profile: Profile, request: LaunchRequest, identity: AgentIdentity) -> [EnvironmentVariable] {
        // mis's own variables speak to mis, not to the agent.
        let caller = request.environment.filter { !$0.name.hasPrefix("MIS_") }.map { (name: $0.name, value: $0.value) }
        var process = profile.process
        process.environment += request.environmentOptions
        var result: [String: String] = [:]
        for (name, value) in process.filteredEnvironment(caller) { result[name] = value }
        result["HOME"] = identity.home
        result["USER"] = identity.name
        result["LOGNAME"] = identity.name
        if result["PATH"] == nil { result["PATH"] = "/usr/local/bin:/usr/bin:/bin" }
        result["MIS_SESSION"] = request.session
        if profile.streams.reasoning { result["MIS_REASONING_FD"] = "3" }
        return result.sorted { $0.key < $1.key }.map { EnvironmentVariable($0.key, $0.value) }
    }
}
