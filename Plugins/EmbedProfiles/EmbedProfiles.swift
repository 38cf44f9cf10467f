import Foundation
import PackagePlugin

/// Puts profiles/*.toml into the binary, as texts: see Sources/embed-profiles.
@main
struct EmbedProfiles: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let folder = context.package.directoryURL.appending(component: "profiles")
            .resolvingSymlinksInPath()
        let profiles = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "toml" }
            .sorted { $0.path < $1.path }
        let generated = context.pluginWorkDirectoryURL.appending(component: "EmbeddedProfiles.swift")
        return [
            .buildCommand(
                displayName: "Embedding the built-in profiles",
                executable: try context.tool(named: "embed-profiles").url,
                arguments: [generated.path] + profiles.map(\.path),
                inputFiles: profiles,
                outputFiles: [generated])
        ]
    }
}
