import LinuxSystem

/// Brings the two places of one listed file together.
struct HomeCarrier {
    let folder: HomeFolder
    let file: HomeFile
    let keeper: Quarantine
    let settings: HomeFiles.Settings
    /// Nobody is left inside who could finish what he began.
    let isEnd: Bool
    let note: (HomeFiles.Note) -> Void

    func carry() {
        guard let inside = folder.inside else { return }
        let limit = isEnd ? settings.limit : settings.liveLimit
        let there = FileImage.read(file.name, in: inside.descriptor.number, limit: limit, insists: isEnd)
        let here = FileImage.read(file.hostName, in: folder.host.number, limit: limit, insists: false)
        switch (there, here) {
        case (.busy, _), (_, .busy):
            // At the end the host's file may be busy: another agent is saving. Ours goes over it, whole.
            guard isEnd, case .file(let image) = there else {
                file.isDirty = !isEnd
                return
            }
            if image.digest != file.common { write(image) }
        case (.failed(let error), _), (_, .failed(let error)):
            tell(.failed(error))
        case (.file(let one), .file(let other)):
            both(one, other)
        case (.file(let image), .absent):
            // Removed outside meanwhile: only a change brings it back.
            if image.digest != file.common { write(image) }
        case (.absent, .file(let image)):
            remove(image)
        case (.absent, .absent):
            file.common = nil
        case (.otherKind(isFolder: true), .absent), (.otherKind(isFolder: true), .otherKind(isFolder: true)):
            if isEnd { copyFolder() }
        case (.tooLarge, _), (_, .tooLarge):
            if isEnd { tell(.notCarried("larger than \(settings.limit) bytes")) }
        case (.otherKind, _):
            if isEnd { tell(.notCarried("not a regular file inside")) }
        case (_, .otherKind):
            if isEnd { tell(.notCarried("not a regular file on the host")) }
        }
    }

    private func tell(_ kind: HomeFiles.Note.Kind) { note(HomeFiles.Note(path: file.hostPath, kind: kind)) }

    private func both(_ inside: FileImage, _ host: FileImage) {
        if inside.digest == host.digest {
            file.common = inside.digest
            return
        }
        let insideChanged = inside.digest != file.common
        let hostChanged = host.digest != file.common
        switch (insideChanged, hostChanged) {
        case (false, _):
            // Emptied outside: most likely the contents follow.
            if !host.bytes.isEmpty, !isEnd { bringIn(host, over: inside) }
        case (true, false):
            guard !inside.bytes.isEmpty || isEnd else { return }
            write(inside, over: host)
        case (true, true):
            conflict(inside, host)
        }
    }

    private func conflict(_ inside: FileImage, _ host: FileImage) {
        if inside.bytes.isEmpty || host.bytes.isEmpty {
            // An empty file is no rival: it is about to be filled, or its writer was killed.
            guard isEnd || !inside.bytes.isEmpty else { return }
            if host.bytes.isEmpty { write(inside, over: host) }
            return
        }
        let insideWins = inside.status.modified >= host.status.modified
        let loser = insideWins ? host : inside
        let kept = keeper.keep(loser.bytes, as: file.hostName)
        tell(.conflict(insideWon: insideWins, kept: kept))
        if insideWins { write(inside, over: host) } else if !isEnd { bringIn(host, over: inside) }
    }

    private func write(_ image: FileImage, over host: FileImage? = nil) {
        do throws(Errno) {
            try FileImage.replace(
                file.hostName, in: folder.host.number, with: image.bytes, mode: host?.status.mode ?? image.status.mode,
                user: host?.status.user ?? file.user, group: host?.status.group ?? file.group)
            file.common = image.digest
            tell(.written)
        } catch {
            tell(.failed(error))
        }
    }

    private func bringIn(_ image: FileImage, over inside: FileImage) {
        guard let target = folder.inside else { return }
        do throws(Errno) {
            try FileImage.replace(
                file.name, in: target.descriptor.number, with: image.bytes, mode: inside.status.mode,
                user: inside.status.user, group: inside.status.group)
            file.common = image.digest
            tell(.updatedInside)
        } catch {
            tell(.failed(error))
        }
    }

    /// Absent inside, present on the host.
    private func remove(_ host: FileImage) {
        // Changed outside since, or never common: not ours to remove.
        guard isEnd, let common = file.common, host.digest == common else { return }
        do throws(Errno) {
            try file.hostName.remove(from: folder.host.number)
            file.common = nil
            tell(.removed)
        } catch {
            tell(.failed(error))
        }
    }

    /// A listed name that did not exist, or that a glob means, and that became a folder inside.
    private func copyFolder() {
        guard let inside = folder.inside else { return }
        var copy = HomeFolderCopy(file: file, settings: settings)
        do throws(Errno) {
            try copy.copy(
                file.name, from: inside.descriptor.number, to: folder.host.number, as: file.hostName, depth: 0)
            tell(.written)
        } catch {
            tell(.failed(error))
        }
        if copy.isCut { tell(.notCarried("a part: the folder is too large, too deep, or holds more than files")) }
    }
}

/// Copies a folder that is new inside to the host, at the end of a run: folders and regular files, within limits.
private struct HomeFolderCopy {
    let file: HomeFile
    let settings: HomeFiles.Settings
    var entriesLeft: Int
    var bytesLeft: Int
    /// Something was left out.
    var isCut = false

    init(file: HomeFile, settings: HomeFiles.Settings) {
        self.file = file
        self.settings = settings
        entriesLeft = settings.entries
        bytesLeft = settings.limit * 4
    }

    mutating func copy(
        _ name: EntryName, from source: Int32, to target: Int32, as newName: EntryName, depth: Int
    ) throws(Errno) {
        guard depth < 32 else {
            isCut = true
            return
        }
        let from = try name.open(in: source, O_RDONLY | O_DIRECTORY)
        let status = try from.status()
        do throws(Errno) {
            try newName.makeFolder(in: target, mode: 0o700)
        } catch {
            if error.code != EEXIST { throw error }
        }
        let to = try newName.open(in: target, O_RDONLY | O_DIRECTORY)
        for inner in try entries(of: from, limit: entriesLeft + 1) {
            entriesLeft -= 1
            guard entriesLeft >= 0 else {
                isCut = true
                break
            }
            switch FileImage.read(inner, in: from.number, limit: min(settings.limit, bytesLeft), insists: true) {
            case .file(let image):
                bytesLeft -= image.bytes.count
                // What the host has by now stays: it is not ours.
                if inner.exists(in: to.number) { continue }
                try FileImage.replace(
                    inner, in: to.number, with: image.bytes, mode: image.status.mode, user: file.user,
                    group: file.group)
            case .otherKind(isFolder: true):
                try copy(inner, from: from.number, to: to.number, as: inner, depth: depth + 1)
            case .absent: break
            default: isCut = true
            }
        }
        let made = try to.status()
        if made.user != file.user || made.group != file.group {
            try kernel { fchown(to.number, file.user, file.group) }
        }
        try kernel { fchmod(to.number, mode_t(status.mode) & 0o777) }
    }
}
