/// Constants and plain calls of libc, and the shim's: whoever speaks to the kernel imports LinuxSystem alone.
@_exported public import CLinux
@_exported public import Glibc
