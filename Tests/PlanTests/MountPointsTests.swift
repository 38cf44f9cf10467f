import Testing

@testable import HostView

@Suite struct MountPointsTests {
    private func points(_ table: String) -> [String] { HostProbe.mountPoints(in: Array(table.utf8)) }

    @Test func theFifthFieldOfEachLine() {
        let table = """
            21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            22 21 0:5 / /dev rw,nosuid shared:2 - devtmpfs devtmpfs rw,size=4k
            30 21 0:40 /a\\040b /mnt/with\\040space\\011tab\\134slash\\012line ro - ext4 /dev/vdb ro

            """
        #expect(points(table) == ["/", "/dev", "/mnt/with space\ttab\\slash\nline"])
    }

    @Test func whatIsNoLineOfTheKernelsIsPassedOver() {
        #expect(points("") == [])
        #expect(points("\n\n21 1 254:0 /\n") == [])
        // Not three digits: as it stands.
        #expect(points("1 2 3 4 /a\\04\n1 2 3 4 /b\\\n1 2 3 4 /\\999\n") == ["/a\\04", "/b\\", "/\\999"])
    }

    @Test func thisMachineHasARoot() throws {
        #expect(try HostProbe.mountPoints().contains("/"))
    }
}
