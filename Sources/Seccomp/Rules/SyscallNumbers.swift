import CSeccomp

/// Names and numbers of system calls on the machine this is compiled for.
package enum SyscallNumbers {
    /// Calls younger than Debian 12's libseccomp. From 424 on every architecture uses the same numbers
    /// (scripts/syscall.tbl); a library that knows a name goes first.
    private static let young: [(name: String, number: Int32)] =
        [
            ("futex_waitv", 449), ("set_mempolicy_home_node", 450), ("cachestat", 451), ("fchmodat2", 452),
            ("map_shadow_stack", 453), ("futex_wake", 454), ("futex_wait", 455), ("futex_requeue", 456),
            ("statmount", 457), ("listmount", 458), ("lsm_get_self_attr", 459), ("lsm_set_self_attr", 460),
            ("lsm_list_modules", 461), ("mseal", 462), ("setxattrat", 463), ("getxattrat", 464), ("listxattrat", 465),
            ("removexattrat", 466), ("open_tree_attr", 467), ("file_getattr", 468), ("file_setattr", 469),
            ("listns", 470), ("rseq_slice_yield", 471),
        ] + youngHere

    #if arch(x86_64)
        private static let youngHere: [(name: String, number: Int32)] = [("uretprobe", 335), ("uprobe", 336)]
    #else
        private static let youngHere: [(name: String, number: Int32)] = []
    #endif

    /// `nil` when this architecture has no such call.
    package static func number(of name: String) -> Int32? {
        let number = unsafe seccomp_syscall_resolve_name(name)
        // libseccomp gives calls of other architectures negative numbers of its own.
        return number >= 0 ? number : young.first { $0.name == name }?.number
    }

    /// Every call of the table that this architecture has, by number.
    package static func table() -> [(number: Int32, name: String)] {
        SeccompTable.rules.keys.compactMap { name in number(of: name).map { ($0, name) } }.sorted(by: <)
    }
}
