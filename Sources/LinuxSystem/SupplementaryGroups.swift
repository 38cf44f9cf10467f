/// The caller's supplementary groups, getgroups(2).
public enum SupplementaryGroups {
    /// Names from /etc/group, or numbers, without the group `own`.
    public static func names(besides own: UInt32) -> [String] {
        var groups = [gid_t](repeating: 0, count: 4096)
        let count = unsafe getgroups(Int32(groups.count), &groups)
        let others = groups.prefix(max(Int(count), 0)).filter { $0 != own }
        if others.isEmpty { return [] }
        let lines = ((try? readText("/etc/group", limit: 4 << 20)) ?? "").split(separator: "\n")
        return others.map { group in
            let line = lines.first { line in
                let fields = line.split(separator: ":", omittingEmptySubsequences: false)
                return fields.count > 2 && UInt32(fields[2]) == group
            }
            return line.map { String($0.prefix { $0 != ":" }) } ?? String(group)
        }
    }
}
