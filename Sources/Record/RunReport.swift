import JSONText

/// What `--report` writes: one JSON object that says how a run went.
public struct RunReport: Sendable, JSONWritable {
    /// The session's identifier.
    public var session: String
    /// The tier that was in force; `nil` when set-up ended before one was chosen.
    public var tier: String?
    public var profile: String
    /// Arguments, secrets masked.
    public let command: [[UInt8]]
    public var exit: RunExit
    public var durationMilliseconds: UInt64
    public var verdicts = Verdicts()
    /// The first distinct denials and their counts.
    public var denials: [DenialLog.Entry] = []
    /// Kernel events and record lines that were lost.
    public var lostEvents: UInt64 = 0
    /// What the profile asks for and the tier in force cannot enforce, one sentence each.
    public var unenforced: [String] = []
    /// The threat level at the end: 5 normal, 1 emergency.
    public var level = 5
    public var resources = Resources()
    public var policy = PolicyVersions()
    /// Why nothing ran; only with reason `setup`.
    public var setupError: SetupError?

    /// How often each verdict was given.
    public struct Verdicts: Sendable, Equatable {
        public var allow: UInt64 = 0
        public var deny: UInt64 = 0
        public var trace: UInt64 = 0

        public init() {}
    }

    /// What the run used; `nil` where the machine does not tell.
    public struct Resources: Sendable, Equatable {
        /// Microseconds of processor time.
        public var cpuMicroseconds: UInt64?
        /// Bytes.
        public var memoryPeak: UInt64?
        public var pidsPeak: UInt64?

        public init() {}
    }

    /// The versions of the threat policy that was in force; `nil` for a part there was none of.
    public struct PolicyVersions: Sendable, Equatable {
        public var base: String?
        public var hotfix: String?
        public var whitelist: String?

        public init() {}
    }

    /// The step of set-up that failed.
    public struct SetupError: Sendable, Equatable {
        /// What was being done.
        public var step: String
        /// To what.
        public var object: [UInt8]
        /// What the kernel said; `nil` when the refusal is ours.
        public var errno: Int32?
        /// All of it in one line.
        public var message: String
        /// What to try.
        public var fix: String?

        public init(step: String, object: [UInt8], errno: Int32?, message: String, fix: String?) {
            self.step = step
            self.object = object
            self.errno = errno
            self.message = message
            self.fix = fix
        }
    }

    /// Secrets in `command` are masked here (see ``Redaction``).
    public init(
        session: String, tier: String?, profile: String, command: [[UInt8]], exit: RunExit, durationMilliseconds: UInt64
    ) {
        self.session = session
        self.tier = tier
        self.profile = profile
        self.command = Redaction.redact(arguments: command)
        self.exit = exit
        self.durationMilliseconds = durationMilliseconds
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("session", session)
            writer.member("tier", tier)
            writer.member("profile", profile)
            writer.member("command", byteStrings: command)
            writer.object("exit") { writer in
                writer.member("code", exit.code)
                writer.member("signal", exit.signal)
                writer.member("reason", exit.reason.rawValue)
            }
            writer.member("duration_ms", durationMilliseconds)
            writer.object("verdicts") { writer in
                writer.member("allow", verdicts.allow)
                writer.member("deny", verdicts.deny)
                writer.member("trace", verdicts.trace)
            }
            writer.member("denials", denials)
            writer.member("lost_events", lostEvents)
            writer.member("unenforced", unenforced)
            writer.member("level", level)
            writer.object("resources") { writer in
                writer.member("cpu_usec", resources.cpuMicroseconds)
                writer.member("memory_peak", resources.memoryPeak)
                writer.member("pids_peak", resources.pidsPeak)
            }
            writer.object("policy") { writer in
                writer.member("base", policy.base)
                writer.member("hotfix", policy.hotfix)
                writer.member("whitelist", policy.whitelist)
            }
            if exit.reason == .setup, let setupError { writer.member("setup_error", setupError) }
        }
    }

    /// The report as one line of JSON and a newline.
    public var text: [UInt8] { JSONWriter.text(of: self) + [UInt8(ascii: "\n")] }
}

extension DenialLog.Entry: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("time", denial.time.text)
            denial.writeMembers(to: &writer)
            writer.member("count", count)
        }
    }
}

extension RunReport.SetupError: JSONWritable {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("step", step)
            writer.member("object", bytes: object)
            writer.member("errno", errno)
            writer.member("message", message)
            writer.member("fix", fix)
        }
    }
}
