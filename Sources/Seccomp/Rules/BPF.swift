/// The part of classic BPF that seccomp filters use (linux/bpf_common.h, linux/filter.h, linux/seccomp.h).
package enum BPF {
    /// Load the word at `k` of `struct seccomp_data`.
    package static let load: UInt16 = 0x20
    package static let and: UInt16 = 0x54
    package static let jump: UInt16 = 0x05
    package static let jumpEqual: UInt16 = 0x15
    package static let jumpGreater: UInt16 = 0x25
    package static let jumpGreaterOrEqual: UInt16 = 0x35
    package static let jumpAnyBit: UInt16 = 0x45
    package static let answer: UInt16 = 0x06

    /// Offsets in `struct seccomp_data`.
    package static let number: UInt32 = 0
    package static let architecture: UInt32 = 4
    /// The low half of an argument, on a little-endian machine.
    package static func argument(_ index: Int) -> UInt32 { 16 + 8 * UInt32(index) }

    /// SECCOMP_RET_*
    package static let allow: UInt32 = 0x7FFF_0000
    package static let notify: UInt32 = 0x7FC0_0000
    package static func fail(_ errno: UInt16) -> UInt32 { 0x0005_0000 | UInt32(errno) }
}
