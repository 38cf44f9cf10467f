import Launch
import LinuxSystem
import Testing

@testable import Supervise

/// How a run ended, from what is known when the last process is gone.
@Suite struct EndingTests {
    /// Nobody looks whether memory ran out where that would change nothing.
    @Test(arguments: [nil, 0, 1 << 8, 9, 15, 9 | 0x80, 137 << 8] as [Int32?]) func memoryIsAskedAboutWhereItMatters(
        _ status: Int32?
    ) {
        var ending = Ending()
        ending.isReady = true
        ending.status = status
        #expect(ending.looksOutOfMemory == (ending.exit(outOfMemory: 0) != ending.exit(outOfMemory: 1)))
    }
}
