import Foundation
import PackagePlugin

/// Runs seccomp-compiler and compiles what it writes into the target, so that a plain `swift build` puts finished
/// seccomp filters in the binary: building one takes libseccomp longer than a whole launch may last.
@main
struct EmbedSeccomp: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let compiler = try context.tool(named: "seccomp-compiler").url
        let generated = context.pluginWorkDirectoryURL.appending(component: "seccomp_filters.c")
        return [
            .buildCommand(
                displayName: "Compiling seccomp filters",
                executable: compiler,
                arguments: [generated.path],
                inputFiles: [],
                outputFiles: [generated])
        ]
    }
}
