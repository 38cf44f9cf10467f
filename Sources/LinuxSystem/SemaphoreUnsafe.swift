/// A semaphore (sem_overview(7)) between threads of this process. Never destroyed: whoever waits for it may be the last to go.
///
/// Unsafe: owns memory that threads share.
@safe public final class Semaphore: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    public init() { unsafe sem_init(semaphore, 0, 0) }

    public func post() { unsafe sem_post(semaphore) }

    public func wait() {
        while unsafe sem_wait(semaphore) != 0 {}
    }
}
