/// The kernel's version, as far as it tells what the kernel can do.
public struct KernelVersion: Sendable, Comparable, CustomStringConvertible {
    public var major: Int
    public var minor: Int

    public init(_ major: Int, _ minor: Int) {
        self.major = major
        self.minor = minor
    }

    /// Reads `6.1.0-18-amd64`, `6.18.44`, `7.3-rc1`; nil when it does not begin with two numbers.
    public init?(release: String) {
        var major: Int?
        var number: Int?
        for byte in release.utf8 {
            if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                number = (number ?? 0) * 10 + Int(byte - UInt8(ascii: "0"))
                if number ?? 0 > 1_000_000 { return nil }
            } else if byte == UInt8(ascii: "."), major == nil {
                major = number
                number = nil
                if major == nil { return nil }
            } else {
                break
            }
        }
        guard let major, let number else { return nil }
        self.init(major, number)
    }

    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }

    public var description: String { "\(major).\(minor)" }

    /// Landlock; everything else a launch is made of (clone3 into a cgroup, openat2, close_range, mount_setattr) is
    /// older.
    public static let oldestSupported = KernelVersion(5, 13)
    /// mount_setattr(2), and with it idmapped mounts.
    public static let idmappedMounts = KernelVersion(5, 12)
    /// `cgroup.kill`.
    public static let cgroupKill = KernelVersion(5, 14)
    /// What the programs of the bpf tier use.
    public static let bpfTier = KernelVersion(6, 1)
}
