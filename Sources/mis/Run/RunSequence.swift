import Cgroup
import Launch
import LinuxSystem
import Plan
import Profile
import Record
import Supervise

/// A run from its command line to its exit status: profile, plan, launch, supervise, record.
struct RunSequence {
    let options: RunArguments

    private var command: [String] { options.command }

    func run() -> Int32 {
        openStandardDescriptors()
        let report: ReportPlace
        do {
            report = try ReportPlace(options.report)
        } catch {
            Messages.say("\(error)")
            return RunExit.setup(.failed).code
        }
        do throws(SetupProblem) {
            return try attempt(report)
        } catch {
            for sentence in error.sentences { Messages.say(sentence) }
            report.write(failed(error))
            return RunExit.setup(.failed).code
        }
    }

    private func attempt(_ report: borrowing ReportPlace) throws(SetupProblem) -> Int32 {
        // Before any thread: signals are blocked from here on, and read as a descriptor.
        let signals = try SetupProblem.from { () throws(SystemError) in try SignalSource() }
        let identifier: SessionIdentifier
        do { identifier = try SessionIdentifier.make() } catch { throw SetupProblem("\(error)") }
        let setup: RunSetup
        do {
            setup = try RunSetup(options: options, session: identifier.text)
        } catch {
            throw SetupProblem(sentences: error.sentences)
        }
        if options.dryRun {
            Messages.print(options.json ? PlanText.json(setup.plan) : PlanText.readable(setup.plan))
            return 0
        }
        let sandbox = try RunningSandbox(setup: setup, identifier: identifier, signals: signals, options: options)
        let outcome = try sandbox.finish()
        report.write(
            RunReport(setup.plan, outcome, unenforced: sandbox.unenforced + outcome.unenforced))
        tell(outcome, setup.plan.limits)
        return outcome.exit.code
    }

    private func tell(_ outcome: SandboxOutcome, _ limits: PlannedLimits) {
        let exit = outcome.exit
        if let failure = outcome.setupFailure { Messages.say(FailureText.explain(failure)) }
        if exit.reason == .setup, outcome.setupFailure == nil {
            let name = command.first ?? ""
            Messages.say(
                exit.code == 127
                    ? "\(name): not found inside the sandbox; show it with --ro, or name another command"
                    : "\(name): cannot be executed inside the sandbox; 'execute' in the profile says from where programs run"
            )
        }
        if exit.reason == .oom {
            let limit = limits.memory.map { ", \(SizeText.describe(bytes: $0))," } ?? ""
            Messages.say("ended the run (oom): the memory limit\(limit) was reached; --limit memory=SIZE gives more")
        } else if let detail = outcome.detail {
            Messages.say("ended the run (\(exit.reason.rawValue)): \(detail)")
        }
        if options.quiet { return }
        if options.verbose { Messages.say(closing(outcome)) }
        for line in outcome.denials.summary() { Messages.say(line) }
        if outcome.lostEvents > 0 { Messages.say("\(outcome.lostEvents) events did not reach the record") }
    }

    private func closing(_ outcome: SandboxOutcome) -> String {
        let verdicts = outcome.verdicts
        var parts = ["\(outcome.durationMilliseconds) ms", "\(verdicts.allow) allowed, \(verdicts.deny) denied"]
        if let cpu = outcome.usage.cpuMicroseconds { parts.append("processor \(cpu / 1000) ms") }
        if let peak = outcome.usage.memoryPeak { parts.append("memory peak \(SizeText.describe(bytes: peak))") }
        return parts.joined(separator: ", ")
            + ", level \(outcome.level), exit \(outcome.exit.code) (\(outcome.exit.reason.rawValue))"
    }

    private func failed(_ problem: SetupProblem) -> RunReport {
        var report = RunReport(
            session: "", tier: nil, profile: options.profile, command: command.map { Array($0.utf8) },
            exit: .setup(.failed), durationMilliseconds: 0)
        let message = problem.sentences.joined(separator: "\n")
        report.setupError = .init(
            step: problem.step, object: [], errno: problem.errno, message: message, fix: problem.fix)
        return report
    }

    /// A caller may have closed 0, 1 or 2: whatever is opened next must not take their place.
    private func openStandardDescriptors() {
        while true {
            guard let file = try? FileDescriptor.open("/dev/null", O_RDWR) else { return }
            if file.number > 2 { return }
            _ = fcntl(file.release(), F_SETFD, 0)
        }
    }
}

/// Why nothing ran.
struct SetupProblem: Error {
    var sentences: [String]
    var step = "checking the request"
    var errno: Int32?
    var fix: String?

    init(sentences: [String]) { self.sentences = sentences }
    init(_ sentence: String) { sentences = [sentence] }

    static func from<Value: ~Copyable>(_ deed: () throws(SystemError) -> Value) throws(SetupProblem) -> Value {
        do { return try deed() } catch { throw SetupProblem(error) }
    }

    init(_ error: SystemError) {
        sentences = [error.description]
        step = error.doing
        errno = error.errno.code
        fix = error.remedy
    }
}

/// Where the report goes, opened before anything runs.
struct ReportPlace: ~Copyable {
    private let destination: ReportDestination?

    init(_ path: String?) throws(RecordError) {
        if let path { destination = try ReportDestination.open(path) } else { destination = nil }
    }

    /// The report is made only where somebody wants it.
    borrowing func write(_ report: @autoclosure () -> RunReport) {
        switch destination {
        case .some(let destination):
            do { try destination.write(report()) } catch { Messages.say("\(error)") }
        case .none: return
        }
    }
}
