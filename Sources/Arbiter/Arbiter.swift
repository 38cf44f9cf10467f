import CBpf
import LinuxSystem

/// The kernel's programs of this machine: loaded once, found by every later run.
@safe public struct Arbiter: ~Copyable {
    let pins: String
    let root: String
    let without: String
    let tables: Tables
    let links: [Link]
    /// The folder of the links' pins, open: looking at it takes no way through sysfs, on which all who look would meet.
    let linksFolder: FileDescriptor
    let registry: UnsafeMutablePointer<arbiter_registry>
    let tree: UnsafeMutablePointer<arbiter_tree>
    let sandboxes: UnsafeMutablePointer<arbiter_sandbox>
    let revoking = Revoking()
    let standing = Standing()
    /// Whether this call loaded them (the kernel verifies each) or found them, which is far quicker.
    public let loaded: Bool

    /// Finds the programs, or loads and pins them; collects what crashed runs left.
    ///
    /// - Parameters:
    ///   - root: the folder of pins, on bpffs.
    ///   - without: names of programs to leave out, separated by commas. For tests: it shows what a program is for.
    ///   - missing: programs that may be detached already. For tests, which detach one after another.
    /// - Throws: ``ArbiterError/incomplete(_:_:)`` where a program that was attached is so no more.
    public static func open(
        root: String = "/sys/fs/bpf/mis", without: String = "", missing: Set<String> = []
    ) throws(ArbiterError) -> Arbiter {
        let pins = try Pins(root: root, without: without)
        let loaded = try pins.ensure(without: without)
        let arbiter = try attached(to: pins.folder, root: root, without: without, loaded: loaded)
        let wanted = unsafe Arbiter.wanted(arbiter.registry)
        let lacking = wanted.map(\.name).filter { name in
            !arbiter.links.contains { $0.name == name } && !missing.contains(name)
        }.sorted()
        guard lacking.isEmpty, !wanted.isEmpty else { throw .incomplete("\(arbiter.pins)/links", lacking) }
        unsafe cbpf_tree_tick(arbiter.tree)
        arbiter.collect()
        for other in try pins.others() where !Pins.inUse(other) { try Pins.remove(other) }
        return arbiter
    }

    static func attached(
        to pins: String, root: String, without: String, loaded: Bool
    ) throws(ArbiterError) -> Arbiter {
        let tables = try Tables.open(pins)
        let registryMap = try Pins.map(pins, "_data_registry", key: 4, value: MemoryLayout<arbiter_registry>.size)
        let treeMap = try Pins.map(pins, "_data_tree", key: 4, value: MemoryLayout<arbiter_tree>.size)
        guard let registry = unsafe cbpf_registry(registryMap.number), let tree = unsafe cbpf_tree(treeMap.number),
            let sandboxes = unsafe cbpf_sandboxes(tables.sandboxes.number)
        else {
            throw .system(Errno(errno).doing("mapping the tables of", pins))
        }
        guard unsafe registry.pointee.version == UInt32(ARBITER_VERSION) else { throw .foreignPin(pins) }
        let folder: FileDescriptor
        do { folder = try FileDescriptor.open("\(pins)/links", O_RDONLY | O_DIRECTORY | O_NOFOLLOW) } catch {
            throw .system(error.doing("opening", "\(pins)/links"))
        }
        // Before the pins themselves: what changes meanwhile is a change the next time.
        let before = try? folder.status()
        let links = try openLinks(pins, folder, unsafe wanted(registry))
        let arbiter = unsafe Arbiter(
            pins: pins, root: root, without: without, tables: tables, links: links, linksFolder: folder,
            registry: registry, tree: tree, sandboxes: sandboxes, loaded: loaded)
        arbiter.standing.found(before)
        return arbiter
    }

    /// The programs that were attached when the pins were made, this kernel's whole set: their names, and the kernel's
    /// numbers for them.
    ///
    /// Some fifty, so they are looked through: the first dictionary of a kind costs a start more.
    private static func wanted(
        _ registry: UnsafeMutablePointer<arbiter_registry>
    ) -> [(name: String, program: UInt32)] {
        var programs: [(name: String, program: UInt32)] = []
        var index: UInt32 = 0
        while let name = unsafe cbpf_registry_link(registry, index) {
            unsafe programs.append((String(cString: name), cbpf_registry_program(registry, index)))
            index += 1
        }
        return programs
    }

    /// What holds a program in its place.
    struct Link {
        let name: String
        let descriptor: Int32
        let program: UInt32

        /// A link is told by the program it holds.
        var holds: Bool { program != 0 && cbpf_link_program(descriptor) == program }
    }

    /// Held open: the programs then stay attached even if somebody removes the pins under a running sandbox.
    private static func openLinks(
        _ pins: String, _ folder: borrowing FileDescriptor, _ wanted: [(name: String, program: UInt32)]
    ) throws(ArbiterError) -> [Link] {
        let names: [String]
        do { names = try namesInFolder(folder) } catch {
            throw .system(error.doing("reading", "\(pins)/links"))
        }
        var links: [Link] = []
        for name in names {
            var descriptor = unsafe cbpf_pinned_below(folder.number, name)
            if descriptor < 0, errno == EINVAL { descriptor = unsafe cbpf_pinned("\(pins)/links/\(name)") }
            let program = wanted.first { $0.name == name }?.program ?? 0
            let link = Link(name: name, descriptor: descriptor, program: program)
            if link.descriptor >= 0 { links.append(link) }
            guard link.descriptor >= 0, link.holds else {
                for link in links { close(link.descriptor) }
                throw .foreignPin("\(pins)/links/\(name)")
            }
        }
        return links
    }

    deinit {
        for link in links { close(link.descriptor) }
        unsafe cbpf_registry_unmap(registry)
        unsafe cbpf_tree_unmap(tree)
        unsafe cbpf_sandboxes_unmap(sandboxes)
    }

    /// What no longer stands: names of programs whose pin or attachment is gone. Empty while all is well. Meant for once
    /// a second, and it moves the clock by which verdicts age. One look at the folder of pins where that is as it was,
    /// a few hundred microseconds where it is not, or now and then: hundreds of sandboxes ask.
    public func lost() -> [String] {
        unsafe cbpf_tree_tick(tree)
        var lost: [String] = []
        if !revoking.stands { lost.append(Arbiter.revokingName) }
        // Before the pins themselves: what changes meanwhile is a change the next time.
        let folder = try? linksFolder.status()
        if let folder, standing.vouches(for: folder) { return lost }
        // The folder we hold may have been moved away, whole.
        let isThere = (try? FileStatus(of: "\(pins)/links"))?.identity == folder?.identity
        var missing: [String] = []
        for link in links {
            let pinned = unsafe isThere && faccessat(linksFolder.number, link.name, F_OK, 0) == 0
            if !pinned || !link.holds { missing.append(link.name) }
        }
        standing.found(missing.isEmpty ? folder : nil)
        return lost + missing
    }

    /// The programs at work here, by name.
    public var programs: [String] { links.map(\.name).sorted() }

    /// Lets every verdict given before be found out anew: after a change of rules.
    public func voidVerdicts() { unsafe cbpf_tree_changed(tree) }

    /// Each program's price at loading: verified instructions and bytes of machine code.
    public static func measure() throws(ArbiterError) -> [(name: String, hook: String, verified: UInt32, bytes: UInt32)]
    {
        var lines = [cbpf_program](repeating: cbpf_program(), count: 128)
        let count = unsafe lines.withUnsafeMutableBufferPointer {
            unsafe cbpf_measure(cbpf_object(), cbpf_object_size(), $0.baseAddress!, Int32($0.count))
        }
        try attempt("loading the kernel's programs") { count }
        return lines.prefix(Int(count)).map {
            (text(of: $0.name), text(of: $0.section), $0.verified, $0.bytes)
        }
    }
}

/// The text before the first zero byte of a C array, which Swift sees as a tuple.
func text<Tuple>(of tuple: Tuple) -> String {
    unsafe withUnsafeBytes(of: tuple) { bytes in
        let end = unsafe bytes.firstIndex(of: 0) ?? bytes.count
        return unsafe String(decoding: bytes[..<end], as: UTF8.self)
    }
}
