import LinuxSystem
import Testing

@testable import Enforce

@Suite struct DeniedObjectsTests {
    private func object(_ inode: UInt64, _ major: UInt32 = 8, _ minor: UInt32 = 1) -> ObjectIdentity {
        ObjectIdentity(deviceMajor: major, deviceMinor: minor, inode: inode)
    }

    @Test func nothingIsDeniedAtFirst() {
        #expect(DeniedObjects()[object(1)] == nil)
    }

    @Test func anObjectIsItsInodeAndItsDevice() {
        var denied = DeniedObjects()
        denied[object(7)] = 3
        #expect(denied[object(7)] == 3)
        #expect(denied[object(7, 8, 2)] == nil)
        #expect(denied[object(7, 9)] == nil)
        #expect(denied[object(8)] == nil)
        denied[object(7)] = 4
        #expect(denied[object(7)] == 4)
    }

    /// One inode number on many devices, and many on one.
    @Test func neitherNumberAloneIsTheObject() {
        for isDevice in [true, false] {
            func numbered(_ number: Int32) -> ObjectIdentity {
                isDevice ? object(7, 8, UInt32(number)) : object(UInt64(number), 8)
            }
            var denied = DeniedObjects()
            for number in 0..<Int32(1000) { denied[numbered(number)] = number }
            for number in 0..<Int32(1000) { #expect(denied[numbered(number)] == number) }
            for number in Int32(1000)..<3000 { #expect(denied[numbered(number)] == nil) }
        }
    }

    /// As a dictionary has it, with neighbours, equal low bits, and numbers that fall together with a device's.
    @Test func manyAreToldApart() {
        var denied = DeniedObjects()
        var expected: [ObjectIdentity: Int32] = [:]
        var inode: UInt64 = 1
        for number in 0..<5000 {
            inode = number.isMultiple(of: 3) ? inode &* 6_364_136_223_846_793_005 &+ 1 : inode &+ 1 << (number % 40)
            let object = object(inode, UInt32(number % 5), UInt32(number % 3))
            denied[object] = Int32(number)
            expected[object] = Int32(number)
        }
        for (object, rule) in expected { #expect(denied[object] == rule) }
        for number in 0..<5000 {
            let other = object(inode &+ UInt64(number), 77)
            #expect(denied[other] == nil)
        }
    }
}
