import Profile
import Testing

@testable import Supervise

@Suite struct WatchdogTests {
    private let second: UInt64 = 1_000_000_000

    private func watchdog(cpu: Int?, memory: UInt64? = nil) -> Watchdog {
        var settings = Profile.Watchdog()
        settings.cpuPercent = cpu
        settings.cpuForMilliseconds = 30000
        return Watchdog(settings, memoryLimit: memory)
    }

    @Test func aSpinnerIsEndedAfterItsTimeAndNotBefore() {
        var watchdog = watchdog(cpu: 100)
        var ended: UInt64?
        // Two cores in use: two seconds of processor time a second.
        for tick in stride(from: UInt64(0), through: 60, by: 5) where ended == nil {
            if watchdog.look(now: tick * second, cpu: tick * 2_000_000, memory: nil) != nil { ended = tick }
        }
        #expect(ended == 30)
    }

    @Test func aPauseStartsTheCountAgain() {
        var watchdog = watchdog(cpu: 100)
        var cpu: UInt64 = 0
        for tick in stride(from: UInt64(0), through: 100, by: 5) {
            // Every fourth interval is idle.
            cpu += tick / 5 % 4 == 0 ? 0 : 10_000_000
            #expect(watchdog.look(now: tick * second, cpu: cpu, memory: nil) == nil)
        }
    }

    @Test func memoryEndsAtOnceAndOnlyAboveTheLimit() {
        var watchdog = watchdog(cpu: nil, memory: 1 << 20)
        #expect(watchdog.look(now: 0, cpu: nil, memory: 1 << 20) == nil)
        #expect(watchdog.look(now: second, cpu: nil, memory: (1 << 20) + 1) != nil)
    }
}
