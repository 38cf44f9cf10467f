import CLaunch
import LinuxSystem
import Plan

/// One user namespace for each owner that idmapped mounts show as the agent.
struct IdmapTable {
    private let owners: [OwnerMap]

    /// - Throws: when the plan has more owners than the child has places for.
    init(_ plan: SandboxPlan) throws(LaunchFailure) {
        var owners: [OwnerMap] = []
        for mount in plan.mounts {
            guard let map = mount.idmap, !owners.contains(map) else { continue }
            owners.append(map)
        }
        guard Slot.firstIdmap + Int32(owners.count) <= Int32(mis_slot_count) else {
            throw LaunchFailure(
                Errno(EMFILE).doing(
                    "showing files of so many owners as the agent's", "\(owners.count)",
                    remedy: "list fewer folders, or such that belong to the same account"))
        }
        self.owners = owners
    }

    /// Where the child keeps an owner's; -1 for none.
    func slot(of map: OwnerMap?) -> Int32 {
        map.flatMap(owners.firstIndex).map { Slot.firstIdmap + Int32($0) } ?? -1
    }

    /// Steps by which the child waits for all of them.
    func receive(_ steps: inout StepList) {
        for index in owners.indices {
            steps.add(
                mis_step_receive, deed: "receiving the id map", number: UInt64(Slot.firstIdmap) + UInt64(index))
        }
    }

    /// Makes them. Once sent they are in the socket or with the child.
    func make(for identity: AgentIdentity, handingTo sandbox: SandboxedProcess) throws(LaunchFailure) {
        for map in owners {
            var holder: Int32 = 0
            defer { if holder > 0 { sandbox.helpers.append(holder) } }
            let mapping = try OwnerMapping.open(map, identity: identity, holder: &holder)
            do throws(Errno) {
                try sandbox.send(mapping.number)
            } catch {
                // The child's end is closed when it ended; what it failed at is the cause.
                throw sandbox.setupFailure() ?? LaunchFailure(error.doing("handing over the id map"))
            }
        }
    }
}
