import ArgumentParser
import LinuxSystem
import PolicyFiles
import Seccomp
import ThreatPolicy

/// `mis policy ...`
struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Make, check and bring into force the threat policy.",
        discussion: """
            A bundle is a signed file of known threats: base (exact), or hotfix (critical, a filter's hit denies). This \
            machine's policy lies in the state folder's policy/: signed bundles put into policy/incoming come into \
            force in every running sandbox, if one of policy/keys signed them.
            """,
        subcommands: [
            PolicyBuild.self, PolicyInspect.self, PolicySign.self, PolicyVerify.self, PolicyKeygen.self,
            PolicyTest.self, PolicyPush.self, PolicyStatus.self, PolicyRollback.self, PolicyLog.self,
            PolicyDiff.self, PolicySimulate.self, PolicyDatabaseCommand.self, PolicySubscribe.self,
            PolicyPublish.self,
        ])
}

/// What the subcommands share.
enum PolicyTools {
    /// The caller's policy folder.
    static func folder() throws -> PolicyFolder {
        var mistakes: [String] = []
        let caller = RunSetup.caller(user: nil, &mistakes)
        do {
            return PolicyFolder(path: try StateFolder.state(caller: caller) + "/policy")
        } catch {
            throw failure("\(error)")
        }
    }

    /// Says why, and ends with status 1.
    static func failure(_ text: String) -> ExitCode {
        Messages.say(text)
        return ExitCode(1)
    }

    static var now: Int64 { Int64(Clock.wall() / 1_000_000_000) }

    /// The number of a system call of x86-64.
    static func callNumber(_ name: String) -> UInt32? { SyscallName.number(name) }

    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        do throws(Errno) {
            guard let bytes = try FileDescriptor.open(path, O_RDONLY).readAll(limit: limit) else { throw Errno(EFBIG) }
            return bytes
        } catch {
            throw failure(error.doing("reading", path).description)
        }
    }

    /// Replaces a file, or makes it.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws {
        let fresh = path + ".new"
        do throws(Errno) {
            unsafe unlink(fresh)
            let file = try FileDescriptor.open(fresh, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
            try file.writeAll(bytes)
            try kernel { unsafe rename(fresh, path) }
        } catch {
            unsafe unlink(fresh)
            throw failure(error.doing("writing", path).description)
        }
    }

    static func bundle(_ path: String, trust: Bundle.Trust = .anyone) throws -> Bundle {
        let bytes = try read(path, limit: BundleKind.base.largestFile)
        do throws(BundleError) {
            return try Bundle(PolicyBytes(bytes), trust: trust)
        } catch {
            throw failure("\(path): \(error)")
        }
    }

    static func whitelist(_ path: String) throws -> Whitelist {
        let text = try read(path, limit: 4 << 20)
        do throws(WhitelistFile.Mistakes) {
            return Whitelist(try WhitelistFile.read(text, name: path, calls: callNumber))
        } catch {
            throw failure(error.description)
        }
    }

    static func publicKey(_ path: String) throws -> PolicySignature.PublicKey {
        let text = String(decoding: try read(path, limit: 4096), as: UTF8.self)
        guard let key = PolicySignature.PublicKey(text: text) else { throw failure("\(path): no public key") }
        return key
    }

    static func secretKey(_ path: String) throws -> PolicySignature.SecretKey {
        let text = String(decoding: try read(path, limit: 4096), as: UTF8.self)
        guard let key = PolicySignature.SecretKey(text: text) else {
            throw failure("\(path): no secret key; 'mis policy keygen' makes one")
        }
        return key
    }

    static func print(_ line: String) { Messages.print(Array((line + "\n").utf8)) }

    /// Runs what throws an error of the policy folder, and says it.
    static func telling<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch let error as PolicyFolderError { throw failure(error.description) }
    }
}
