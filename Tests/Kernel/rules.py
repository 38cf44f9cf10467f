"""Labels, names and what voids verdicts, on every file system; then the loader's life. Prints one line a check."""
import fcntl
import json
import os
import subprocess
import sys
import time

import checking
from checking import EXERCISE, PINS, SYSTEM


def check(name, good, detail=""):
    checking.check(name, good, detail)
    if not good and os.path.exists("/tmp/events"):
        print(open("/tmp/events").read()[-1500:], flush=True)


def sh(text):
    return subprocess.run(text, shell=True, capture_output=True, text=True)


def inside(script, *options):
    """A shell script in the sandbox; gives its words."""
    done = subprocess.run([EXERCISE, "run", *SYSTEM, *options, "--events", "/tmp/events", "--", "/bin/sh", "-c", script],
                          capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def may(script, *options):
    said = inside(f"({script}) >/dev/null 2>&1 && echo YES || echo NO", *options).strip().rpartition("\n")[2]
    # A sandbox that did not start refuses nothing.
    if said not in ("YES", "NO"):
        raise SystemExit(f"FAILED the sandbox did not run: {said}")
    return said == "YES"


class Asked:
    """What is asked of one sandbox, script by script: a start takes longer than all that is done inside."""

    def __init__(self, name, rules):
        self.name, self.rules, self.asked = name, rules, []

    def yes(self, what, script):
        self.asked.append((f"{self.name}: {what} is allowed", script, "YES"))

    def no(self, what, script):
        self.asked.append((f"{self.name}: {what} is refused", script, "NO"))

    def answer(self):
        lines = [f"({script}) >/dev/null 2>&1 && echo YES || echo NO" for _, script, _ in self.asked]
        said = inside("\n".join(lines), *self.rules).split()
        # A sandbox that did not start refuses nothing.
        if len(said) != len(lines) or set(said) - {"YES", "NO"}:
            raise SystemExit(f"FAILED the sandbox did not run: {said}")
        for (what, script, wanted), answer in zip(self.asked, said):
            check(what, answer == wanted, script)
        self.asked = []


def on_file_system(name, w):
    sh(f"mkdir -p {w}/pub/deep/er {w}/secret {w}/ro; echo p >{w}/pub/deep/er/f; echo s >{w}/secret/k; echo r >{w}/ro/f;"
       f"echo e >{w}/pub/.env; ln {w}/secret/k {w}/pub/hard; ln -s ../secret/k {w}/pub/soft")
    rules = ["--rule", f"rw:{w}", "--rule", f"-:{w}/secret", "--rule", f"r:{w}/ro", "--rule", f"-:{w}/secret/k",
             "--name", "-:**/.env", "--name", f"r:{w}//.git/hooks", "--name", f"r:{w}//.git/config",
             "--name", f"r:{w}//.mcp.json"]

    asked = Asked(name, rules)
    yes, no = asked.yes, asked.no
    yes("reading", f"cat {w}/pub/deep/er/f")
    yes("writing and creating", f"echo x >{w}/pub/new && rm {w}/pub/new")
    no("reading below a denied folder", f"cat {w}/secret/k")
    no("listing a denied folder", f"ls {w}/secret")
    no("a hard link to a denied file", f"cat {w}/pub/hard")
    no("a hard link, after its own name was refused", f"cat {w}/secret/k; cat {w}/pub/hard")
    no("a symlink to a denied file", f"cat {w}/pub/soft")
    yes("reading a read-only folder", f"cat {w}/ro/f")
    no("writing in a read-only folder", f"echo x >{w}/ro/new")
    no("appending there", f"echo x >>{w}/ro/f")
    no("a denied name", f"cat {w}/pub/.env")
    no("a denied name made just now", f"echo x >{w}/pub/deep/.env")
    no("moving a file to a denied name", f"echo x >{w}/pub/t; mv {w}/pub/t {w}/pub/deep/.env")
    no("moving a denied name away", f"mv {w}/pub/.env {w}/pub/env")
    yes("making the folder of a protected name", f"mkdir -p {w}/.git")
    no("making a protected folder that is not there", f"mkdir {w}/.git/hooks")
    no("making a protected file that is not there", f"echo x >{w}/.mcp.json")
    no("a symlink at a protected name", f"ln -s /usr {w}/.git/hooks")
    no("a hard link at a protected name", f"ln {w}/pub/deep/er/f {w}/.mcp.json")
    no("moving a file to a protected name", f"echo x >{w}/pub/c; mv {w}/pub/c {w}/.git/config")
    no("putting a ready-made folder on the way", f"rmdir {w}/.git; mkdir -p {w}/g/hooks; mv -T {w}/g {w}/.git")
    no("putting a symlink on the way", f"rmdir {w}/.git; ln -s pub {w}/.git")
    asked.answer()
    check(f"{name}: nothing protected is there", not os.path.exists(f"{w}/.git/hooks") and
          not os.path.exists(f"{w}/.mcp.json"))
    sh(f"mkdir -p {w}/.git/hooks; echo h >{w}/.git/hooks/h; mkdir -p {w}/other/.git")
    yes("reading what is protected", f"cat {w}/.git/hooks/h")
    no("writing in it", f"echo x >{w}/.git/hooks/h")
    no("removing it", f"rm {w}/.git/hooks/h")
    yes("the same name elsewhere", f"mkdir {w}/other/.git/hooks && rmdir {w}/other/.git/hooks")
    asked.answer()
    # Verdicts given before the change, by the same process, with the inode warm.
    mover = f"mkdir -p {w}/pub/d; echo m >{w}/pub/d/f; exec 9<{w}/pub/d; cat {w}/pub/d/f; touch {w}/go; "
    mover += f"while [ ! -e {w}/went ]; do sleep 0.05; done; cat /proc/self/fd/9/f && echo STALE || echo VOID"
    sh(f"rm -f {w}/go {w}/went")
    running = subprocess.Popen([EXERCISE, "run", *SYSTEM, *rules, "--", "/bin/sh", "-c", mover], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    # As long as for any run to begin.
    for _ in range(2400):
        if os.path.exists(f"{w}/go"):
            break
        time.sleep(0.05)
    os.rename(f"{w}/pub/d", f"{w}/secret/d")
    open(f"{w}/went", "w").close()
    out = running.communicate(timeout=60)[0]
    check(f"{name}: a folder moved below a denied one takes verdicts away at once", "VOID" in out and "m" in out, out)


def file_systems():
    on_file_system("ext4", "/w/ext4")
    os.makedirs("/t", exist_ok=True)
    sh("mount -t tmpfs none /t")
    on_file_system("tmpfs", "/t/w")
    for kind, make in (("btrfs", "mkfs.btrfs -q"), ("xfs", "mkfs.xfs -q")):
        sh(f"modprobe loop; modprobe {kind}; truncate -s 400M /var/tmp/{kind}.img; {make} /var/tmp/{kind}.img; mkdir -p /m/{kind}")
        done = sh(f"mount -o loop /var/tmp/{kind}.img /m/{kind}")
        if done.returncode:
            check(f"{kind} mounts", False, done.stderr)
            continue
        if kind == "btrfs":
            # Two subvolumes: their roots have the same number on the same superblock.
            sh("btrfs subvolume create /m/btrfs/one; btrfs subvolume create /m/btrfs/two; echo 1 >/m/btrfs/one/f;"
               "echo 2 >/m/btrfs/two/f")
            rules = ["--rule", "r:/m/btrfs/one", "--rule", "-:/m/btrfs/two"]
            check("btrfs: subvolumes are told apart", may("cat /m/btrfs/one/f", *rules) and
                  not may("cat /m/btrfs/two/f", *rules))
        on_file_system(kind, f"/m/{kind}/w")
    sh("modprobe overlay; mkdir -p /t/lower/secret /t/upper /t/work /m/overlay; echo o >/t/lower/o; echo s >/t/lower/secret/k;"
       "echo d >/t/lower/denied; mount -t overlay none -o lowerdir=/t/lower,upperdir=/t/upper,workdir=/t/work /m/overlay")
    rules = ["--rule", "rw:/m/overlay", "--rule", "-:/m/overlay/secret", "--rule", "-:/m/overlay/denied"]
    check("overlay: reading", may("cat /m/overlay/o", *rules))
    check("overlay: a denied lower file", not may("cat /m/overlay/secret/k", *rules))
    check("overlay: a denied file stays denied when it is copied up",
          not may("chmod 600 /m/overlay/denied; cat /m/overlay/denied", *rules) and
          not may("cat /m/overlay/denied", *rules))
    check("overlay: copying up what is allowed", may("echo x >>/m/overlay/o && cat /m/overlay/o", *rules))
    sh("chmod 600 /m/overlay/denied")
    check("overlay: denied after the host copied it up", not may("cat /m/overlay/denied", *rules))
    on_file_system("overlay", "/m/overlay/w")
    sh("mkdir -p /w/seen; mount --bind /w/ext4/secret /w/seen")
    rules = ["--rule", "rw:/w", "--rule", "-:/w/ext4/secret"]
    check("bind mount of a denied folder", not may("cat /w/seen/k", *rules))
    sh("umount /w/seen; mkdir -p /w/ext4/secret/sub; echo s >/w/ext4/secret/sub/k; mount --bind /w/ext4/secret/sub /w/seen")
    check("bind mount of a part of a denied folder", not may("cat /w/seen/k", *rules))
    sh("umount /w/seen; mount --bind /w/ext4/pub /w/seen")
    check("bind mount of an allowed folder", may("cat /w/seen/deep/er/f", *rules))
    sh("umount /w/seen")


def entries():
    return sh(f"{EXERCISE} collect").stdout.strip()


EMPTY = "cgroups 0 labels 0 names 0 anchors 0 addresses 0 sandboxes 0"


def at_work(process):
    """Its command runs: the programs are loaded, which takes a busy machine longer than any sleep, and the sandbox entered."""
    for _ in range(1200):
        try:
            if open(f"/sys/fs/cgroup/exercise-{process.pid}/cgroup.procs").read():
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("a run that has not begun in two minutes")


def crowds():
    """Beyond the first places each entry of a ring waits in the kernel: nobody has to wait for another's, and whoever is
    killed meanwhile leaves nothing."""
    many = [EXERCISE, "run", *SYSTEM, "--rule", "rw:/w", "--extra-sandboxes", "60", "--", "/bin/true"]

    def waits_for(member):
        """Or for the end of all of them, which a busy machine may come too late for."""
        while not os.path.isdir(f"/sys/fs/cgroup/crowd-{running.pid}-{member}") and running.poll() is None:
            yield
            time.sleep(0.005)

    lock = os.open(PINS, os.O_RDONLY)
    for _ in range(3):
        free = taken = 0
        running = subprocess.Popen(many)
        for _ in waits_for(20):
            pass
        for _ in waits_for(59):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.flock(lock, fcntl.LOCK_UN)
                free += 1
            except BlockingIOError:
                taken += 1
        if running.wait() != 0 or free + taken > 0:
            break
    os.close(lock)
    check("who waits for the kernel keeps nobody else waiting", running.returncode == 0 and free > 2 * taken,
          (running.returncode, free, taken))
    for _ in range(3):
        running = subprocess.Popen(many)
        for _ in waits_for(20):
            pass
        running.kill()
        running.wait()
        left = sh(f"ls -d /sys/fs/cgroup/crowd-{running.pid}-*").stdout.split()
        sh(f"rmdir {' '.join(left)} /sys/fs/cgroup/exercise-{running.pid}")
        if 20 < len(left) < 60:
            break
    check("a crowd that is killed on its way in leaves no entries", 20 < len(left) < 60 and entries() == EMPTY,
          (len(left), entries()))


def life():
    check("no entries are left after all these runs", entries() == EMPTY, entries())
    crowds()
    # A run that is killed, and goes on being refused things that nobody reads of: its entries go with the next.
    sh("echo s >/w/.env")
    running = subprocess.Popen([EXERCISE, "run", *SYSTEM, "--rule", "rw:/w", "--name", "-:**/.env", "--", "/bin/sh", "-c",
                                "while :; do read x </w/.env; sleep 0.2; done"], stderr=subprocess.DEVNULL)
    at_work(running)
    running.kill()
    running.wait()
    time.sleep(3)
    left = sh("ls -d /sys/fs/cgroup/exercise-*").stdout.split()
    check("a killed run's cgroup still has its guards", bool(left) and "sandboxes 1" in entries(), entries())
    for cgroup in left:
        open(f"{cgroup}/cgroup.kill", "w").write("1")
        for _ in range(200):
            try:
                os.rmdir(cgroup)
                break
            except OSError:
                time.sleep(0.1)
    check("a killed run's entries are collected by the next", entries() == EMPTY, entries())
    # In the same place, whose rings have stayed.
    sh(f"{EXERCISE} run {' '.join(SYSTEM)} --rule rw:/w --rule -:/w/.env --events /w/events -- /bin/sh -c 'read x </w/.env'")
    told = [json.loads(line) for line in open("/w/events")]
    check("a sandbox is told of its own refusals only", len(told) == 1 and told[0]["rule"] > 1, told)
    sh(f"{EXERCISE} unload")
    check("unloading removes every pin", os.listdir(PINS) == [])
    # Two at once: one loads, the other waits and finds.
    two = [subprocess.Popen([EXERCISE, "load"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    words = sorted(p.communicate(timeout=300)[0].split()[0] for p in two)
    check("two first runs at once load once", words == ["found", "loaded"], words)
    # Killed while loading: the rest is cleared away by the next.
    sh(f"{EXERCISE} unload")
    running = subprocess.Popen([EXERCISE, "load"])
    for _ in range(12000):
        if os.path.isdir(PINS) and any(n.endswith("_new") and os.path.isdir(f"{PINS}/{n}/links") and
                                       len(os.listdir(f"{PINS}/{n}/links")) > 5 for n in os.listdir(PINS)):
            break
        time.sleep(0.01)
    running.kill()
    running.wait()
    check("a load was cut short", any(n.endswith("_new") for n in os.listdir(PINS)), os.listdir(PINS))
    done = sh(f"{EXERCISE} load")
    check("the next run loads whole", done.stdout.startswith("loaded") and len(os.listdir(PINS)) == 1, done.stderr)
    mode = os.stat(PINS).st_mode & 0o777, os.stat(f"{PINS}/{os.listdir(PINS)[0]}").st_mode & 0o777
    check("the folders are root's alone", mode == (0o700, 0o700), mode)
    # Foreign: a map of ours under another's name.
    folder = f"{PINS}/{os.listdir(PINS)[0]}"
    os.rename(f"{folder}/links/settime", f"{folder}/links/file_openx")
    done = sh(f"{EXERCISE} load")
    check("a foreign pin is refused and named", done.returncode == 125 and "file_openx" in done.stderr, done.stderr)
    os.rename(f"{folder}/links/file_openx", f"{folder}/links/settime")
    os.chmod(PINS, 0o755)
    done = sh(f"{EXERCISE} load")
    check("a folder others can enter is refused", done.returncode == 125, done.stderr)
    os.chmod(PINS, 0o700)
    # A link that is gone: without it the run would start with a hole, or (bprm_check_security) with no rules at all.
    for name in ("bprm_check_security", "path_link"):
        os.unlink(f"{folder}/links/{name}")
        done = sh(f"{EXERCISE} run --rule rx:/usr -- /usr/bin/true")
        check(f"a set without {name} refuses the run and names it", done.returncode == 125 and name in done.stderr,
              done.stderr)
    sh(f"rm -r {folder}")
    sh(f"{EXERCISE} load")
    # Another version (here: a set with something left out) goes when nobody uses it: at the next start, or at the end of
    # its last sandbox.
    sh(f"{EXERCISE} load --without settime")
    check("a start beside an unused version takes it away", len(os.listdir(PINS)) == 1, os.listdir(PINS))
    # It goes on until it is told: to load the other takes an emulated machine longer than any sleep that is no waste.
    running = subprocess.Popen([EXERCISE, "run", *SYSTEM, "--without", "settime", "--", "/bin/cat"], stdin=subprocess.PIPE)
    at_work(running)
    sh(f"{EXERCISE} load")
    check("a version in use stays beside a newer one", len(os.listdir(PINS)) == 2, os.listdir(PINS))
    running.stdin.close()
    running.wait()
    left = os.listdir(PINS)
    check("and goes with its last sandbox", len(left) == 1 and "without" not in left[0], left)
    folder = f"{PINS}/{left[0]}"
    # Enforcement that vanishes is noticed within a second.
    running = subprocess.Popen([EXERCISE, "run", *SYSTEM, "--rule", "rw:/w", "--", "/bin/sleep", "60"], stderr=subprocess.PIPE,
                               text=True)
    at_work(running)
    start = time.monotonic()
    os.unlink(f"{folder}/links/file_open")
    code = running.wait(timeout=30)
    check("a pin removed under a running sandbox ends it with 123", code == 123 and time.monotonic() - start < 1.5,
          (code, time.monotonic() - start))
    sh(f"{EXERCISE} unload")


def main():
    print(sh(f"{EXERCISE} load").stdout.strip(), flush=True)
    os.makedirs("/w", exist_ok=True)
    if "life" not in sys.argv:
        file_systems()
    if "files" not in sys.argv:
        life()
    checking.end()


main()
