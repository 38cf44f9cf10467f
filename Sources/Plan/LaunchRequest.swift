public import Profile

/// What the caller asked for: the command line and the caller's surroundings, before anything is decided.
public struct LaunchRequest: Sendable, Equatable {
    /// The agent's command, never empty.
    public var command: [String]
    /// The same, byte for byte: arguments need not be UTF-8.
    public var arguments: [[UInt8]]
    /// Absolute and lexically normal.
    public var workspace: String
    /// The caller's working folder.
    public var currentFolder: String
    public var caller: Invoker
    /// The caller's environment.
    public var environment: [EnvironmentVariable]
    /// `--env`: `NAME` or `NAME=VALUE`.
    public var environmentOptions: [String]
    /// `--bind SRC:DST[:ro]`.
    public var binds: [ExtraBind]
    /// `--require`, which only ever raises the profile's own.
    public var require: Tier?
    /// The network is the host's.
    public var sharesNetwork: Bool
    public var forceWorkspace: Bool
    /// Folder of the profile file, when it came from one: the agent must not be able to rewrite it.
    public var profileFile: String?
    /// Which of 0, 1, 2 are terminals.
    public var terminals: [Bool]
    public var session: String
    /// Process id of the launcher, unique among running ones.
    public var launcher: Int32

    public init(command: [String], workspace: String, currentFolder: String, caller: Invoker, session: String) {
        self.command = command
        arguments = command.map { Array($0.utf8) }
        self.workspace = workspace
        self.currentFolder = currentFolder
        self.caller = caller
        self.session = session
        environment = []
        environmentOptions = []
        binds = []
        forceWorkspace = false
        sharesNetwork = false
        terminals = [false, false, false]
        launcher = 1
    }
}

public struct EnvironmentVariable: Sendable, Equatable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

public struct ExtraBind: Sendable, Equatable {
    public var source: String
    public var target: String
    public var readOnly: Bool

    public init(source: String, target: String, readOnly: Bool) {
        self.source = source
        self.target = target
        self.readOnly = readOnly
    }
}

/// Who started mis.
public struct Invoker: Sendable, Equatable {
    public var user: UInt32
    public var group: UInt32
    /// The account the agent is to run as when the caller is root: from sudo or the profile's `user`.
    public var account: RunAccount?
    public var home: String
    public var name: String
    /// Root of the machine, and not of a user namespace.
    public var isPrivileged: Bool
    /// Supplementary groups besides the own one, by name where there is one.
    public var otherGroups: [String] = []

    public init(user: UInt32, group: UInt32, account: RunAccount? = nil, home: String, name: String) {
        self.user = user
        self.group = group
        self.account = account
        isPrivileged = user == 0
        self.home = home
        self.name = name
    }
}

public struct RunAccount: Sendable, Equatable {
    public var name: String
    public var user: UInt32
    public var group: UInt32
    public var home: String

    public init(name: String, user: UInt32, group: UInt32, home: String) {
        self.name = name
        self.user = user
        self.group = group
        self.home = home
    }
}
