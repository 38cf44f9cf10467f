import HostView
import LinuxSystem
import Plan

/// Where sessions are kept.
struct StateFolder {
    let sessions: String
    /// Owners of folders on the way that are trusted besides the launcher's own uid.
    let owners: [uid_t]
    /// Where the threat policy is, if there is one; `nil`: there is no place for it.
    let policy: String?

    /// Whether there is one now.
    var hasPolicy: Bool { policy.map { unsafe access($0, F_OK) == 0 } ?? false }

    struct Missing: Error, CustomStringConvertible {
        var description: String
    }

    /// `--record` first; then `MIS_STATE_DIR`; `/var/lib/mis` for root; the user's state folder.
    init(caller: Invoker, record: String?) throws(Missing) {
        owners = caller.account.map { [$0.user] } ?? []
        policy = (try? Self.state(caller: caller)).map { $0 + "/policy" }
        if let record {
            sessions = record
            return
        }
        sessions = try Self.state(caller: caller) + "/sessions"
    }

    static func state(caller: Invoker) throws(Missing) -> String {
        if let folder = Environment.value("MIS_STATE_DIR"), !folder.isEmpty {
            guard folder.hasPrefix("/") else {
                throw Missing(description: "MIS_STATE_DIR=\(folder): not an absolute path")
            }
            return Paths.normal(folder)
        }
        if caller.user == 0 { return "/var/lib/mis" }
        if let folder = Environment.value("XDG_STATE_HOME"), folder.hasPrefix("/") {
            return Paths.normal(folder) + "/mis"
        }
        guard caller.home != "/" else {
            throw Missing(
                description: "no place for the session's record: the account has no home folder; set MIS_STATE_DIR")
        }
        return caller.home + "/.local/state/mis"
    }
}
