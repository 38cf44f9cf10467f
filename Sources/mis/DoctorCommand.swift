import ArgumentParser
import JSONText
import KernelSupport
import LinuxSystem

/// `mis doctor`
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Say what this machine can enforce, and for each gap how to get it.")

    @Flag(help: "As one JSON object.")
    var json = false

    func run() throws {
        var mistakes: [String] = []
        let caller = RunSetup.caller(user: nil, &mistakes)
        let state = (try? StateFolder.state(caller: caller)) ?? "/"
        let report = DoctorReport(KernelSupport.fullProbe(stateFolder: state))
        if json {
            Messages.print(JSONWriter.text(of: report) + [UInt8(ascii: "\n")])
        } else {
            Messages.print(Array(report.text(colours: Messages.hasColours).utf8))
        }
        // No tier at all: nothing can be run here.
        if report.tier == nil { throw ExitCode(1) }
    }
}
