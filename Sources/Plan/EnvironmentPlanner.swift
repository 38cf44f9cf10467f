import Profile

/// The agent's environment: only what the profile or the command line names.
enum EnvironmentPlanner {
    static func plan(profile: Profile, request: LaunchRequest, identity: AgentIdentity) -> [EnvironmentVariable] {
        var result: [EnvironmentVariable] = []
        func set(_ name: String, _ value: String) {
            if let index = result.firstIndex(where: { $0.name == name }) {
                result[index].value = value
            } else {
                result.append(EnvironmentVariable(name, value))
            }
        }
        for entry in profile.process.environment + request.environmentOptions {
            if let equals = entry.firstIndex(of: "=") {
                set(String(entry[..<equals]), String(entry[entry.index(after: equals)...]))
            } else if entry.hasSuffix("*") {
                let prefix = entry.dropLast()
                for variable in request.environment where variable.name.hasPrefix(prefix) && !isOurs(variable.name) {
                    set(variable.name, variable.value)
                }
            } else if let variable = request.environment.last(where: { $0.name == entry }) {
                set(entry, variable.value)
            }
        }
        set("HOME", identity.home)
        set("USER", identity.name)
        set("LOGNAME", identity.name)
        if !result.contains(where: { $0.name == "PATH" }) {
            set("PATH", "/usr/local/bin:/usr/bin:/bin")
        }
        set("MIS_SESSION", request.session)
        if profile.streams.reasoning { set("MIS_REASONING_FD", "3") }
        return result
    }

    /// mis's own variables speak to mis, not to the agent.
    private static func isOurs(_ name: String) -> Bool { name.hasPrefix("MIS_") }
}
