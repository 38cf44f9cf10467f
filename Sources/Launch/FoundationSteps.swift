import CLaunch
import LinuxSystem
import Plan

/// The first steps of every sandbox: its mount namespace, an empty private root, /proc and /dev.
///
/// They take the kernel as long as reading the profile takes the launcher, and need to know nothing of it; so the child
/// is at them meanwhile. What the profile adds follows (``GroundSteps``), and what the plan adds (``RootSteps``,
/// ``ConfinementSteps``).
struct FoundationSteps {
    let foundation: Foundation

    /// What clone3 makes; the rest is unshared by the child while the launcher goes on.
    var cloneFlags: UInt64 { UInt64(CLONE_NEWPID) | (foundation.isPrivileged ? 0 : UInt64(CLONE_NEWUSER)) }

    func write(to steps: inout StepList) {
        steps.add(mis_step_die_with_parent, deed: "binding the sandbox's life to the launcher's")
        steps.add(mis_step_mask, deed: "clearing the file mode creation mask", number: 0)
        if case .ordinary(let identity) = foundation {
            steps.mapOne(
                "/proc/self", at: .host, user: (identity.insideUser, identity.hostUser),
                group: (identity.insideGroup, identity.hostGroup))
        }
        steps.add(mis_step_unshare, deed: "making the mount namespace", number: UInt64(CLONE_NEWNS))
        root(&steps)
        proc(&steps)
        devices(&steps)
        // The last to let go of a mount waits for the kernel's grace periods. It is not to be the child, on its way to the
        // agent or at its end, but whoever closes our copies: the guardian, when the launcher is gone.
        steps.add(
            mis_step_open_namespace, deed: "opening", object: "the mount namespace", path: "/proc/self/ns/mnt",
            slot: .mountNamespace)
        for slot in [Slot.mountNamespace, .proc] {
            steps.add(
                mis_step_send, deed: "handing over what is let go of last", slot: slot,
                number: UInt64(SentDescriptor.kept.rawValue))
        }
    }

    private func root(_ steps: inout StepList) {
        steps.add(mis_step_private_mounts, deed: "cutting mount propagation")
        steps.newFileSystem(
            "tmpfs", options: [("mode", "0755"), ("size", "16m")],
            attributes: MountAttribute.noSetuid | (foundation.isPrivileged ? 0 : MountAttribute.noDevices), slot: .root,
            object: "the private root")
        steps.add(
            mis_step_attach, deed: "mounting the private root over", object: "/", path: "/", slot: .root,
            flags: mis_flag_sure_place.rawValue)
        steps.add(mis_step_enter, deed: "changing to", object: "the private root", slot: .root)
        // Files of our own that are bound over others. They stand where /proc is mounted next: covered by it, they need
        // no removing, and a mount made of one shows its place's name and not that of a deleted file.
        steps.folder("proc")
        steps.folder("proc/own", mode: 0o700)
        steps.add(
            mis_step_open, deed: "opening", object: "the scratch folder", at: .slot(.root), path: "proc/own",
            slot: .scratch)
        steps.file("empty", mode: 0, at: .slot(.scratch))
        steps.file("seen", mode: 0o444, at: .slot(.scratch))
        steps.add(
            mis_step_directory, deed: "making", object: "an empty folder", at: .slot(.scratch), path: "void", number: 0)
    }

    // MARK: /proc and /dev

    /// Files of /proc that tell about the host, or control it; absent ones are passed over. Most belong to root alone,
    /// whom no agent is: the mask is the second layer.
    private static let maskedFiles = [
        "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount", "kpageflags",
        "latency_stats", "modules", "mtrr", "pagetypeinfo", "sched_debug", "slabinfo", "softirqs", "sysrq-trigger",
        "timer_list", "timer_stats", "vmallocinfo", "zoneinfo",
    ]
    private static let maskedFolders = ["acpi", "asound", "dynamic_debug", "pressure", "scsi"]
    private static let readOnlyFolders = ["bus", "fs", "irq", "sys"]

    private func proc(_ steps: inout StepList) {
        let attributes = MountAttribute.noSetuid | MountAttribute.noDevices | MountAttribute.noExecute
        steps.ownFileSystem("proc", attributes: attributes, path: "proc")
        // Maps and limits are written through this one later, when the visible one is read-only in parts.
        steps.add(
            mis_step_clone_mount, deed: "keeping a private handle on", object: "/proc", source: .slot(.root),
            sourcePath: "proc", slot: .proc, flags: mis_flag_sure_source.rawValue)
        for name in Self.readOnlyFolders {
            steps.add(
                mis_step_bind_here, deed: "making read-only", object: "/proc/\(name)", path: "proc/\(name)",
                sourcePath: "proc/\(name)", attributes: MountAttribute.readOnly,
                flags: mis_flag_may_be_absent.rawValue)
        }
        mask(Mask.file, with: "empty", Self.maskedFiles, &steps)
        mask(Mask.folder, with: "void", Self.maskedFolders, &steps)
    }

    /// The first mask is made of a file or folder of our own and gets its attributes; the others show that one again,
    /// attributes included, in a single call each.
    private func mask(_ first: String, with own: String, _ names: [String], _ steps: inout StepList) {
        steps.add(
            mis_step_bind, deed: "masking", object: "/\(first)", at: .slot(.root), path: first,
            source: .slot(.scratch), sourcePath: own, attributes: Mask.attributes,
            flags: mis_flag_sure_place.rawValue | mis_flag_sure_source.rawValue)
        for name in names {
            steps.add(
                mis_step_bind_here, deed: "masking", object: "/proc/\(name)", path: "proc/\(name)",
                sourcePath: first, flags: mis_flag_may_be_absent.rawValue)
        }
    }

    private static let nodes: [(name: String, major: UInt32, minor: UInt32)] = [
        ("full", 1, 7), ("null", 1, 3), ("random", 1, 8), ("tty", 5, 0), ("urandom", 1, 9), ("zero", 1, 5),
    ]

    private func devices(_ steps: inout StepList) {
        let quiet = MountAttribute.noSetuid | MountAttribute.noExecute
        steps.folder("dev")
        steps.ownFileSystem("tmpfs", options: [("mode", "0755"), ("size", "64k")], attributes: quiet, path: "dev")
        for node in Self.nodes {
            if foundation.isPrivileged {
                steps.add(
                    mis_step_node, deed: "making the device", object: "/dev/\(node.name)", at: .slot(.root),
                    path: "dev/\(node.name)", number: UInt64(S_IFCHR | 0o666),
                    value: UInt64(clinux_makedev(node.major, node.minor)))
            } else {
                // Only root makes device nodes: the host's is bound, after a look that it is one.
                steps.file("dev/\(node.name)", mode: 0o666)
                steps.add(
                    mis_step_bind_here, deed: "binding the device", object: "/dev/\(node.name)",
                    path: "dev/\(node.name)", sourcePath: "/dev/\(node.name)",
                    attributes: quiet, identity: (try? FileStatus(of: "/dev/\(node.name)"))?.identity)
            }
        }
        for (name, target) in [
            ("fd", "/proc/self/fd"), ("ptmx", "pts/ptmx"), ("stderr", "/proc/self/fd/2"),
            ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
        ] { steps.symlink("dev/\(name)", to: target) }
        steps.folder("dev/pts")
        steps.ownFileSystem(
            "devpts", options: [("ptmxmode", "0666"), ("mode", "0620")], attributes: quiet, path: "dev/pts")
        steps.folder("dev/shm")
        steps.add(
            mis_step_mount_attributes, deed: "making read-only", object: "/dev", at: .slot(.root), path: "dev",
            attributes: MountAttribute.readOnly, flags: mis_flag_sure_place.rawValue)
    }
}

/// Mounts that show nothing, to make more of.
enum Mask {
    /// Where the first one is. Every kernel has these two, and never takes them away: a mask that is passed over because of
    /// "no such file" is one whose target is absent.
    static let file = "proc/interrupts"
    static let folder = "proc/driver"
    static let attributes =
        MountAttribute.readOnly | MountAttribute.noSetuid | MountAttribute.noDevices | MountAttribute.noExecute
}

extension StepList {
    /// Maps one user and one group; supplementary groups can be neither used nor dropped behind such a map.
    mutating func mapOne(
        _ folder: String, at place: Place, user: (inside: UInt32, outside: UInt32),
        group: (inside: UInt32, outside: UInt32)
    ) {
        for (name, text) in [
            ("setgroups", "deny"), ("gid_map", "\(group.inside) \(group.outside) 1\n"),
            ("uid_map", "\(user.inside) \(user.outside) 1\n"),
        ] {
            add(
                mis_step_write_file, deed: "writing the id map", object: "\(folder)/\(name)", at: place,
                path: "\(folder)/\(name)", text: text)
        }
    }
}
