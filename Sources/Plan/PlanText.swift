import HostView
public import JSONText
import Profile

/// A plan for people (`--dry-run`) and for programs (`--dry-run --json`).
public enum PlanText {
    public static func readable(_ plan: SandboxPlan) -> [UInt8] {
        var lines: [String] = []
        func line(_ name: String, _ value: String) { lines.append(name.padded(to: 14) + value) }
        line("profile", plan.profile)
        line("tier", plan.tier.rawValue)
        line("command", plan.command.joined(separator: " "))
        line("workspace", plan.workspace)
        line("folder", plan.workingFolder)
        let identity = plan.identity
        line(
            "runs as",
            "\(identity.name) (uid \(identity.insideUser) inside, \(identity.hostUser) on the host), home \(identity.home)"
        )
        line("network", plan.network.rawValue)
        line("capabilities", plan.capabilities == 0 ? "none" : capabilities(plan.capabilities))
        line("system calls", plan.seccomp.description)
        line("limits", limits(plan))
        lines.append("file system")
        for mount in plan.mounts { lines.append("  " + describe(mount)) }
        for link in plan.links { lines.append("  symlink    \(link.path) -> \(link.target)") }
        for file in plan.homeFiles { lines.append("  copied     \(file.path), written back") }
        for pattern in plan.homePatterns { lines.append("  written back \(pattern.folder)/\(pattern.glob)") }
        for name in plan.protectedNames { lines.append("  watched    \(name.path): may not come to be") }
        if !plan.skipped.isEmpty {
            lines.append("not there")
            lines += plan.skipped.map { "  " + $0 }
        }
        lines.append("environment")
        lines.append("  " + plan.environment.map(\.name).joined(separator: " "))
        lines.append("not enforced")
        lines += plan.unenforced.isEmpty ? ["  nothing"] : plan.unenforced.map { "  " + $0 }
        return Array(
            (lines.map { TerminalText.escaped(Array($0.utf8)) }
                .joined(separator: "\n") + "\n").utf8)
    }

    private static func capabilities(_ set: UInt64) -> String {
        (0..<64).filter { set >> UInt64($0) & 1 == 1 }.map(CapabilityNames.name).joined(separator: " ")
    }

    private static func limits(_ plan: SandboxPlan) -> String {
        let limits = plan.limits
        var parts: [String] = []
        if let memory = limits.memory { parts.append("memory \(SizeText.describe(bytes: memory))") }
        if let high = limits.memoryHigh { parts.append("memory-high \(SizeText.describe(bytes: high))") }
        if let percent = limits.cpuPercent { parts.append("cpu \(percent)%") }
        if let weight = limits.cpuWeight { parts.append("cpu-weight \(weight)") }
        if let pids = limits.pids { parts.append("pids \(pids)") }
        if let weight = limits.ioWeight { parts.append("io-weight \(weight)") }
        if let files = limits.files { parts.append("files \(files)") }
        if let size = limits.fileSize { parts.append("file-size \(SizeText.describe(bytes: size))") }
        if let size = limits.tmpSize { parts.append("tmp-size \(SizeText.describe(bytes: size))") }
        if let time = plan.timeoutMilliseconds { parts.append("timeout \(DurationText.describe(milliseconds: time))") }
        return parts.isEmpty ? "none" : parts.joined(separator: ", ")
    }

    private static func describe(_ mount: PlannedMount) -> String {
        let word: String
        var more = ""
        switch mount.kind {
        case .bind(let source, _, _, _):
            word = mount.readOnly ? "read" : "write"
            if source != mount.target { more = " from \(source)" }
        case .tmpfs(let size, _, _):
            word = "tmpfs"
            if let size { more = " of \(SizeText.describe(bytes: size))" }
        case .mask: word = "denied"
        case .synthetic: word = "own file"
        }
        return word.padded(to: 11) + mount.target + more + (mount.executable ? ", programs run" : "")
            + " (\(mount.origin))"
    }

    public static func json(_ plan: SandboxPlan) -> [UInt8] {
        var writer = JSONWriter(pretty: true)
        writer.object { writer in
            writer.member("session", plan.session)
            writer.member("profile", plan.profile)
            writer.member("tier", plan.tier.rawValue)
            writer.member("command", plan.command)
            writer.member("workspace", plan.workspace)
            writer.member("folder", plan.workingFolder)
            writer.object("identity") { writer in
                writer.member("kind", plan.identity.kind.rawValue)
                writer.member("host_uid", plan.identity.hostUser)
                writer.member("host_gid", plan.identity.hostGroup)
                writer.member("uid", plan.identity.insideUser)
                writer.member("gid", plan.identity.insideGroup)
                writer.member("name", plan.identity.name)
                writer.member("home", plan.identity.home)
            }
            writer.member("network", plan.network.rawValue)
            writer.member("nested", plan.nested)
            writer.member(
                "capabilities",
                (0..<64).filter { plan.capabilities >> UInt64($0) & 1 == 1 }.map(CapabilityNames.name))
            writer.member("seccomp", plan.seccomp.description)
            writer.member("landlock", plan.landlock.rules)
            writer.object("limits") { writer in
                writer.member("memory", plan.limits.memory)
                writer.member("memory_high", plan.limits.memoryHigh)
                writer.member("cpu_percent", plan.limits.cpuPercent)
                writer.member("cpu_weight", plan.limits.cpuWeight)
                writer.member("pids", plan.limits.pids)
                writer.member("io_weight", plan.limits.ioWeight)
                writer.member("files", plan.limits.files)
                writer.member("file_size", plan.limits.fileSize)
                writer.member("tmp_size", plan.limits.tmpSize)
                writer.member("timeout_ms", plan.timeoutMilliseconds)
            }
            writer.member("mounts", plan.mounts)
            writer.member("copied", plan.homeFiles.map(\.path))
            writer.member("watched", plan.protectedNames.map(\.path))
            writer.member("skipped", plan.skipped)
            writer.member("environment", plan.environment.map(\.name))
            writer.member("unenforced", plan.unenforced)
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }
}

extension LandlockPlan.Rule: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("path", path)
            writer.member("access", access)
        }
    }
}

extension PlannedMount: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("target", target)
            switch kind {
            case .bind(let source, _, _, _):
                writer.member("kind", "bind")
                writer.member("source", source)
            case .tmpfs(let size, _, _):
                writer.member("kind", "tmpfs")
                writer.member("size", size)
            case .mask: writer.member("kind", "mask")
            case .synthetic: writer.member("kind", "synthetic")
            }
            writer.member("read_only", readOnly)
            writer.member("executable", executable)
            writer.member("idmapped", idmap != nil)
            writer.member("origin", origin)
        }
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(width - utf8.count, 1))
    }
}
