import Feed
import LinuxSystem

struct CredentialsError: Error, CustomStringConvertible {
    var description: String
}

enum Credentials {
    /// The first line of the password's file.
    static func password(_ credentials: FeedCredentials) throws -> String? {
        guard let path = credentials.passwordFile else { return nil }
        do throws(Errno) {
            let text = try readText(path, limit: 4096)
            return text.split(separator: "\n", omittingEmptySubsequences: false).first.map(String.init) ?? ""
        } catch {
            throw error.doing("reading the password", path)
        }
    }

    /// Files that are missing are told at once, not at the first pull.
    static func check(_ credentials: FeedCredentials) throws {
        for path in [credentials.ca, credentials.cert, credentials.certKey].compactMap({ $0 }) {
            guard path.hasPrefix("/") else { throw CredentialsError(description: "\(path): not an absolute path") }
            do throws(Errno) {
                _ = try FileDescriptor.open(path, O_RDONLY).status()
            } catch {
                throw error.doing("reading", path)
            }
        }
    }
}

/// poll(2) of one descriptor. Unsafe: a C structure by pointer.
enum Waiting {
    /// - Returns: what happened; 0: nothing.
    static func one(_ descriptor: Int32, _ events: Int16, milliseconds: Int) -> Int16 {
        var watched = pollfd(fd: descriptor, events: events, revents: 0)
        return unsafe poll(&watched, 1, Int32(clamping: milliseconds)) > 0 ? watched.revents : 0
    }
}
