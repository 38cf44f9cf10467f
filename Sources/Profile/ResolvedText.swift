extension LoadedProfile {
    /// The profile as one TOML text: everything in force, variables expanded, each line with its origin in a comment.
    /// Read again, it gives the same profile, unless one profile of the chain overrides a path of another: in one file
    /// that is a contradiction, and the comments tell the two apart.
    public var resolvedText: String {
        var text = ""
        for source in sources { text += "# from \(source.name)\n" }
        text += "\nname = \(tomlString(profile.name))\n"
        if !profile.description.isEmpty { text += "description = \(tomlString(profile.description))\n" }
        appendSettings(&text, "enforcement", enforcementLines)
        appendFilesystem(&text)
        appendSettings(&text, "process", processLines)
        appendProcessLists(&text)
        appendSettings(&text, "limits", limitLines)
        appendSettings(&text, "network", [(.networkMode, tomlString(profile.network.mode.rawValue))])
        appendSettings(&text, "watchdog", watchdogLines)
        appendSettings(
            &text, "escalation",
            [
                (.escalationKill, "\(profile.escalation.kill)"),
                (.escalationWindow, duration(profile.escalation.windowMilliseconds)),
            ])
        appendSettings(
            &text, "streams",
            [
                (.trace, "\(profile.streams.trace)"), (.reasoning, "\(profile.streams.reasoning)"),
                (.onFailure, tomlString(profile.streams.onFailure.rawValue)),
                (.streamLimit, tomlString(SizeText.describe(bytes: profile.streams.limit))),
            ])
        appendSettings(
            &text, "policy",
            [
                (.policyBundles, tomlString(profile.policy.bundles.rawValue)),
                (.policyRevoke, "\(profile.policy.revoke)"),
            ])
        appendSettings(
            &text, "cache",
            [
                (.cacheOpen, seconds(profile.cache.open)), (.cacheExecute, seconds(profile.cache.execute)),
                (.cacheUse, seconds(profile.cache.use)),
            ])
        return text
    }

    private typealias Line = (key: ProfileKey, value: String)

    private var enforcementLines: [Line] {
        let enforcement = profile.enforcement
        var lines: [Line] = []
        if let tier = enforcement.require { lines.append((.require, tomlString(tier.rawValue))) }
        lines.append((.unknown, tomlString(enforcement.unknown.rawValue)))
        lines.append((.gaps, tomlString(enforcement.gaps.rawValue)))
        return lines
    }

    private var processLines: [Line] {
        var lines: [Line] = []
        if let user = profile.process.user { lines.append((.user, tomlString(user))) }
        lines.append((.nested, "\(profile.process.nested)"))
        return lines
    }

    private var limitLines: [Line] {
        let limits = profile.limits
        func size(_ amount: Profile.Amount?) -> String { tomlString(amount.map(SizeText.describe) ?? "none") }
        func count(_ number: Int?) -> String { number.map { "\($0)" } ?? tomlString("none") }
        return [
            (.memory, size(limits.memory)), (.memoryHigh, size(limits.memoryHigh)),
            (.cpu, tomlString(limits.cpuPercent.map(ProcessorText.describe) ?? "none")),
            (.cpuWeight, count(limits.cpuWeight)), (.pids, count(limits.pids)), (.ioWeight, count(limits.ioWeight)),
            (.files, count(limits.files)), (.fileSize, size(limits.fileSize)), (.tmpSize, size(limits.tmpSize)),
            (.timeout, limits.timeoutMilliseconds.map(duration) ?? tomlString("none")),
        ]
    }

    private var watchdogLines: [Line] {
        let watchdog = profile.watchdog
        return [
            (.watchdogInterval, duration(watchdog.intervalMilliseconds)),
            (.watchdogCPU, tomlString(watchdog.cpuPercent.map(ProcessorText.describe) ?? "none")),
            (.watchdogCPUFor, duration(watchdog.cpuForMilliseconds)),
            (.watchdogMemory, tomlString(watchdog.memory.map(SizeText.describe) ?? "none")),
        ]
    }

    private func appendSettings(_ text: inout String, _ section: String, _ lines: [Line]) {
        text += "\n[\(section)]\n"
        for line in lines {
            let origin = draft.origins[line.key.rawValue].map(\.description) ?? "default"
            text += "\(line.key.shortName) = \(line.value)  # \(printable(origin))\n"
        }
    }

    private func appendFilesystem(_ text: inout String) {
        text += "\n[filesystem]\n"
        for access in PathRule.Access.allCases {
            let rules = profile.filesystem.rules.filter { $0.access == access }
            if rules.isEmpty { continue }
            text += "\(access.rawValue) = [\n"
            for rule in rules {
                let origin = printable(rule.origin.description)
                if case .unavailable(let variable) = rule.pattern {
                    text += "    # skipped, ${\(variable)} has no value: \(printable(rule.text))  # \(origin)\n"
                } else {
                    text += "    \(tomlString(rule.pattern.description)),  # \(origin)\n"
                }
            }
            text += "]\n"
        }
    }

    private func appendProcessLists(_ text: inout String) {
        let process = profile.process
        for (name, values, origins) in [
            ("capabilities", process.capabilities, draft.capabilityOrigins),
            ("seccomp", process.seccomp, draft.seccompOrigins),
            ("environment", process.environment, draft.environmentOrigins),
        ] where !values.isEmpty {
            text += "\(name) = [\n"
            // What the command line adds to the profile afterwards has no origin here.
            for (index, value) in values.enumerated() {
                let origin = index < origins.count ? origins[index].description : "command line"
                text += "    \(tomlString(value)),  # \(printable(origin))\n"
            }
            text += "]\n"
        }
    }

    private func seconds(_ seconds: Int) -> String { tomlString("\(seconds)s") }

    private func duration(_ milliseconds: Int) -> String {
        tomlString(DurationText.describe(milliseconds: milliseconds))
    }
}

extension PathPattern: CustomStringConvertible {
    /// The pattern as a profile would write it, variables expanded.
    public var description: String {
        switch self {
        case .path(let path): path
        case .glob(let folder, let name): folder == "/" ? "/" + name : folder + "/" + name
        case .suffix(let names): "**/" + names.joined(separator: "/")
        case .unavailable(let variable): "${\(variable)}"
        }
    }
}

/// A basic string of TOML.
private func tomlString(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case _ where scalar.value < 0x20 || scalar.value == 0x7F:
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

/// Fit for a comment: no control characters.
private func printable(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        result.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? "?" : scalar)
    }
    return result
}
