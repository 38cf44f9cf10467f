import ArgumentParser
import HostView
import LinuxSystem
import Profile

/// `mis profile list | show | check`
struct ProfileCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile", abstract: "List, show and check profiles.",
        subcommands: [List.self, Show.self, Check.self])

    /// Profiles as the caller would get them in the current folder.
    private static func surroundings() -> (sources: ProfileSources, variables: Variables) {
        var mistakes: [String] = []
        let caller = RunSetup.caller(user: nil, &mistakes)
        let workspace = (try? readLink("/proc/self/cwd")) ?? "/"
        let owner = caller.account?.user ?? caller.user
        return (
            .machine(home: caller.home, owner: owner),
            Variables(
                workspace: workspace, home: caller.account?.home ?? caller.home, uid: owner,
                gitCommonDirectory: HostProbe.gitCommonFolder(workspace: workspace))
        )
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the profiles that can be named.")

        func run() throws {
            let (sources, variables) = ProfileCommand.surroundings()
            let entries = ProfileCatalog(sources: sources, variables: variables).list()
            let width = (entries.map(\.name.utf8.count).max() ?? 0) + 2
            for entry in entries {
                let name = entry.name + String(repeating: " ", count: width - entry.name.utf8.count)
                let note = entry.isHidden ? " (hidden by one of the same name)" : ""
                let text = entry.mistakes.isEmpty ? entry.description : "has mistakes: see 'mis profile check'"
                Messages.print(Array("\(name)\(entry.place.rawValue)  \(text)\(note)\n".utf8))
            }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print a profile.")

        @Argument(help: "A profile's name, or a file (with a '/').")
        var name: String

        @Flag(help: "With everything it extends and every variable expanded; each line says where it comes from.")
        var resolved = false

        func run() throws {
            let loaded = try ProfileCommand.load(name)
            Messages.print(Array((resolved ? loaded.resolvedText : loaded.text).utf8))
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check profile files; every mistake is told, with its place and what would be right.")

        @Argument(help: "Files, or names of profiles.")
        var files: [String]

        func run() throws {
            var isClean = true
            for file in files {
                do {
                    _ = try ProfileCommand.load(file.contains("/") || !file.hasSuffix(".toml") ? file : "./" + file)
                    Messages.print(Array("\(file): no mistakes\n".utf8))
                } catch {
                    isClean = false
                }
            }
            if !isClean { throw ExitCode(1) }
        }
    }

    /// Loads, or says everything that is wrong.
    static func load(_ name: String) throws -> LoadedProfile {
        let (sources, variables) = surroundings()
        do {
            return try ProfileLoader(sources: sources, variables: variables).load(name)
        } catch {
            for mistake in error.mistakes { Messages.say(mistake.description) }
            throw ExitCode(1)
        }
    }
}
