"""What a folder's verdict is lent to, files and the folders in it, and what it is not: one sandbox whose reader opens what it
is told, while the tree is changed under it from outside. Each case opens a file first, so that its folder has a verdict, and
asks about others then."""
import contextlib
import ctypes
import json
import os
import random
import shutil
import subprocess
import time

from checking import EXERCISE, SYSTEM, check, end

NAMES = ["--name", "-:**/.env", "--name", "r:/f//.git/config", "--name", "-:**/vault/inner"]
LIBC = ctypes.CDLL(None, use_errno=True)
# Inside. A line asks: a number of a held folder or -, r or w, a path; or HOLD and a path, which holds a folder.
READER = """
import os, sys
held = []
for line in sys.stdin:
    how, mode, path = line.rstrip('\\n').split(' ', 2)
    try:
        if how == 'HOLD':
            held.append(os.open(path, os.O_PATH | os.O_DIRECTORY)); said = len(held) - 1
        else:
            folder = held[int(how)] if how != '-' else None
            os.close(os.open(path, os.O_RDONLY if mode == 'r' else os.O_WRONLY | os.O_APPEND, dir_fd=folder)); said = 'yes'
    except OSError as e:
        said = 'no' if e.errno == 13 else e.errno
    print(said, flush=True)
"""


def files(folder, *names):
    os.makedirs(folder, exist_ok=True)
    for name in names:
        with open(f"{folder}/{name}", "w") as file:
            file.write(name)


def exchange(a, b):
    if LIBC.renameat2(-100, a.encode(), -100, b.encode(), 2):
        raise OSError(ctypes.get_errno(), f"exchanging {a} and {b}")


def sh(text):
    subprocess.run(text, shell=True, check=True)


class Reader:
    def __init__(self, *options):
        words = [EXERCISE, "run", *SYSTEM, *options, "--counters", "--", "/usr/bin/python3", "-I", "-S", "-c", READER]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline().strip()
        if not said:
            raise SystemExit("FAILED the sandbox did not run")
        return said

    def asks(self, *paths, mode="r", held="-"):
        return " ".join(self.say(f"{held} {mode} {path}") for path in paths)

    def holds(self, path):
        return self.say(f"HOLD - {path}")

    def change(self, name):
        """One of the changes the sandbox was started with (--after)."""
        open(f"/f/c/{name}", "w").close()
        while os.path.exists(f"/f/c/{name}"):
            time.sleep(0.01)

    def end(self):
        self.process.stdin.close()
        last = self.process.stdout.read().strip().rpartition("\n")[2]
        self.process.wait()
        return json.loads(last)


@contextlib.contextmanager
def mounted(source, target, *options):
    subprocess.run(["mount", *options, source, target], check=True)
    try:
        yield
    finally:
        # Lazily: the reader may hold a folder of it.
        subprocess.run(["umount", "-l", target], check=True)


def prepare():
    files("/f/c")
    files("/f/secret", "k")
    files("/f/ro/sub", "one", "two")
    for place in ("a", "b", "l/m/d", "x/d", "secret/x/d", "top/mid/d", "n", "h", "p", "g/.git", "v", "w", "vaults/inner"):
        files(f"/f/{place}", "one", "two", "three", "four")
    files("/f/secret/seen")
    files("/f/g/.git", "config", "HEAD")
    files("/f/l/m/d/sub", "one", "two")
    os.link("/f/h/two", "/f/ro/two")
    files("/f/labelled", "k")
    os.link("/f/labelled/k", "/f/h/hard")
    for place in ("i", "i/plain", "i/denied", "i/less", "i/vault", "i/vault/inner", "i/z/p", "i/z/p/d", "i/z/p/e", "ro/i", "ro/i/d",
                  "secret/pub", "up/mid", "up/mid/d", "m", "m/d", "s", "s/again"):
        files(f"/f/{place}", "one", "two")


RULES = ["--rule", "rw:/f", "--rule", "-:/f/secret", "--rule", "r:/f/ro", "--rule", "-:/f/labelled/k",
         "--rule", "-:/f/i/denied", "--rule", "r:/f/i/less", "--rule", "rw:/f/secret/pub", "--after", "/f/c/ancestor:-:/f/l/m", "--after", "/f/c/back:rw:/f/l/m", "--after", "/f/c/below:-:/f/l/m/d/sub",
         "--after", "/f/c/one:-:/f/l/m/d/two", "--after", "/f/c/folder:r:/f/w", *NAMES]


def ancestors(reader):
    held = reader.holds("/f/top/mid/d")
    said = reader.asks("one", "two", held=held)
    os.rename("/f/top/mid", "/f/secret/mid")
    said += " " + reader.asks("three", "one", held=held)
    os.rename("/f/secret/mid", "/f/top/mid")
    said += " " + reader.asks("four", "one", held=held)
    check("an ancestor is moved below a denied folder, and back", said == "yes yes no no yes yes", said)
    held = reader.holds("/f/x/d")
    said = reader.asks("one", held=held)
    exchange("/f/x", "/f/secret/x")
    said += " " + reader.asks("two", held=held) + " " + reader.asks("/f/x/d/one", "/f/x/d/two")
    exchange("/f/x", "/f/secret/x")
    said += " " + reader.asks("three", held=held)
    check("an ancestor is exchanged with one below a denied folder", said == "yes no yes yes yes", said)


def mounts(reader):
    """The same folder under two names with different rights: the nearest label counts, across mounts."""
    with mounted("/f/b", "/f/secret/seen", "--bind"):
        said = reader.asks("/f/b/one", "/f/secret/seen/one", "/f/secret/seen/two", "/f/b/two")
    check("a folder of a denied one and seen elsewhere, asked about at home first", said == "yes no no yes", said)
    files("/f/open")
    with mounted("/f/b", "/f/open", "--bind"):
        said = reader.asks("/f/open/one", "/f/open/two")
        with mounted("/f/b", "/f/secret/seen", "--bind"):
            said += " " + reader.asks("/f/secret/seen/three", "/f/open/three", "/f/secret/seen/four")
    with mounted("/f/b", "/f/secret/seen", "--bind"):
        said += " " + reader.asks("/f/secret/seen/one", "/f/b/one")
    check("the same folder mounted twice, whose rights are those of where it is", said == "yes yes no yes no no yes", said)
    files("/f/ro/seen")
    with mounted("/f/v", "/f/ro/seen", "--bind"):
        said = reader.asks("/f/ro/seen/one", mode="w") + " " + reader.asks("/f/ro/seen/one", "/f/ro/seen/two")
        said += " " + reader.asks("/f/v/one", "/f/v/two", mode="w") + " " + reader.asks("/f/ro/seen/three", mode="w")
        said += " " + reader.asks("/f/v/three", mode="w")
    check("the same for writing, asked about at the other name first", said == "no yes yes yes yes no yes", said)
    with mounted("/f/a/two", "/f/secret/k", "--bind"):
        said = reader.asks("/f/a/one", "/f/secret/k", "/f/a/two")
    check("a single file mounted below a denied folder has no folder there", said == "yes no yes", said)
    with mounted("none", "/f/a", "-t", "tmpfs"):
        files("/f/a", "one")
        said = reader.asks("/f/a/one")
        with mounted("/f/secret", "/f/a", "--bind"):
            said += " " + reader.asks("/f/a/k")
    said += " " + reader.asks("/f/a/three")
    check("mounts over a folder", said == "yes no yes", said)


def labels(reader):
    said = reader.asks("/f/l/m/d/one", "/f/l/m/d/sub/one")
    reader.change("ancestor")
    said += " " + reader.asks("/f/l/m/d/three", "/f/l/m/d/one", "/f/l/m/d/sub/two")
    reader.change("back")
    said += " " + reader.asks("/f/l/m/d/three", "/f/l/m/d/sub/two")
    check("a label on an ancestor is set and taken back", said == "yes yes no no no yes yes", said)
    reader.change("below")
    said = reader.asks("/f/l/m/d/four", "/f/l/m/d/sub/one", "/f/l/m/d/sub/two")
    check("a label on a folder below", said == "yes no no", said)
    reader.change("one")
    said = reader.asks("/f/l/m/d/one", "/f/l/m/d/two", "/f/l/m/d/three")
    check("a label on one file in the folder", said == "yes no yes", said)
    said = reader.asks("/f/w/one", mode="w")
    reader.change("folder")
    said += " " + reader.asks("/f/w/two", mode="w") + " " + reader.asks("/f/w/two", "/f/w/three")
    check("a label on the folder itself", said == "yes no yes yes", said)


def links(reader):
    said = reader.asks("/f/h/one", "/f/h/hard", "/f/labelled/k")
    check("a second name of a labelled file", said == "yes no no", said)
    said = reader.asks("/f/ro/sub/one", "/f/ro/two") + " " + reader.asks("/f/h/two", "/f/ro/two", "/f/h/two", mode="w")
    check("two names in folders with different rights", said == "yes yes yes no yes", said)


def names(reader):
    files("/f/n", ".env")
    said = reader.asks("/f/n/one", "/f/n/.env")
    os.rename("/f/n/two", "/f/n/.env")
    said += " " + reader.asks("/f/n/.env")
    os.rename("/f/n/.env", "/f/n/free")
    said += " " + reader.asks("/f/n/free")
    check("a denied name, and what is moved to it and away", said == "yes no no yes", said)
    said = reader.asks("/f/g/.git/HEAD", "/f/g/.git/config") + " " + reader.asks("/f/g/.git/HEAD", "/f/g/.git/config", mode="w")
    check("a protected name of two parts", said == "yes yes yes yes", said)
    files("/f/.git", "config", "HEAD")
    said = reader.asks("/f/.git/HEAD", "/f/.git/config") + " " + reader.asks("/f/.git/HEAD", "/f/.git/config", mode="w")
    check("and one at its place", said == "yes yes yes no", said)
    held = reader.holds("/f/vaults/inner")
    said = reader.asks("one", held=held)
    os.rename("/f/vaults", "/f/vault")
    said += " " + reader.asks("two", "one", held=held)
    check("a folder that gets a denied name by its ancestor's", said == "yes no no", said)
    said = reader.asks("/f/p/one")
    files("/f/p", "new", ".env")
    os.mkdir("/f/p/vault")
    files("/f/p/vault/inner", "k")
    said += " " + reader.asks("/f/p/new", "/f/p/.env", "/f/p/vault", "/f/p/vault/inner", "/f/p/vault/inner/k")
    check("what is made in a folder that has a verdict", said == "yes yes no yes no no", said)


def moved_files(reader):
    files("/f/secret", "moved")
    said = reader.asks("/f/a/one")
    os.rename("/f/secret/moved", "/f/a/moved")
    said += " " + reader.asks("/f/a/moved")
    os.rename("/f/a/moved", "/f/secret/moved")
    said += " " + reader.asks("/f/secret/moved")
    exchange("/f/secret/moved", "/f/a/four")
    said += " " + reader.asks("/f/secret/moved", "/f/a/four")
    check("files moved and exchanged between folders", said == "yes yes no no yes", said)


def made_again(reader):
    """Folders come and go, and with them their addresses and numbers."""
    said = set()
    for turn in range(60):
        home, away = ("/f/a", "/f/secret") if turn % 2 else ("/f/secret", "/f/a")
        for place, wanted in ((home, "yes" if home == "/f/a" else "no"), (away, "yes" if away == "/f/a" else "no")):
            files(f"{place}/again", "one", "two")
            files(f"{place}/again/inner", "one")
            asked = reader.asks(f"{place}/again/one", f"{place}/again/two", f"{place}/again/inner/one")
            said.add(asked == f"{wanted} {wanted} {wanted}")
            shutil.rmtree(f"{place}/again")
    check("folders removed and made again elsewhere", said == {True}, said)


def inner_folders(reader):
    """A folder without a verdict takes that of the folder it lies in, if it has no rule of its own."""
    said = reader.asks("/f/i/one", "/f/i/plain/one", "/f/i/denied/one", "/f/i/denied", "/f/i/less/one", "/f/i/vault/one",
                       "/f/i/vault/inner/one")
    said += " " + reader.asks("/f/i/plain/two", "/f/i/less/two", mode="w")
    check("folders in one that has a verdict, some with rules of their own", said == "yes yes no no yes yes no yes no", said)
    said = reader.asks("/f/secret/pub/one", "/f/secret/k", "/f/secret/pub/two", "/f/secret/x/d/one")
    check("what was found on a folder is not the one's above", said == "yes no yes no", said)
    said = reader.asks("/f/ro/i/one", "/f/ro/i/d/one") + " " + reader.asks("/f/ro/i/d/two", mode="w")
    check("rights that the folder above has not", said == "yes yes no", said)
    above, held = reader.holds("/f/up/mid"), reader.holds("/f/up/mid/d")
    said = reader.asks("one", held=above)
    os.rename("/f/up", "/f/secret/up")
    said += " " + reader.asks("one", held=held) + " " + reader.asks("two", held=above)
    os.rename("/f/secret/up", "/f/up")
    said += " " + reader.asks("one", held=held)
    check("what is above the folder above is moved below a denied folder, and back", said == "yes no no yes", said)


def inner_mounts(reader):
    with mounted("/f/i/z", "/f/secret/seen", "--bind"):
        said = reader.asks("/f/i/z/p/one", "/f/secret/seen/p/d/one", "/f/i/z/p/e/one", "/f/i/z/p/d/one")
        said += " " + reader.asks("/f/secret/seen/p/e/one")
    check("a folder in one that is seen in a denied one, too", said == "yes no yes yes no", said)
    with mounted("/f/m", "/f/secret/seen", "--bind"):
        held = reader.holds("/f/secret/seen/d")
        # What the mount shows is moved below a folder that was in it: seen through the mount, that lies above its root.
        os.rename("/f/m/d", "/f/d")
        os.rename("/f/m", "/f/d/m")
        said = reader.asks("one", held=held) + " " + reader.asks("/f/secret/seen/one", "/f/d/m/one")
    check("the root of a mount, seen through it, is in no folder", said == "yes no yes", said)
    files("/f/s/on")
    with mounted("/f/secret", "/f/s/on", "--bind"):
        said = reader.asks("/f/s/one", "/f/s/on/k", "/f/s/on/x/d/one", "/f/s/two")
    check("a denied folder mounted in an allowed one", said == "yes no no yes", said)


def misses(*options, asks):
    """Walked for in a sandbox of its own, whose reader does as `asks` tells it."""
    reader = Reader("--rule", "rw:/f", *options)
    asks(reader)
    return reader.end()["misses"]


def not_walked_for():
    many = range(40)
    for one in many:
        files(f"/f/many/{one}", "one")
    few = misses(asks=lambda reader: reader.asks("/f/many/0/one", "/f/many/1/one"))
    all_ = misses(asks=lambda reader: reader.asks(*(f"/f/many/{one}/one" for one in many)))
    check("of many folders beside each other the first is walked from", all_ == few, (few, all_))

    def lives(*more):
        """The second is asked about while the first's verdict is young, by the kernel's whole seconds: a busy machine may
        be late, and then it is done again."""
        for _ in range(5):
            times = []

            def asks(reader):
                for path in ("/f/s/one", "/f/s/again/one", *more):
                    begun = time.monotonic()
                    reader.asks(path)
                    times.append((begun, time.monotonic()))
                    time.sleep(3.5)

            counted = misses("--lifetime", "6,6,6", asks=asks)
            if times[1][1] - times[0][0] < 5:
                break
        return counted

    before, after = lives(), lives("/f/s/again/two")
    check("a verdict taken from the folder above lives no longer than that", after == before + 1, (before, after))


def at_random(reader, seed, rights):
    """A tree changed at random, against a model: the nearest label. `rights`: by the inode's number, on some of its folders
    and files."""
    drawn = random.Random(seed)
    top = "/f/random"
    wrong, asked, turns = [], 0, 0

    def model(path):
        while path != top:
            found = rights.get(os.stat(path).st_ino)
            if found is not None:
                return found
            path = os.path.dirname(path)
        return "rw"

    def everything():
        folders, found = [], []
        for folder, inner, names_ in os.walk(top):
            folders += [f"{folder}/{name}" for name in inner]
            found += [f"{folder}/{name}" for name in names_]
        return folders, found

    for turn in range(120):
        folders, found = everything()
        deed = drawn.randrange(7)
        try:
            if deed == 0:
                one, other = drawn.sample(folders, 2)
                exchange(one, other)
            elif deed == 1:
                one, other = drawn.sample(folders, 2)
                os.rename(one, f"{other}/{drawn.randrange(1000)}")
            elif deed == 2:
                os.rename(drawn.choice(found), f"{drawn.choice(folders)}/{drawn.randrange(1000)}")
            elif deed == 3:
                one, other = drawn.sample(found, 2)
                exchange(one, other)
            elif deed == 4:
                os.link(drawn.choice(found), f"{drawn.choice(folders)}/{drawn.randrange(1000)}")
            elif deed == 5:
                files(f"{drawn.choice(folders)}/{drawn.randrange(1000)}", "new")
            else:
                files(drawn.choice(folders), str(drawn.randrange(1000)))
            turns += 1
        except OSError:
            # Into itself, or over another.
            pass
        _, found = everything()
        for path in drawn.sample(found, min(8, len(found))):
            mode = drawn.choice("rw")
            asked += 1
            if reader.asks(path, mode=mode) != ("yes" if mode in model(path) else "no"):
                wrong.append((turn, path, mode, model(path)))
    check(f"{asked} opens in a tree changed {turns} times are what the nearest label says (seed {seed})",
          not wrong and turns > 60, wrong[:5])


LABELLED = {f"/f/random/{path}": rights for path, rights in {
    "0": "-", "1/2": "r", "2/0": "rw", "2": "-", "0/1/f0": "r", "1/0/f1": "-", "1/1/f0": "rw"}.items()}


def main():
    print(subprocess.run([EXERCISE, "load"], capture_output=True, text=True).stdout.strip(), flush=True)
    sh("umount -q /f 2>/dev/null; rm -rf /f; mkdir /f")
    kinds = ["-t", "tmpfs", "none"], ["-o", "loop", "/var/tmp/folders.img"]
    sh("modprobe loop; truncate -s 200M /var/tmp/folders.img; mkfs.ext4 -q -F /var/tmp/folders.img")
    for options in kinds:
        sh(f"mount {' '.join(options)} /f")
        print(f"on {options[1]}", flush=True)
        prepare()
        for one in range(3):
            for other in range(3):
                files(f"/f/random/{one}/{other}", "f0", "f1")
        rights = {os.stat(path).st_ino: given for path, given in LABELLED.items()}
        more = [word for path, given in LABELLED.items() for word in ("--rule", f"{given}:{path}")]
        reader = Reader(*RULES, *more)
        for test in (ancestors, mounts, labels, links, names, moved_files, made_again, inner_folders,
                     inner_mounts):
            test(reader)
        for seed in (1, int(time.time())):
            at_random(reader, seed, rights)
        counted = reader.end()
        check("folders' verdicts were lent", counted["folder_hits"] > 100 and not counted["failed_closed"], counted)
        not_walked_for()
        sh("umount /f")
    end()


main()
