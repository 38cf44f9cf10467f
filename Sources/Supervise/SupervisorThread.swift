public import Launch
public import LinuxSystem

/// The thread the supervisor runs on.
///
/// Unsafe: hands an object over to a new thread. The caller's thread does not touch the supervisor any more once it has said
/// ``letRun()``, and its outcome only when the recorder's ``SessionRecorder/run()`` has returned, which it does once the outcome
/// is there.
@safe public final class SupervisorThread {
    private final class Passenger {
        let supervisor: Supervisor
        let process: SandboxedProcess
        let mayRun = Semaphore()
        var outcome: SandboxOutcome?
        var leftover: SystemError?

        init(_ supervisor: Supervisor, _ process: SandboxedProcess) {
            self.supervisor = supervisor
            self.process = process
        }
    }

    private var thread = pthread_t()
    private let passenger: Unmanaged<Passenger>

    /// The thread is there then, and waits for ``letRun()``.
    public init(_ supervisor: Supervisor, serving process: SandboxedProcess) throws(Errno) {
        unsafe passenger = Unmanaged.passRetained(Passenger(supervisor, process))
        clinux_share_heap()
        let code = unsafe pthread_create(
            &thread, nil,
            { context in
                guard let context = unsafe context else { return nil }
                let passenger = unsafe Unmanaged<Passenger>.fromOpaque(context).takeUnretainedValue()
                passenger.mayRun.wait()
                passenger.outcome = passenger.supervisor.run(passenger.process)
                do throws(SystemError) {
                    try passenger.supervisor.clearUp(passenger.process)
                } catch {
                    passenger.leftover = error
                }
                return nil
            }, passenger.toOpaque())
        if code != 0 {
            unsafe passenger.release()
            throw Errno(code)
        }
    }

    /// The supervisor is the thread's from now on.
    public func letRun() { unsafe passenger.takeUnretainedValue().mayRun.post() }

    /// What came of it, once the recorder has been asked to stop.
    public var outcome: SandboxOutcome? { unsafe passenger.takeUnretainedValue().outcome }

    /// Waits for the end. The supervisor itself is kept until the process ends: closing its notification groups takes
    /// the kernel milliseconds, which the guardian spends after the launcher is gone.
    /// - Returns: why something of the sandbox could not be removed.
    public func join() -> SystemError? {
        _ = pthread_join(thread, nil)
        return unsafe passenger.takeUnretainedValue().leftover
    }
}
