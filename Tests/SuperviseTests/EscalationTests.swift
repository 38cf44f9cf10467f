import Profile
import Testing

@testable import Supervise

@Suite struct EscalationTests {
    private func settings(kill: Int = 15) -> Profile.Escalation {
        var settings = Profile.Escalation()
        settings.kill = kill
        return settings
    }

    private let second: UInt64 = 1_000_000_000

    @Test func levelsComeAtThreeSixTenAndFifteen() {
        var escalation = Escalation(settings())
        let levels = (1...15).map { escalation.violation(at: UInt64($0)) }
        #expect(levels == [5, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1])
    }

    @Test func oldViolationsAreForgottenButTheWorstIsKept() {
        var escalation = Escalation(settings())
        for _ in 0..<10 { _ = escalation.violation(at: second) }
        #expect(escalation.level(at: 61 * second) == 2)
        #expect(escalation.level(at: 62 * second) == 5)
        #expect(escalation.worst == 2)
    }

    @Test func oneAMinuteNeverRaisesAnything() {
        var escalation = Escalation(settings())
        for minute in 0..<60 { #expect(escalation.violation(at: UInt64(minute) * 61 * second) == 5) }
    }

    @Test func stepsScaleWithTheKillCount() {
        #expect(Escalation.level(count: 11, kill: 60) == 5)
        #expect(Escalation.level(count: 12, kill: 60) == 4)
        #expect(Escalation.level(count: 59, kill: 60) == 2)
        #expect(Escalation.level(count: 60, kill: 60) == 1)
    }

    @Test func zeroNeverKills() {
        #expect(Escalation.level(count: 1_000_000, kill: 0) == 2)
    }
}
