import CSeccomp
import Glibc
import Seccomp
import SeccompRules
import Testing

/// The table itself: complete, without contradictions, and honest about names.
@Suite struct SeccompTableTests {
    /// libseccomp's own list for this architecture has no call the table forgets.
    @Test func everyKnownCallHasADecision() {
        var forgotten: [String] = []
        for number in Int32(0)..<1024 {
            guard let text = unsafe seccomp_syscall_resolve_num_arch(seccomp_arch_native(), number) else { continue }
            let name = unsafe String(cString: text)
            unsafe free(text)
            if SeccompTable.rules[name] == nil { forgotten.append(name) }
            #expect(SyscallName.name(number) == name)
        }
        #expect(forgotten == [])
    }

    /// A number of the table's own list is libseccomp's number wherever libseccomp knows the name.
    @Test func numbersAndNamesAgree() {
        let table = SyscallNumbers.table()
        #expect(table.count > 330)
        #expect(Set(table.map(\.number)).count == table.count)
        for (number, name) in table { #expect(SyscallName.name(number) == name) }
        #expect(SyscallName.name(-1) == nil)
        #expect(SyscallName.name(400) == nil)
        #expect(SyscallName.name(.max) == nil)
        #expect(SyscallNumbers.number(of: "cachestat") == 451)
        #expect(SyscallNumbers.number(of: "mseal") == 462)
        #expect(SyscallNumbers.number(of: "no_such_call") == nil)
    }

    @Test func everyGroupGivesAReasonAndNames() {
        for group in SeccompTable.groups {
            #expect(group.reason.count > 20)
            #expect(!group.names.isEmpty)
        }
    }

    @Test func noticesTellRefusedFromObserved() throws {
        func notice(_ name: String) throws -> SeccompTable.Notice? {
            SeccompTable.notice(try #require(SyscallNumbers.number(of: name)))
        }
        #expect(try notice("mount") == .refused(counts: true))
        #expect(try notice("io_uring_setup") == .refused(counts: false))
        #expect(try notice("clone") == .refused(counts: false))
        #expect(try notice("openat") == .observed)
        #expect(try notice("unlinkat") == .observed)
        #expect(try notice("read") == nil)
        #expect(try notice("clone3") == nil)
        #expect(SeccompTable.notice(-1) == nil)
        #expect(SeccompTable.notice(5000) == nil)

        let refusals = SeccompTable.refusals
        #expect(refusals.contains { $0.name == "bpf" && $0.number == SyscallNumbers.number(of: "bpf") })
        #expect(!refusals.contains { $0.name == "openat" })
        // One call never means both: the supervisor could not tell which answer is due.
        for group in SeccompTable.groups {
            let outcomes = group.decision.outcomes.union(group.nested?.outcomes ?? [])
            #expect(!(outcomes.contains(.refuse) && outcomes.contains(.observe)), "\(group.names)")
        }
    }

    /// What no profile may add is not allowed by the table either, except where it is checked.
    @Test func forbiddenNamesAreDenied() {
        for name in SeccompTable.forbiddenNames {
            guard let group = SeccompTable.rules[name] else {
                #expect(name == "umount", "the old name of umount2 is the only one without a rule of its own")
                continue
            }
            let decision = SeccompTable.decision(for: name, under: SeccompPolicy(extra: [name]))
            #expect(group.decision.denies || decision.outcomes.contains(.listen), "\(name)")
        }
    }

    @Test func extraCallsAreChecked() {
        #expect(SeccompTable.check(extra: ["ptrace", "mbind", "read", "perf_event_open"]) == [])
        let mistakes = SeccompTable.check(extra: ["bpf", "ptrace", "ptrase", "qqqqqqqqqqqq", "unshare"])
        #expect(mistakes.count == 4)
        guard case .forbiddenCall("bpf", let reason) = mistakes.first else {
            Issue.record("bpf was not refused")
            return
        }
        #expect(reason.contains("kernel"))
        #expect(mistakes[1] == .unknownCall(name: "ptrase", nearest: "ptrace"))
        #expect(mistakes[2] == .unknownCall(name: "qqqqqqqqqqqq", nearest: nil))
        #expect(mistakes[3].description.contains("nested = true"))
        #expect(throws: mistakes[1]) { try SeccompFilters.filter(for: SeccompPolicy(extra: ["ptrase"])) }
        #expect(throws: mistakes[0]) { try SeccompFilters.filter(for: SeccompPolicy(extra: ["bpf"])) }
    }

    /// Naming a call that is allowed anyway does not hide it from a supervisor that watches writes.
    @Test func extraDoesNotStopObservation() throws {
        let policy = SeccompPolicy(extra: ["openat", "unlinkat"], report: .refusalsAndWrites)
        var machine = FilterMachine(try SeccompFilters.filter(for: policy).instructions)
        for name in ["openat", "unlinkat"] {
            let number = UInt32(try #require(SyscallNumbers.number(of: name)))
            let call = CallData(number: number, arguments: [0, 0, 0o101, 0, 0, 0])
            #expect(try machine.run(call) == 0x7FC0_0000, "\(name)")
        }
    }
}
