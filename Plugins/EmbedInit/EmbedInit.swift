import Foundation
import PackagePlugin

/// Compiles the sandbox's pid 1 (Sources/CInitImage/init) to a static ELF of a few kilobytes and puts it into the
/// binary with `#embed`: the launcher hands it to the sandbox through a memfd, so that neither the launcher's
/// memory nor its file is ever mapped inside.
@main
struct EmbedInit: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let clang = try context.tool(named: "clang").url
        let work = context.pluginWorkDirectoryURL
        let source = target.directoryURL.appending(components: "init", "init.c")
        let sources = target.directoryURL.deletingLastPathComponent()
        let system = sources.appending(components: "CLinux", "include")
        let protocols = sources.appending(components: "CLaunch", "include")
        let template = target.directoryURL.appending(components: "init", "image.c.in")
        let image = work.appending(component: "init.elf")
        let generated = work.appending(component: "init_image.c")
        return [
            .buildCommand(
                displayName: "Compiling the sandbox's init",
                executable: clang,
                arguments: [
                    "-O2", "-std=gnu2x", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-stack-protector",
                    "-fno-pic", "-fno-builtin", "-fno-asynchronous-unwind-tables", "-nostdlib", "-static",
                    "-fuse-ld=lld", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,separate-code", "-Wl,-s",
                    "-I\(system.path)", "-I\(protocols.path)", source.path, "-o", image.path,
                ],
                inputFiles: [
                    source, system.appending(component: "raw_syscall.h"),
                    protocols.appending(component: "init_protocol.h"),
                ],
                outputFiles: [image]),
            .buildCommand(
                displayName: "Embedding the sandbox's init",
                executable: URL(filePath: "/bin/cp"),
                arguments: [template.path, generated.path],
                inputFiles: [template, image],
                outputFiles: [generated]),
        ]
    }
}
