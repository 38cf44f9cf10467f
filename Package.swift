// swift-tools-version: 6.3;(experimentalCGen)
import PackageDescription

/// Every target of ours: strict concurrency (language mode 6), strict memory safety, warnings as errors.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .unsafeFlags(
        [
            // Each function in a section of its own, for the linker to choose their places.
            "-Xfrontend", "-function-sections",
            // A type of list or tuple that a start meets first is made from the types it is made of, not by reading its
            // mangled name, which takes as long again.
            "-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors",
        ], .when(configuration: .release)),
]

/// Tests are built with the same language, and may be plain about unsafe things.
let tests: [SwiftSetting] = [.swiftLanguageMode(.v6)]

let strictC: [CSetting] = [
    .unsafeFlags(["-Wall", "-Wextra", "-Werror", "-Wno-gnu", "-std=gnu2x", "-ffunction-sections"])
]

/// A release that needs nothing of the machine it runs on. Programs without this are linked with the distribution's
/// libraries (`--static-swift-stdlib`: but for Swift's own).
let staticRelease: [LinkerSetting] = [.unsafeFlags(["-static-executable"], .when(configuration: .release))]

/// The functions a start calls lie side by side: scripts/order-start. The linker is the one that comes with Swift.
let orderedStart: [LinkerSetting] = [
    .unsafeFlags(
        [
            "-use-ld=lld", "-Xlinker", "--symbol-ordering-file=\(Context.packageDirectory)/Sources/mis/start.order",
            "-Xlinker", "--no-warn-symbol-ordering",
        ], .when(configuration: .release))
]

let package = Package(
    name: "mis",
    products: [
        .executable(name: "mis", targets: ["mis"]), .executable(name: "mis-feed", targets: ["mis-feed"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
    ],
    targets: [
        // Libraries of the system.
        .systemLibrary(
            name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(
            name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),

        .systemLibrary(
            name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(
            name: "CMosquitto", pkgConfig: "libmosquitto", providers: [.apt(["libmosquitto-dev"])]),

        // Where Swift meets the kernel.
        .target(name: "CLinux", cSettings: strictC),
        .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: strict),

        // The threat policy: its keys, hashed by what the kernel's programs are made of too (bpf/policy_key.h).
        .target(name: "CPolicyKey", cSettings: strictC),
        .target(name: "ThreatPolicy", dependencies: ["CPolicyKey", "CSodium"], swiftSettings: strict),
        .target(
            name: "PolicyFiles", dependencies: ["ThreatPolicy", "Profile", "JSONText", "LinuxSystem"],
            swiftSettings: strict),

        // The tools' list of threats, of which bundles are made. No run opens it.
        .target(
            name: "PolicyDatabase", dependencies: ["ThreatPolicy", "CSQLite", "LinuxSystem"], swiftSettings: strict),

        .executableTarget(
            name: "policy-exercise", dependencies: ["ThreatPolicy", "JSONText", "LinuxSystem"], swiftSettings: strict),

        // Leaves.
        .target(name: "JSONText", swiftSettings: strict),
        .target(name: "HostView", dependencies: ["LinuxSystem"], swiftSettings: strict),

        // System-call filters: one table, compiled while the package is built.
        .target(
            name: "SeccompRules", dependencies: ["CSeccomp"], path: "Sources/Seccomp/Rules", swiftSettings: strict),
        .target(name: "CSeccompFilters", plugins: ["EmbedSeccomp"]),
        .target(
            name: "Seccomp", dependencies: ["SeccompRules", "CSeccompFilters"], path: "Sources/Seccomp/Filters",
            swiftSettings: strict),

        // The line of a run: profile, plan, launch, supervise, record.
        .target(
            name: "Profile", swiftSettings: strict, plugins: ["EmbedProfiles"]),
        .target(
            name: "KernelSupport", dependencies: ["LinuxSystem", "JSONText", "Profile", "Cgroup"],
            swiftSettings: strict),
        .target(
            name: "Plan", dependencies: ["Profile", "HostView", "LinuxSystem", "JSONText", "Seccomp"],
            swiftSettings: strict),
        .target(name: "Cgroup", dependencies: ["LinuxSystem"], swiftSettings: strict),
        .target(name: "CLaunch", dependencies: ["CLinux"], cSettings: strictC),
        .target(name: "CInitImage", exclude: ["init"], plugins: ["EmbedInit"]),
        .target(
            name: "Launch",
            dependencies: ["Plan", "HostView", "CLaunch", "CInitImage", "LinuxSystem", "Seccomp"],
            swiftSettings: strict),
        .target(
            name: "Enforce", dependencies: ["Profile", "LinuxSystem", "ThreatPolicy", "CSodium"], swiftSettings: strict),
        .target(name: "Record", dependencies: ["JSONText", "LinuxSystem", "CSodium"], swiftSettings: strict),
        .target(
            name: "Supervise",
            dependencies: [
                "Launch", "Enforce", "Arbiter", "Record", "Cgroup", "Plan", "Profile", "LinuxSystem", "Seccomp",
                "PolicyFiles", "ThreatPolicy",
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "mis",
            dependencies: [
                "Profile", "KernelSupport", "Plan", "HostView", "Cgroup", "Launch", "Enforce", "Supervise", "Record",
                "JSONText", "LinuxSystem", "ThreatPolicy", "PolicyFiles", "PolicyDatabase", "Seccomp",
                "Feed",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            exclude: ["start.order"], swiftSettings: strict, linkerSettings: staticRelease + orderedStart),

        // Delivery of the policy, a program of its own: mis carries no network code. Feed is what both know: options,
        // the inbox, the status file.
        .target(
            name: "Feed",
            dependencies: [
                "PolicyFiles", "ThreatPolicy", "JSONText", "LinuxSystem",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .target(name: "CFeed", dependencies: ["CCurl", "CSeccomp"], cSettings: strictC),
        .executableTarget(
            name: "mis-feed", dependencies: ["Feed", "CFeed", "CCurl", "CMosquitto"], swiftSettings: strict),

        // The kernel arbiter, tier bpf: BPF LSM programs (bpf/) and what loads and feeds them. A command of its own drives
        // it for the tests in virtual machines (Tests/Kernel).
        .target(
            name: "CBpf", exclude: ["object"], cSettings: strictC,
            linkerSettings: [
                .linkedLibrary("bpf"), .linkedLibrary("elf"), .linkedLibrary("z"), .linkedLibrary("zstd"),
            ],
            plugins: ["CompileBpf"]),
        .target(name: "Arbiter", dependencies: ["CBpf", "HostView", "LinuxSystem"], swiftSettings: strict),
        .executableTarget(
            name: "arbiter-exercise", dependencies: ["Arbiter", "CBpf", "CPolicyKey", "LinuxSystem"],
            swiftSettings: strict, linkerSettings: staticRelease),

        // Tests; what needs root or a sandbox is in Tests/Integration.
        .testTarget(name: "ProfileTests", dependencies: ["Profile", "TOMLKit"], swiftSettings: tests),
        .testTarget(name: "JSONTextTests", dependencies: ["JSONText"], swiftSettings: tests),
        .testTarget(name: "RecordTests", dependencies: ["Record", "JSONText", "LinuxSystem"], swiftSettings: tests),
        .testTarget(name: "SeccompTests", dependencies: ["Seccomp", "SeccompRules", "CSeccomp"], swiftSettings: tests),
        .testTarget(name: "CgroupTests", dependencies: ["Cgroup", "LinuxSystem"], swiftSettings: tests),
        .testTarget(
            name: "KernelSupportTests",
            dependencies: ["KernelSupport", "Profile", "JSONText", "LinuxSystem", "Cgroup"], swiftSettings: tests),
        .testTarget(
            name: "PlanTests", dependencies: ["Plan", "HostView", "Profile", "LinuxSystem"], swiftSettings: tests),
        .testTarget(name: "SuperviseTests", dependencies: ["Supervise", "Profile", "Record"], swiftSettings: tests),
        .testTarget(
            name: "EnforceTests", dependencies: ["Enforce", "Profile", "LinuxSystem"], swiftSettings: tests),
        .testTarget(name: "ArbiterTests", dependencies: ["Arbiter", "CBpf", "LinuxSystem"], swiftSettings: tests),
        .testTarget(name: "CommandTests", dependencies: ["mis"], swiftSettings: tests),
        .testTarget(
            name: "ThreatPolicyTests",
            dependencies: ["ThreatPolicy", "PolicyFiles", "PolicyDatabase", "CPolicyKey", "CSQLite"],
            exclude: ["vectors/make_vectors.py"],
            resources: [.embedInCode("vectors/policy_keys.tsv")], swiftSettings: tests),

        .testTarget(
            name: "FeedTests", dependencies: ["Feed", "PolicyFiles", "ThreatPolicy", "LinuxSystem"],
            swiftSettings: tests),

        // Build-time tools.
        .plugin(name: "CompileBpf", capability: .buildTool(), dependencies: ["embed-object"]),
        .plugin(name: "EmbedInit", capability: .buildTool()),
        .executableTarget(name: "embed-object", swiftSettings: strict),
        .executableTarget(name: "embed-profiles", swiftSettings: strict),
        .plugin(name: "EmbedProfiles", capability: .buildTool(), dependencies: ["embed-profiles"]),
        .executableTarget(name: "seccomp-compiler", dependencies: ["SeccompRules"], swiftSettings: strict),
        .plugin(name: "EmbedSeccomp", capability: .buildTool(), dependencies: ["seccomp-compiler"]),
    ]
)
