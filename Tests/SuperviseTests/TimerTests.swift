import Testing

@testable import Supervise

/// Timers of an event loop, by a clock that the test turns.
@Suite struct TimerTests {
    /// What has been called, in order.
    private final class Calls { var names: [String] = [] }

    private static let millisecond: UInt64 = 1_000_000

    @Test func nothingIsDueBeforeItIsStarted() {
        var timers = Timers()
        #expect(timers.timeout() == -1)
        let timer = timers.make {}
        #expect(timers.timeout() == -1)
        timer.start(after: 5)
        timer.stop()
        #expect(timers.timeout() == -1)
    }

    @Test func theLoopSleepsUntilTheFirstIsDueAndNotLess() {
        var timers = Timers()
        let (late, soon) = (timers.make {}, timers.make {})
        late.start(after: 60_000)
        soon.start(after: 1000)
        #expect((0...1000).contains(timers.timeout()))
        // Half a millisecond before it is due, a whole one is slept: less would be to look again and again.
        let due = soon.due
        #expect(timers.timeout(now: { due - 1000 * Self.millisecond }) == 1000)
        #expect(timers.timeout(now: { due - Self.millisecond / 2 }) == 1)
        #expect(timers.timeout(now: { due }) == 0)
        #expect(timers.timeout(now: { due + 1 }) == 0)
        late.start(after: .max)
        soon.stop()
        #expect(timers.timeout() == .max)
    }

    @Test func oneFiresOnceAndAnotherAgain() {
        let calls = Calls()
        var timers = Timers()
        let once = timers.make { calls.names.append("once") }
        let again = timers.make { calls.names.append("again") }
        once.start(after: 10)
        again.start(after: 20, every: 30)
        let start = once.due - 10 * Self.millisecond
        for elapsed in stride(from: UInt64(0), through: 100, by: 5) {
            timers.fire(now: { start + (elapsed + 1) * Self.millisecond }, while: { true })
        }
        #expect(calls.names == ["once", "again", "again", "again"])
    }

    @Test func whatWasMissedIsNotMadeUpFor() {
        let calls = Calls()
        var timers = Timers()
        let timer = timers.make { calls.names.append("tick") }
        timer.start(after: 10, every: 10)
        let late = timer.due + 1000 * Self.millisecond
        timers.fire(now: { late }, while: { true })
        timers.fire(now: { late + Self.millisecond }, while: { true })
        #expect(calls.names == ["tick"])
        #expect(timer.due == late + 10 * Self.millisecond)
    }

    /// Nothing is called any more once a call has stopped the loop, and a call may start its own timer anew.
    @Test func aCallMayStopTheOthersAndStartItself() {
        let calls = Calls()
        var timers = Timers()
        let first = timers.make { calls.names.append("first") }
        var itself: Timer?
        let second = timers.make {
            calls.names.append("second")
            itself?.start(after: 1000)
        }
        itself = second
        first.start(after: 0)
        second.start(after: 0)
        timers.fire(while: { calls.names.isEmpty })
        #expect(calls.names.count == 1)
        timers.fire(while: { calls.names.count < 2 })
        #expect(Set(calls.names) == ["first", "second"])
        // Due once more, and it alone: a second after the call.
        let due = second.due
        #expect(second.isRunning && !first.isRunning)
        #expect(timers.timeout(now: { due - 1000 * Self.millisecond }) == 1000)
    }

    /// As the one for the timeout does with the one for the time after it.
    @Test func aCallMayMakeAnother() throws {
        let calls = Calls()
        let loop = try EventLoop()
        loop.timer {
            calls.names.append("timeout")
            loop.timer {
                calls.names.append("grace")
                loop.stop()
            }.start(after: 5)
        }.start(after: 5)
        loop.run()
        #expect(calls.names == ["timeout", "grace"])
    }

    @Test func theLoopServesThem() throws {
        let calls = Calls()
        let loop = try EventLoop()
        let end = loop.timer { loop.stop() }
        // A busy machine may miss some, and makes none of them come early.
        let tick = loop.timer {
            calls.names.append("tick")
            if calls.names.count == 3 { end.start(after: 20) }
        }
        let clock = ContinuousClock()
        let took = clock.measure {
            tick.start(after: 5, every: 5)
            loop.run()
        }
        #expect(calls.names.count >= 3)
        #expect(took >= .milliseconds(3 * 5 + 20))
        #expect(.milliseconds(5 * calls.names.count) <= took)
    }
}
