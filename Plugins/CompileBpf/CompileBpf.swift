import Foundation
import PackagePlugin

/// Compiles the kernel's programs (bpf/) with the toolchain's own clang and puts the object into the binary with
/// `#embed`, so that a plain `swift build` makes everything and nothing is read from the build machine's kernel.
@main
struct CompileBpf: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let clang = try context.tool(named: "clang").url
        let objcopy = try context.tool(named: "llvm-objcopy").url
        let work = context.pluginWorkDirectoryURL
        let programs = context.package.directoryURL.appending(component: "bpf")
        let names = try FileManager.default.contentsOfDirectory(atPath: programs.path)
        let sources = names.filter { $0.hasSuffix(".c") || $0.hasSuffix(".h") }.sorted()
        let full = work.appending(component: "arbiter.full.o")
        let object = work.appending(component: "arbiter.bpf.o")
        let template = target.directoryURL.appending(components: "object", "object.c.in")
        let generated = work.appending(component: "arbiter_object.c")
        return [
            .buildCommand(
                displayName: "Compiling the kernel's programs",
                executable: clang,
                arguments: [
                    "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-ffreestanding", "-Wall", "-Wextra", "-Werror",
                    "-Wno-unused-parameter", "-D__TARGET_ARCH_x86", "-fdebug-prefix-map=\(programs.path)=bpf",
                    "-ffile-prefix-map=\(programs.path)=bpf", "-I", programs.path, "-c",
                    programs.appending(component: "arbiter.bpf.c").path, "-o", full.path,
                ],
                inputFiles: sources.map { programs.appending(component: $0) },
                outputFiles: [full]),
            // BTF stays, DWARF goes: a quarter of the size.
            .buildCommand(
                displayName: "Stripping the kernel's programs",
                executable: objcopy,
                arguments: ["--strip-debug", full.path, object.path],
                inputFiles: [full],
                outputFiles: [object]),
            .buildCommand(
                displayName: "Embedding the kernel's programs",
                executable: try context.tool(named: "embed-object").url,
                arguments: [template.path, object.path, generated.path],
                inputFiles: [template, object],
                outputFiles: [generated]),
        ]
    }
}
