import Enforce
import LinuxSystem
import Plan

/// The tier at work: what answers the kernel's questions and watches names, tied to the event loop.
final class Enforcement {
    var onLoss: (String) -> Void = { _ in }
    private let loop: EventLoop
    private var held: [Int32] = []

    init(plan: SandboxPlan, loop: EventLoop, sink: Violations, quarantine: Int32) {
        self.loop = loop
    }

    func start(_ group: FanotifyGroup) throws(SystemError) {}
    func watchNames() {}
    func keepHome(_ home: consuming FileDescriptor) { held.append(home.release()) }
    func listen(_ listener: consuming FileDescriptor) { held.append(listener.release()) }
    func finish() {}
}
