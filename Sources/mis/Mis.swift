import ArgumentParser

struct Mis: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mis",
        abstract: "Runs an AI agent, or any job, in a space of its own.",
        version: Version.text,
        subcommands: [RunCommand.self, DoctorCommand.self, ProfileCommand.self, PolicyCommand.self]
    )
}
