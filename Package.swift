// swift-tools-version: 6.3;(experimentalCGen)
import PackageDescription

/// Every target of ours: strict concurrency (language mode 6), strict memory safety, warnings as errors.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

let strictC: [CSetting] = [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-Wno-gnu", "-std=gnu2x"])]

let package = Package(
    name: "mis",
    products: [.executable(name: "mis", targets: ["mis"])],
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

        // Where Swift meets the kernel.
        .target(name: "CLinux", cSettings: strictC),
        .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: strict),

        // Leaves.
        .target(name: "JSONText", swiftSettings: strict),

        // The line of a run: profile, plan, launch, supervise, record.
        .target(name: "Profile", dependencies: ["TOMLKit", "LinuxSystem"], swiftSettings: strict),
        .target(name: "KernelSupport", dependencies: ["LinuxSystem", "JSONText", "Profile"], swiftSettings: strict),
        .target(
            name: "Plan", dependencies: ["Profile", "KernelSupport", "JSONText", "Seccomp"], swiftSettings: strict),
        .target(name: "Cgroup", dependencies: ["LinuxSystem"], swiftSettings: strict),
        .target(name: "CLaunch", dependencies: ["CLinux"], cSettings: strictC),
        .target(name: "CInitImage", exclude: ["init"], plugins: ["EmbedInit"]),
        .target(
            name: "Launch", dependencies: ["Plan", "Cgroup", "CLaunch", "CInitImage", "LinuxSystem", "Seccomp"],
            swiftSettings: strict),
        .target(name: "Enforce", dependencies: ["Plan", "Profile", "LinuxSystem", "Record"], swiftSettings: strict),
        .target(
            name: "Supervise",
            dependencies: ["Launch", "Enforce", "Record", "Cgroup", "Plan", "LinuxSystem", "Seccomp"],
            swiftSettings: strict),
        .target(name: "Record", dependencies: ["JSONText", "LinuxSystem", "CSodium"], swiftSettings: strict),
        .executableTarget(
            name: "mis",
            dependencies: [
                "Profile", "KernelSupport", "Plan", "Cgroup", "Launch", "Enforce", "Supervise", "Record", "JSONText",
                "LinuxSystem",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // Build-time tools.
        .plugin(name: "EmbedInit", capability: .buildTool()),
    ]
)
