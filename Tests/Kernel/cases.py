"""Every hook once: an attack that must work without its program and fail with it, and an honest act beside it.

A case is (program, attack, honest, options). Attack and honest are Python run inside the sandbox; they raise OSError
when refused. `OUT` is a process outside the sandbox, `LIBC` ctypes' libc, `call` a raw system call that raises."""

CASES = []


def case(program, attack, honest="pass", options=(), kernels=None):
    CASES.append((program, attack, honest, options, kernels))


# --- files ----------------------------------------------------------------------------------------------------------
case("path_mknod", "os.mknod('/w/ro/new')", "os.mknod('/w/a/new%d' % os.getpid())")
case("path_mkdir", "os.mkdir('/w/ro/dir%d' % os.getpid())", "os.mkdir('/w/a/dir%d' % os.getpid())")
case("path_symlink", "os.symlink('x', '/w/ro/link%d' % os.getpid())", "os.symlink('x', '/w/a/link%d' % os.getpid())")
case("path_link", "os.link('/w/ro/f', '/w/a/hard%d' % os.getpid())", "os.link('/w/a/f', '/w/a/h%d' % os.getpid())")
case("path_unlink", "os.unlink('/w/ro/gone')", "os.unlink('/w/a/gone')")
case("path_rmdir", "os.rmdir('/w/ro/empty')", "os.rmdir('/w/a/empty')")
case("path_rename", "os.rename('/w/ro/move', '/w/a/moved'); os.rename('/w/a/moved', '/w/ro/move')",
     "os.rename('/w/a/f', '/w/a/f2'); os.rename('/w/a/f2', '/w/a/f')")
case("path_truncate", "os.truncate('/w/ro/f', 1)", "os.truncate('/w/a/t', 1)")
case("path_chmod", "os.chmod('/w/ro/f', 0o600)", "os.chmod('/w/a/f', 0o644)")
case("path_chown", "os.chown('/w/ro/f', 1, 1)", "os.chown('/w/a/f', 0, 0)")
case("inode_setattr_*", "os.utime('/w/ro/f', (1, 1))", "os.utime('/w/a/f', (1, 1))")
case("inode_setxattr", "os.setxattr('/w/ro/f', 'user.a', b'1')", "os.setxattr('/w/a/f', 'user.a', b'1')")
case("inode_removexattr", "os.removexattr('/w/ro/x', 'user.old')",
     "os.setxattr('/w/a/f', 'user.b', b'1'); os.removexattr('/w/a/f', 'user.b')")
ACL = "b'\\x02\\0\\0\\0\\x01\\0\\x06\\0\\xff\\xff\\xff\\xff\\x04\\0\\x04\\0\\xff\\xff\\xff\\xff\\x20\\0\\x04\\0\\xff\\xff\\xff\\xff'"
case("inode_set_acl", f"os.setxattr('/w/ro/f', 'system.posix_acl_access', {ACL})",
     f"os.setxattr('/w/a/f', 'system.posix_acl_access', {ACL})", kernels=("6.12", "7"))
case("mmap_file", "import mmap; mmap.mmap(os.open('/w/a/data', os.O_RDONLY), 4096, mmap.MAP_PRIVATE, 5)",
     "import mmap; mmap.mmap(os.open('/w/a/data', os.O_RDONLY), 4096, mmap.MAP_PRIVATE, 1)")
case("file_mprotect", """
LIBC.mmap.restype = ctypes.c_void_p
p = LIBC.mmap(None, 4096, 1, 2, os.open('/w/a/data', os.O_RDONLY), 0)
if LIBC.mprotect(ctypes.c_void_p(p), 4096, 5): raise OSError(ctypes.get_errno(), 'mprotect')""", """
LIBC.mmap.restype = ctypes.c_void_p
p = LIBC.mmap(None, 4096, 3, 2, os.open('/w/a/data', os.O_RDONLY), 0)
if LIBC.mprotect(ctypes.c_void_p(p), 4096, 1): raise OSError(ctypes.get_errno(), 'mprotect')""")
RECEIVE = """
s = socket.socket(socket.AF_UNIX); s.connect('/w/a/server'); s.sendall(b'%s')
data, fds, flags, _ = socket.recv_fds(s, 10, 1)
if not fds: raise OSError(13, 'no descriptor came')
os.read(fds[0], 1)"""
case("file_receive", RECEIVE % "s", RECEIVE % "f")
case("file_ioctl", "import pty, fcntl; m, s = pty.openpty(); fcntl.ioctl(s, 0x5412, b'x')",
     "import pty, fcntl, termios; m, s = pty.openpty(); termios.tcgetattr(s)")
# From 64-bit code, the interface of 32-bit programs: int 0x80 with its numbers; below 4 GB, where its pointers reach.
COMPAT = """
import pty, mmap, struct
m, s = pty.openpty()
LIBC.mmap.restype = ctypes.c_void_p
p = LIBC.mmap(None, 4096, 7, 0x62, -1, 0)
code = bytes.fromhex('53b836000000bb') + struct.pack('<I', s) + b'\\xb9' + struct.pack('<I', %s) + b'\\xba'
code += struct.pack('<I', p + 2048) + bytes.fromhex('cd805bc3')
ctypes.memmove(p, code, len(code))
r = ctypes.CFUNCTYPE(ctypes.c_int)(p)()
if r < 0: raise OSError(-r, 'ioctl of 32 bits')"""
case("file_ioctl_compat", COMPAT % "0x5412", COMPAT % "0x5413")
case("path_notify", "i = call('inotify_init1', 294, 0); call('watch', 254, i, b'/w/secret', 0x100)",
     "i = call('inotify_init1', 294, 0); call('watch', 254, i, b'/w/a', 0x100)")
# --- exec -----------------------------------------------------------------------------------------------------------
MEMFD = """
f = os.memfd_create('code', 0)
os.write(f, open('/usr/bin/true', 'rb').read())
pid = os.fork()
if not pid:
    try: os.execve(f, ['true'], {})
    except OSError as e: os._exit(e.errno)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if code: raise OSError(code, 'exec of a memfd')"""
SETUID = """
pid = os.fork()
if not pid:
    os.setuid(1000)
    try: os.execv('/usr/local/bin/%s', ['id', '-u'])
    except OSError as e: os._exit(e.errno)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if code: raise OSError(code, 'exec')"""
case("bprm_creds_from_file", SETUID % "suid-id", SETUID % "plain-id")
case("task_fix_setuid", """
LIBC.prctl(8, 1, 0, 0, 0)
os.setresuid(1000, 1000, 1000)
import struct
call('capset', 126, struct.pack('<Ii', 0x20080522, 0), struct.pack('<IIIIII', 128, 128, 0, 0, 0, 0))
call('setuid', 105, 0)""", "os.setresuid(1000, 1000, 1000)")
# --- processes ------------------------------------------------------------------------------------------------------
case("ptrace_access_check", "os.open('/proc/%d/mem' % OUT, os.O_RDONLY)", "os.open('/proc/self/mem', os.O_RDONLY)")
case("ptrace_traceme", "call('ptrace', 101, 0, 0, 0, 0)")
case("task_kill", "os.kill(OUT, 0)", "os.kill(os.getpid(), 0)")
case("task_setnice", "os.setpriority(os.PRIO_PROCESS, OUT, 5)", "os.setpriority(os.PRIO_PROCESS, 0, 1)")
case("task_setscheduler", "os.sched_setaffinity(OUT, {0})", "os.sched_setaffinity(0, {0})")
case("task_setioprio", "call('ioprio_set', 251, 1, OUT, 2 << 13 | 4)", "call('ioprio_set', 251, 1, 0, 2 << 13 | 4)")
# After ptrace_access_check, which the kernel asks first.
case("task_movememory", "call('move_pages', 279, OUT, 0, 0, 0, 0, 0)", "call('move_pages', 279, 0, 0, 0, 0, 0, 0)")
case("userns_create", "call('unshare', 272, 0x10000000)", "call('unshare', 272, 0x400)")
# --- mounts ---------------------------------------------------------------------------------------------------------
case("path_chroot", "os.chroot('/w/a')")
# Mounting the old way passes its parameters through here too, so this one goes first.
case("fs_context_parse_param",
     "f = call('fsopen', 430, b'tmpfs', 0); call('fsconfig', 431, f, 1, b'size', b'1M', 0)")
case("sb_mount", "call('mount', 165, b'none', b'/w/mnt', b'tmpfs', 0, 0)")
case("sb_umount", "call('mount', 165, b'none', b'/w/mnt', b'tmpfs', 0, 0); call('umount', 166, b'/w/mnt', 0)")
case("sb_remount", "call('mount', 165, b'none', b'/w/remount', b'tmpfs', 32, b'size=2M')")
case("move_mount", "t = call('open_tree', 428, -100, b'/w/a', 1)\n"
     "call('move_mount', 429, t, b'', -100, b'/w/mnt', 4); call('umount', 166, b'/w/mnt', 2)")
case("sb_pivotroot", """
call('unshare', 272, 0x20000)
call('mount', 165, b'none', b'/', 0, 0x44000, 0)
call('mount', 165, b'none', b'/w/mnt', b'tmpfs', 0, 0)
os.chdir('/w/mnt'); os.mkdir('/w/mnt/old')
call('pivot_root', 155, b'.', b'old')""", options=("--otherwise", "rwx"))
# --- sockets --------------------------------------------------------------------------------------------------------
case("socket_create", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "socket.socket(socket.AF_INET)")
case("socket_connect", "s = socket.socket(); s.settimeout(5); s.connect(('127.0.0.1', 7001))",
     "s = socket.socket(); s.settimeout(5); s.connect(('127.0.0.1', 7002))", ("--address", "+127.0.0.1/32:7002-7002"))
case("socket_bind", "s = socket.socket(); s.bind(('127.0.0.1', 7003))",
     "s = socket.socket(); s.bind(('127.0.0.1', 7004))", ("--address", "+127.0.0.1/32:7004-7004"))
case("socket_listen", "s = socket.socket(); s.listen(1)", "s = socket.socket(socket.AF_UNIX); s.bind('\\0own'); s.listen(1)")
case("socket_sendmsg", "s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'x', ('127.0.0.1', 7005))",
     "s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'x', ('127.0.0.1', 7006))",
     ("--address", "+127.0.0.1/32:7006-7006"))
case("unix_stream_connect", "socket.socket(socket.AF_UNIX).connect('\\0outside')",
     "a = socket.socket(socket.AF_UNIX); a.bind('\\0mine'); a.listen(1); socket.socket(socket.AF_UNIX).connect('\\0mine')")
case("unix_may_send", "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0outside-datagrams')",
     "a = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); a.bind('\\0mine2')\n"
     "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0mine2')")
# --- the kernel's own -----------------------------------------------------------------------------------------------
case("bpf_call", "import struct; call('bpf', 321, 0, struct.pack('<IIIII', 2, 4, 4, 1, 0) + bytes(60), 80)")
case("perf_event_open", "import struct; call('perf', 298, struct.pack('<IIQ', 1, 112, 0) + bytes(96), 0, -1, -1, 0)")
case("locked_down", "os.open('/proc/kcore', os.O_RDONLY)")
case("kernel_load_data", """
try: call('init_module', 175, b'no module at all' * 20, 320, b'')
except OSError as e:
    if e.errno != 8: raise""")
case("kernel_read_file", """
try: call('finit_module', 313, os.open('/w/a/data', os.O_RDONLY), b'', 0)
except OSError as e:
    if e.errno != 8: raise""")
case("key_permission", "call('describe', 250, 6, int(open('/w/a/key').read()), 0, 0)")
case("key_alloc", "call('add_key', 248, b'user', b'name%d' % os.getpid(), b'x', 1, -2)")
case("syslog_call", "call('syslog', 103, 10, 0, 0)")
case("settime", "import time; t = time.time(); time.clock_settime(time.CLOCK_REALTIME, t)")
case("quotactl", "call('quotactl', 179, 0x80000100, 0, 0, 0)")
case("inode_init_security_anon", "call('userfaultfd', 323, 0)")
case("uring_allowed", "import struct; call('io_uring', 425, 1, bytearray(120))", kernels=("7",))
# A protocol nobody has used yet: its module is loaded for the asking.
case("kernel_module_request", """
try: socket.socket(15, socket.SOCK_RAW, 2)
except OSError as e: raise OSError(1 if e.errno == 97 else e.errno, 'no such family')""",
     options=("--families", "1,2,10,15,16"))
# --- known threats: the policy knows the digests of /w/bad and /w/lib.so ---------------------------------------------
THREAT = ("--threat", "/tmp/digests", "--rule", "rx:/w/bad", "--rule", "rx:/w/lib.so", "--flag", "unhashed")
case("map_digest", "import mmap; mmap.mmap(os.open('/w/lib.so', os.O_RDONLY), 4096, mmap.MAP_PRIVATE, 5)",
     "import mmap; mmap.mmap(os.open('/usr/bin/true', os.O_RDONLY), 4096, mmap.MAP_PRIVATE, 5)", THREAT)
case("protect_digest", """
LIBC.mmap.restype = ctypes.c_void_p
p = LIBC.mmap(None, 4096, 1, 2, os.open('/w/lib.so', os.O_RDONLY), 0)
if LIBC.mprotect(ctypes.c_void_p(p), 4096, 5): raise OSError(ctypes.get_errno(), 'mprotect')""", options=THREAT)
# After map_digest, which would stop the program where its code is mapped.
case("exec_digest", """
pid = os.fork()
if not pid:
    try: os.execv('/w/bad', ['x'])
    except OSError as e: os._exit(e.errno)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if code: raise OSError(code, 'exec')""", "import subprocess; subprocess.run(['/usr/bin/true'], check=True)", THREAT)
# --- whose task -----------------------------------------------------------------------------------------------------
case("cgroup_made", """
own = '/sys/fs/cgroup' + open('/proc/self/cgroup').read().split(':')[2].strip()
child = own + '/child%d' % os.getpid()
os.mkdir(child)
open(child + '/cgroup.procs', 'w').write('0')
open('/w/secret2/k').read()""", options=("--rule", "rw:/sys"))
# After every case that needs a file to stay closed.
case("file_open", "open('/w/secret/k').read()", "open('/w/a/f').read()")
# Last: without it no sandbox is ever armed, which ends every other case.
case("bprm_check_security", MEMFD, "import subprocess; subprocess.run(['/usr/bin/true'], check=True)",
     ("--nameless", "rwx"))
