import Testing

@testable import Profile

/// What the built-in profiles promise.
@Suite struct BuiltinTests {
    private func builtIn(_ name: String) throws -> Profile {
        try ProfileLoader(sources: .builtIn, variables: variables).load(name).profile
    }

    private func decisions(_ name: String) throws -> (String) -> Decision {
        let set = RuleSet(try builtIn(name).filesystem.rules)
        return { set.access(for: $0) }
    }

    @Test func names() { #expect(BuiltinProfiles.names == ["agent", "default", "job"]) }

    @Test(arguments: ["agent", "default", "job"])
    func theWorkspaceIsWritableAndTheSystemIsNot(name: String) throws {
        let at = try decisions(name)
        #expect(at("/srv/project/src/x.c").mayWrite)
        #expect(at("/srv/project/build/x").mayExecute)
        #expect(at("/srv/other").access == nil)
        for folder in ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt"] {
            #expect(at(folder + "/x").access == .read)
            #expect(at(folder + "/x").mayExecute)
        }
        #expect(at("/etc/passwd").access == .read)
        #expect(!at("/etc/passwd").mayExecute)
        #expect(at("/tmp/x").mayWrite)
        for path in ["/root/x", "/home/dev/x", "/home/other/x", "/var/lib/x", "/proc/1/mem", "/srv/x", "/boot/x"] {
            #expect(at(path).access == nil, "\(path)")
        }
    }

    @Test(arguments: ["agent", "default", "job"])
    func secretsAreDenied(name: String) throws {
        let at = try decisions(name)
        for path in [
            "~/.ssh/id_ed25519", "~/.gnupg/x", "~/.aws/credentials", "~/.azure/x", "~/.config/gcloud/x",
            "~/.kube/config",
            "~/.docker/config.json", "~/.git-credentials", "~/.netrc", "~/.npmrc", "~/.pypirc", "~/.vault-token",
            "~/.terraform.d/x", "~/.config/op/x", "~/.password-store/x", "~/.local/share/keyrings/x", "~/.mozilla/x",
            "~/.config/google-chrome/x", "~/.bash_history", "~/.zsh_history", "~/.cargo/credentials.toml",
            "/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/etc/shadow",
            "/etc/gshadow",
            "/etc/sudoers", "/etc/sudoers.d/x", "/etc/ssh/ssh_host_ed25519_key", "/srv/project/.env",
            "/srv/project/a/b/.env", "~/.claude/.env",
        ] {
            let full = path.hasPrefix("~") ? "/home/dev" + path.dropFirst() : path
            #expect(at(full).access == .deny, "\(path)")
        }
        // The allowed beside the denied.
        for path in ["~/.ssh/known_hosts", "~/.ssh/config", "~/.gitconfig", "~/.config/git/ignore"] {
            #expect(at("/home/dev" + path.dropFirst()).mayRead, "\(path)")
            #expect(!at("/home/dev" + path.dropFirst()).mayWrite, "\(path)")
        }
        #expect(at("/etc/ssh/ssh_config").mayRead)
        #expect(at("/srv/project/.envrc").mayRead)
        #expect(at("/srv/project/env").mayWrite)
    }

    @Test(arguments: ["agent", "default", "job"])
    func whatOthersWillRunIsProtected(name: String) throws {
        let at = try decisions(name)
        for path in [
            ".git/hooks/pre-commit", ".git/config", ".gitconfig", ".gitmodules", ".mcp.json", ".ripgreprc",
            ".vscode/tasks.json",
            ".idea/x", ".claude/commands/x", ".claude/agents/x", ".envrc", ".husky/pre-commit", ".bashrc", ".profile",
            ".zshrc",
        ] {
            #expect(at("/srv/project/" + path).access == .protect, "\(path)")
        }
        for path in ["~/.bashrc", "~/.zshrc", "~/.profile", "~/.gitconfig", "~/.local/bin/x"] {
            #expect(!at("/home/dev" + path.dropFirst()).mayWrite, "\(path)")
        }
        for path in [".git/index", ".git/objects/x", ".git/refs/heads/x", ".claude/x", "bashrc"] {
            #expect(at("/srv/project/" + path).mayWrite, "\(path)")
        }
    }

    @Test func hooksOfTheCommonDirectory() throws {
        let worktree = Variables(
            workspace: "/srv/tree", home: "/home/dev", uid: 1000, gitCommonDirectory: "/srv/main/.git")
        let rules = try ProfileLoader(sources: .builtIn, variables: worktree).load("default").profile.filesystem.rules
        #expect(RuleSet(rules).access(for: "/srv/main/.git/hooks/x").access == .protect)
        let outside = Variables(workspace: "/srv/tree", home: "/home/dev", uid: 1000, gitCommonDirectory: nil)
        let without = try ProfileLoader(sources: .builtIn, variables: outside).load("default").profile.filesystem.rules
        #expect(without.filter { $0.pattern == .unavailable(variable: "GIT_COMMON_DIR") }.count == 2)
    }

    @Test func limitsOfDefault() throws {
        let profile = try builtIn("default")
        #expect(profile.limits.memory == .bytes(2 << 30))
        #expect(profile.limits.memoryHigh == .bytes(1_932_735_283))
        #expect(profile.limits.cpuPercent == 80)
        #expect(profile.limits.pids == 512)
        #expect(profile.limits.ioWeight == 100)
        #expect(profile.network.mode == .none)
        #expect(profile.process.capabilities == [])
        #expect(profile.enforcement.unknown == .deny)
        #expect(profile.enforcement.gaps == .report)
        #expect(profile.escalation.kill == 15)
        #expect(profile.escalation.windowMilliseconds == 60_000)
        #expect(profile.watchdog.intervalMilliseconds == 5000)
        #expect(profile.watchdog.cpuPercent == 100)
        #expect(profile.watchdog.cpuForMilliseconds == 30_000)
        #expect(profile.watchdog.memory == .bytes(2 << 30))
    }

    @Test func limitsOfJobAndAgent() throws {
        let job = try builtIn("job")
        #expect(job.enforcement.gaps == .refuse)
        #expect(job.limits.timeoutMilliseconds == 3_600_000)
        #expect(job.limits.memory == .bytes(2 << 30))
        let agent = try builtIn("agent")
        #expect(agent.enforcement.gaps == .report)
        #expect(agent.limits.memory == .percentOfMemory(75))
        #expect(agent.limits.cpuPercent == nil)
        #expect(agent.limits.cpuWeight == 50)
        #expect(agent.limits.pids == 4096)
        #expect(agent.watchdog.cpuPercent == nil)
        #expect(agent.network.mode == .none)
    }

    @Test func onlyTheAgentGetsToItsToolsAndState() throws {
        let plain = try decisions("default")
        let agent = try decisions("agent")
        for path in [
            ".claude/x", ".claude.json", ".claude.json.tmp.123", ".codex/x", ".aider.chat.history.md",
            ".config/opencode/x",
            ".npm/x", ".cache/pip/x", ".cargo/registry/x", "go/pkg/x", ".config/mini-swe-agent/.x",
        ] {
            #expect(agent("/home/dev/" + path).mayWrite, "\(path)")
            #expect(!plain("/home/dev/" + path).mayRead, "\(path)")
        }
        for path in [
            ".cargo/bin/cargo", ".rustup/x", ".nvm/x", ".pyenv/x", ".local/bin/x", ".local/share/claude/x", "go/bin/x",
        ] {
            #expect(agent("/home/dev/" + path).mayRead, "\(path)")
            #expect(agent("/home/dev/" + path).mayExecute, "\(path)")
            #expect(!agent("/home/dev/" + path).mayWrite, "\(path)")
        }
        #expect(agent("/home/dev/go/src/x").access == .read)
        #expect(agent("/home/dev/.cache/other").access == nil)
        #expect(agent("/tmp/x").mayExecute)
        #expect(!plain("/tmp/x").mayExecute)
    }

    @Test func environments() throws {
        let caller = [
            "PATH", "HOME", "TERM", "LC_ALL", "ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "OPENAI_API_KEY",
            "CLAUDE_CONFIG_DIR",
            "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "GITHUB_TOKEN", "GH_TOKEN", "SSH_AUTH_SOCK", "NPM_TOKEN",
            "npm_config_cache", "npm_config__authToken", "PIP_INDEX_URL", "LD_PRELOAD", "BASH_ENV", "DATABASE_URL",
        ].map { (name: $0, value: "x") }
        func names(_ profile: String) throws -> Set<String> {
            Set(try builtIn(profile).process.filteredEnvironment(caller).map(\.name))
        }
        #expect(try names("default") == ["PATH", "HOME", "TERM", "LC_ALL"])
        #expect(
            try names("agent") == [
                "PATH", "HOME", "TERM", "LC_ALL", "ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "OPENAI_API_KEY",
                "CLAUDE_CONFIG_DIR",
                "npm_config_cache", "PIP_INDEX_URL",
            ])
        #expect(try names("job").intersection(["ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN"]).isEmpty)
    }
}
