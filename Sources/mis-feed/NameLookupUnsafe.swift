import LinuxSystem
import Synchronization

/// Looks a host's name up on a thread of its own: a resolver that says nothing holds that thread up, and nobody else.
/// Unsafe: libc's thread and resolver.
final class NameLookup: Sendable {
    private let host: String
    /// What getaddrinfo answered; `nil`: nothing yet.
    private let result = Mutex<Int32?>(nil)

    /// - Returns: `nil` where no thread can be had.
    init?(_ host: String) {
        self.host = host
        let context = unsafe Unmanaged.passRetained(self)
        var thread = pthread_t()
        let failure = unsafe pthread_create(
            &thread, nil,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<NameLookup>.fromOpaque(context).takeRetainedValue().look()
                return nil
            }, context.toOpaque())
        guard failure == 0 else {
            unsafe context.release()
            return nil
        }
        pthread_detach(thread)
    }

    private func look() {
        var found: UnsafeMutablePointer<addrinfo>?
        let answer = unsafe getaddrinfo(host, nil, nil, &found)
        if let found = unsafe found { unsafe freeaddrinfo(found) }
        result.withLock { $0 = answer }
    }

    enum Answer {
        case none
        case found
        case failed(String)
    }

    var answer: Answer {
        switch result.withLock({ $0 }) {
        case nil: .none
        case 0: .found
        case let code?: .failed(Self.text(of: code, host))
        }
    }

    static func text(of code: Int32, _ host: String) -> String {
        unsafe "\(host) is not found: \(String(cString: gai_strerror(code)))"
    }
}
