import LinuxSystem

/// A folder of the private home, or one on the way to it: open and watched as long as it exists.
final class HomePlace {
    final class Opened {
        let descriptor: FileDescriptor
        let identity: ObjectIdentity
        let watch: Int32?

        init(descriptor: consuming FileDescriptor, identity: ObjectIdentity, watch: Int32?) {
            self.descriptor = descriptor
            self.identity = identity
            self.watch = watch
        }
    }

    /// Below the home folder; empty: itself.
    let names: [EntryName]
    var opened: Opened?

    init(names: [EntryName]) { self.names = names }
}

/// A folder with listed files, on both sides.
final class HomeFolder {
    let place: HomePlace
    let hostPath: String
    let host: FileDescriptor
    let hostWatch: Int32
    var files: [EntryName: HomeFile] = [:]
    var inside: HomePlace.Opened? { place.opened }

    init(place: HomePlace, hostPath: String, host: consuming FileDescriptor, hostWatch: Int32) {
        self.place = place
        self.hostPath = hostPath
        self.host = host
        self.hostWatch = hostWatch
    }
}

/// A listed file: its two places, and what they had in common when last seen.
final class HomeFile {
    let name: EntryName
    let hostName: EntryName
    let hostPath: String
    let user: UInt32
    let group: UInt32
    /// `nil`: nothing yet.
    var common: FileImage.Digest?
    var isDirty = false
    /// Came by a glob.
    var isAdopted = false

    init(name: EntryName, hostName: EntryName, hostPath: String, user: UInt32, group: UInt32) {
        self.name = name
        self.hostName = hostName
        self.hostPath = hostPath
        self.user = user
        self.group = group
    }
}
