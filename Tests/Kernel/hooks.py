"""Runs the cases: with all programs (refused), the honest act (done), then with the one program detached (not refused).

A program is detached by removing its pin, one after another, so every case is also seen to need its own program while
those after it are still at work."""
import ctypes
import os
import socket
import subprocess
import sys
import threading
import time

from cases import CASES
from checking import EXERCISE, PINS, check, end
from threat import digest_policy

RULES = ["rx:/usr", "r:/etc", "rw:/dev", "rw:/proc", "rx:/payload", "r:/w", "rwc:/w/a", "rw:/w/mnt", "rw:/w/remount",
         "r:/w/ro", "-:/w/secret", "-:/w/secret2"]
PRELUDE = """
import os, sys, socket, ctypes
LIBC = ctypes.CDLL(None, use_errno=True)
OUT = %d
def call(name, number, *words):
    words = [ctypes.c_char_p(w) if isinstance(w, bytes) else (ctypes.c_char * len(w)).from_buffer(w)
             if isinstance(w, bytearray) else ctypes.c_long(w) for w in words]
    r = LIBC.syscall(ctypes.c_long(number), *words)
    if r < 0: raise OSError(ctypes.get_errno(), name)
    return r
try:
%s
except OSError as e:
    print('REFUSED', e.errno, e); sys.stdout.flush(); os._exit(0)
print('DONE'); sys.stdout.flush(); os._exit(0)
"""


def prepare():
    subprocess.run("""
    rm -rf /w; mkdir -p /w/a /w/ro /w/secret /w/secret2 /w/mnt /w/remount /w/a/empty /w/ro/empty; cd /w
    for d in a ro secret secret2; do for n in f t k x move gone; do echo $d-$n >$d/$n; done; done
    head -c 8192 /dev/zero >a/data; setfattr -n user.old -v 1 ro/x
    cp /usr/bin/id /usr/local/bin/suid-id; cp /usr/bin/id /usr/local/bin/plain-id; chmod 4755 /usr/local/bin/suid-id
    cp /usr/bin/true bad; echo bad >>bad; cp /usr/bin/false lib.so; echo lib >>lib.so
    mountpoint -q /w/remount || mount -t tmpfs none /w/remount
    """, shell=True, check=True)
    os.rename(digest_policy(1, "/w/bad", "/w/lib.so"), "/tmp/digests")


def leave_key():
    """A key of the user's, put there by somebody outside."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = libc.syscall(248, b"user", b"outside", b"x", 1, ctypes.c_long(-4))
    with open("/w/a/key", "w") as file:
        file.write(str(key))


def serve():
    """What is outside: listeners, and one that hands out descriptors."""
    if os.path.exists("/w/a/server"):
        os.unlink("/w/a/server")
    keep = []
    for port in (7001, 7002):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(50)
        keep.append(s)
    s = socket.socket(socket.AF_UNIX)
    s.bind("\0outside")
    s.listen(50)
    d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    d.bind("\0outside-datagrams")
    keep += [s, d]
    fds = socket.socket(socket.AF_UNIX)
    fds.bind("/w/a/server")
    fds.listen(50)

    def hand_out():
        while True:
            c, _ = fds.accept()
            path = "/w/secret/k" if c.recv(1) == b"s" else "/w/a/f"
            f = os.open(path, os.O_RDONLY)
            socket.send_fds(c, [b"."], [f])
            os.close(f)
            keep.append(c)

    threading.Thread(target=hand_out, daemon=True).start()
    return keep


# Programs detached so far: the sandbox would refuse to start without them.
DETACHED = []


def detach(folder, name):
    os.unlink(os.path.join(folder, name))
    DETACHED.append(name)


def inside(code, options, sandbox=True):
    body = "\n".join("    " + line for line in code.strip().splitlines())
    command = ["/usr/bin/python3", "-I", "-S", "-c", PRELUDE % (os.getpid(), body)]
    if sandbox:
        rules = [word for rule in RULES for word in ("--rule", rule)]
        command = [EXERCISE, "run", *rules, *options, "--missing", ",".join(DETACHED), "--events", "/tmp/events", "--"] + command
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    # Programs a case starts may print too; the case's own word is the last.
    out = done.stdout.strip().rpartition("\n")[2]
    return out if out.startswith(("REFUSED", "DONE")) else f"BROKEN {done.returncode} {out} {done.stderr[-600:]}"


def moved_folder():
    """A folder moved below a denied one by somebody outside, while a file in it is warm."""
    subprocess.run("rm -rf /w/a/d /w/secret/d /w/a/ready /w/a/moved; mkdir /w/a/d; echo m >/w/a/d/f", shell=True)
    code = """
import time
held = os.open('/w/a/d', os.O_RDONLY)
for n in range(3): os.close(os.open('f', os.O_RDONLY, dir_fd=held))
open('/w/a/ready', 'w').close()
while not os.path.exists('/w/a/moved'): time.sleep(0.02)
os.open('f', os.O_RDONLY, dir_fd=held)"""

    def move():
        while not os.path.exists("/w/a/ready"):
            time.sleep(0.02)
        os.rename("/w/a/d", "/w/secret/d")
        open("/w/a/moved", "w").close()

    mover = threading.Thread(target=move)
    mover.start()
    said = inside(code, ())
    mover.join()
    return "NOTICED" if said.startswith("REFUSED 13") else "MISSED" if said == "DONE" else said


def gone_cgroups():
    """Cgroups made and removed inside leave no entries behind while the sandbox lives."""
    code = """
import time
own = '/sys/fs/cgroup' + open('/proc/self/cgroup').read().split(':')[2].strip()
for n in range(5): os.mkdir(own + '/c%d' % n)
for n in range(5): os.rmdir(own + '/c%d' % n)
open('/w/a/ready', 'w').close()
while not os.path.exists('/w/a/moved'): time.sleep(0.02)"""
    subprocess.run("rm -f /w/a/ready /w/a/moved", shell=True)
    counted = []

    def look():
        while not os.path.exists("/w/a/ready"):
            time.sleep(0.02)
        counted.append(subprocess.run([EXERCISE, "collect", "--missing", ",".join(DETACHED)], capture_output=True,
                                      text=True).stdout)
        open("/w/a/moved", "w").close()

    looker = threading.Thread(target=look)
    looker.start()
    said = inside(code, ("--rule", "rw:/sys"))
    looker.join()
    if said != "DONE" or not counted:
        return said
    return "NOTICED" if counted[0].startswith("cgroups 1 ") else "MISSED" if counted[0].startswith("cgroups 6 ") else counted[0]


def gone_folders():
    """Folders that are removed leave no verdicts behind, which others at their addresses would meet."""
    code = """
for n in range(200):
    os.mkdir('/w/a/g%d' % n)
    open('/w/a/g%d/f' % n, 'w').close()
for n in range(200):
    os.unlink('/w/a/g%d/f' % n)
    os.rmdir('/w/a/g%d' % n)"""

    def count():
        return int(subprocess.run([EXERCISE, "folders", "--missing", ",".join(DETACHED)], capture_output=True,
                                  text=True).stdout)

    before = count()
    said = inside(code, ())
    left = count() - before
    return said if said != "DONE" else "NOTICED" if left < 50 else "MISSED" if left > 150 else f"{left} are left"


def main():
    kernel = os.uname().release
    short = "6.1" if kernel.startswith("6.1.") else "6.12" if kernel.startswith("6.12") else "7"
    prepare()
    leave_key()
    keep = serve()
    print(subprocess.run([EXERCISE, "load"], capture_output=True, text=True).stdout.strip(), flush=True)
    folder = os.path.join(PINS, os.listdir(PINS)[0], "links")
    wanted = sys.argv[1:]
    tested = set()
    # First, while every other program is at work.
    for names, outcome in ((("rename_begins", "rename_ends"), moved_folder), (("cgroup_gone",), gone_cgroups),
                           (("folder_gone",), gone_folders)):
        if wanted and not set(names) & set(wanted):
            continue
        tested.update(names)
        on = outcome()
        for name in names:
            detach(folder, name)
        off = outcome()
        good = on == "NOTICED" and off == "MISSED"
        check(f"{' '.join(names)}: with it {on}; without it {off}", good)
    for program, attack, honest, options, kernels in CASES:
        if (kernels and short not in kernels) or (wanted and program not in wanted):
            continue
        names = [n for n in os.listdir(folder) if n == program or program.endswith("*") and n.startswith(program[:-1])]
        if not names:
            check(f"{program}: not attached", False)
            continue
        tested.update(names)
        subprocess.run("rm -rf /w/a/child* /w/ro/dir* /w/ro/link* /w/ro/new; mkdir -p /w/ro/empty /w/a/empty; "
                       "echo a >/w/ro/gone; echo a >/w/a/gone; echo abc >/w/a/t; echo abc > /w/ro/f; chown 0:0 /w/ro/f; "
                       "setfattr -n user.old -v 1 /w/ro/x; umount -q /w/mnt", shell=True)
        on = inside(attack, options)
        event = open("/tmp/events").read().strip().splitlines()
        fair = inside(honest, options)
        for name in names:
            detach(folder, name)
        off = inside(attack, options)
        # EPERM, EACCES; ENOKEY is how keyctl says that a keyring may not be looked at.
        good = on.startswith(("REFUSED 1 ", "REFUSED 13 ", "REFUSED 126 ")) and fair == "DONE" and off == "DONE" and event
        check(f"{program}: with it {on} ({len(event)} told); honest {fair}; without it {off}", good)
    if not wanted:
        rest = sorted(set(os.listdir(folder)) - tested)
        print("attached and without a case here:", " ".join(rest))
    end()


main()
