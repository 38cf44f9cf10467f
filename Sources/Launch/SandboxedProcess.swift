import CLaunch
public import LinuxSystem
import Plan
public import Seccomp

/// A sandbox that has been cloned: its pid 1, and what it says.
///
/// Unsafe: keeps the memory the set-up child reads until it has executed the init.
@safe public final class SandboxedProcess {
    public enum Message: Sendable, Equatable {
        /// All is set up (but for a filter that may change); the child waits for ``open()``.
        case prepared
        /// Set-up is over, pid 1 runs.
        case ready
        /// The command could not be executed.
        case executionFailed(Errno)
        case stopped(signal: Int32)
        case continued
        /// The agent's wait status.
        case ended(status: Int32)
        case home(Int32)
        case terminal(Int32)
        case listener(Int32)
        /// The other side is gone.
        case closed
    }

    /// Host pid of the sandbox's pid 1.
    public let pid: Int32
    public let process: FileDescriptor
    /// What it was begun on.
    let foundation: Foundation
    /// What the profile added; nil before that was given.
    private(set) var ground: Groundwork?
    /// The child's own descriptor of the socket behind `messages`.
    let status: Int32
    private let messages: FileDescriptor
    private let setup: UnsafeMutablePointer<mis_setup>
    private var steps: [StepList]
    private var deeds: [Deed]
    private var stack: Stack?
    /// Processes that helped at the launch, and are over.
    var helpers: [Int32] = []
    var filterMayChange = false
    /// The last of the steps, as the child reads them: the plan's.
    private var last: mis_step_list?

    init(
        pid: Int32, foundation: Foundation, process: consuming FileDescriptor, messages: consuming FileDescriptor,
        status: Int32, setup: UnsafeMutablePointer<mis_setup>, steps: StepList, stack: Stack
    ) {
        self.pid = pid
        self.foundation = foundation
        self.process = process
        self.messages = messages
        self.status = status
        unsafe self.setup = setup
        deeds = steps.deeds
        self.steps = [steps]
        self.stack = stack
    }

    deinit { unsafe setup.deallocate() }

    /// Readable when pid 1 has something to say.
    public var messageDescriptor: Int32 { messages.number }

    /// The next message; nil when there is none at the moment.
    public func nextMessage() -> Message? {
        var message = mis_init_message()
        var descriptor: Int32 = -1
        let socket = messages.number
        let size: Int
        do {
            size = try kernel {
                unsafe clinux_receive_descriptor(
                    socket, &message, MemoryLayout<mis_init_message>.size, &descriptor)
            }
        } catch {
            return error.code == EAGAIN ? nil : .closed
        }
        if size == 0 { return .closed }
        if descriptor >= 0 {
            switch SentDescriptor(rawValue: message.kind) {
            case .home: return .home(descriptor)
            case .terminal: return .terminal(descriptor)
            case .listener: return .listener(descriptor)
            case .kept:
                // Never closed by us: it ends with launcher and guardian.
                return nextMessage()
            case nil:
                close(descriptor)
                return nextMessage()
            }
        }
        switch mis_init_kind(message.kind) {
        case mis_init_prepared: return .prepared
        case mis_init_ready: return .ready
        case mis_init_exec_failed: return .executionFailed(Errno(message.value))
        case mis_init_stopped: return .stopped(signal: message.value)
        case mis_init_continued: return .continued
        case mis_init_ended: return .ended(status: message.value)
        default: return nextMessage()
        }
    }

    /// Sends the child a descriptor; it takes them by its steps, in this order.
    func send(_ descriptor: Int32) throws(Errno) {
        var body = mis_sent_descriptor()
        let socket = messages.number
        try kernel {
            unsafe clinux_send_descriptor(socket, &body, MemoryLayout<mis_sent_descriptor>.size, descriptor)
        }
    }

    /// Gives the child its next steps: those of the profile's ground, the plan's mounts, and what confines it.
    func goOn(_ more: StepList, ground: Groundwork) {
        self.ground = ground
        deeds += more.deeds
        steps.append(more)
        let list = unsafe more.list()
        unsafe last = list
        unsafe _ = mis_give(setup, list)
    }

    /// Gives the child another system-call filter than its plan's, with as much of a listener. Only before ``open()``, and if
    /// it was said at the launch that this may be: it reads this step after that then.
    public func use(_ filter: SeccompFilter) throws(LaunchFailure) {
        guard filterMayChange else {
            throw LaunchFailure(
                Errno(EBUSY).doing(
                    "changing the system-call filter", "for a threat policy that came while the sandbox was made",
                    remedy: "start it again"))
        }
        guard let list = unsafe last, let first = unsafe list.steps, let arena = steps.last?.arena else {
            throw LaunchFailure(Errno(EINVAL).doing("changing the system-call filter of", "a sandbox without a plan"))
        }
        for place in unsafe 0..<list.count {
            let step = unsafe UnsafeMutablePointer(mutating: first + place)
            guard unsafe step.pointee.kind == mis_step_seccomp.rawValue else { continue }
            unsafe step.pointee.data = filter.instructions.withUnsafeBytes { unsafe arena.bytes($0) }
            unsafe step.pointee.data_length = filter.instructions.count * 8
        }
    }

    /// Lets the child start the agent: the record, the watches and whoever answers the kernel are in place.
    public func open() { unsafe mis_open_gate(setup) }

    /// Has the child end before anything of the agent runs.
    public func abandon() {
        unsafe mis_abandon(setup)
        send(signal: SIGKILL)
        reap()
        reapHelpers()
    }

    /// Takes off the kernel what the launch's helpers left. They may have to wait for a processor to end on, so call it when
    /// nobody waits for the launch any more.
    public func reapHelpers() {
        for helper in helpers { _ = clinux_wait_any_kind(helper) }
        helpers = []
    }

    /// Gives back what the child read: it runs on memory of its own once it is ``Message/ready``.
    public func releaseSetup() {
        steps = []
        stack = nil
    }

    /// The step that failed, when pid 1 ended without having been ready.
    public func setupFailure() -> LaunchFailure? {
        let report = unsafe setup.pointee.report
        guard report.step >= 0, deeds.indices.contains(Int(report.step)) else { return nil }
        let (deed, object) = (deeds[Int(report.step)].deed, deeds[Int(report.step)].object)
        return LaunchFailure(Errno(report.error).doing(deed, object), call: report.call)
    }

    /// Sends a signal to pid 1, which forwards it to the agent; SIGKILL ends the whole pid namespace.
    public func send(signal: Int32) { _ = clinux_pidfd_send_signal(process.number, signal) }

    /// Takes pid 1's wait status off the kernel, which frees what is left of it. Call once its pidfd is readable.
    public func reap() {
        var code: Int32 = 0
        var status: Int32 = 0
        _ = unsafe clinux_wait_pidfd(process.number, 0, &code, &status)
    }
}
