"""What is changed under a running sandbox (levels, labels, open descriptors), times to live, addresses of both families."""
import json
import os
import subprocess

from checking import EXERCISE, PINS, SYSTEM, check, end

# Inside: asks for a change by making a file, and waits until it is made.
WAIT = """
import os, socket, time
def after(name):
    open('/w/c/' + name, 'w').close()
    while os.path.exists('/w/c/' + name): time.sleep(0.02)
"""


def said(script, *options):
    done = subprocess.run([EXERCISE, "run", *SYSTEM, *options, "--events", "/tmp/events", "--", "/usr/bin/python3", "-I", "-S", "-c",
                           WAIT + script], capture_output=True, text=True, timeout=120)
    return done.stdout.strip() + done.stderr[-300:]


def counters(script, *options):
    """What the kernel counted for a script."""
    line = said(script, "--counters", *options).rpartition("\n")[2]
    return json.loads(line) if line.startswith("{") else {}


def in_time(script):
    """The same for verdicts of six seconds, by the kernel's whole ones. The script says whether it opened while the first
    was young: a busy machine may not let it, and it is run again."""
    for _ in range(5):
        lines = said(script, "--counters", "--rule", "rw:/w", "--lifetime", "6,6,6").split("\n")
        if lines[0] == "True" and lines[-1].startswith("{"):
            return json.loads(lines[-1])
    return {}


OPENS = """
def o():
    try: os.close(os.open('/w/c/f', os.O_RDONLY)); return 'open'
    except OSError as e: return e.errno
"""


def levels():
    connect = """
def c():
    s = socket.socket(); s.setblocking(False)
    try: s.connect(('127.0.0.1', 9))
    except OSError as e: return 'yes' if e.errno in (111, 115) else e.errno
"""
    out = said(connect + "print(c(), end=' '); after('go'); print(c(), end=' '); after('go2'); print(c())", "--rule",
               "rw:/w", "--flag", "internet", "--after", "/w/c/go:3:", "--after", "/w/c/go2:5:internet")
    check("a level's flags hold at once, and may be given back", out == "yes 1 yes", out)
    with open("/tmp/events") as file:
        events = [json.loads(line) for line in file]
    check("its events tell the level", [e["level"] for e in events if e["operation"] == "connect"] == [3], events)


def labels():
    # The file was opened before its label changed: warm.
    out = said(OPENS + "print(o(), o(), end=' '); after('go'); print(o(), end=' '); after('go2'); print(o())",
               "--rule", "rw:/w", "--after", "/w/c/go:-:/w/c/f", "--after", "/w/c/go2:r:/w/c/f")
    check("a label that changes voids what was remembered", out == "open open 13 open", out)


def revoking():
    return f"{PINS}/{os.listdir(PINS)[0]}/revoking/revoking_file_permission"


def descriptors():
    script = """
f = os.open('/w/c/f', os.O_RDWR); r, w = os.pipe()
def u():
    try: return os.pread(f, 1, 0).decode()
    except OSError as e: return e.errno
def v():
    try: return os.pwrite(f, b'x', 0)
    except OSError as e: return e.errno
print(u(), v(), end=' '); after('go'); print(u(), v(), end=' '); after('go2'); print(u(), v(), end=' ')
os.write(w, b'y'); print(os.read(r, 1).decode(), os.path.exists('/w/c/f'))"""
    out = said(script, "--rule", "rw:/w", "--after", "/w/c/go:r:/w/c/f", "--after", "/w/c/go2:revoke:")
    check("an open descriptor keeps its rights until they are revoked, and loses only what was taken away",
          out == "x 1 x 1 x 13 y True", out)
    check("the hook of reads and writes is gone with the sandbox", not os.path.exists(revoking()))
    subprocess.run("gcc -shared -o /w/c/lib.so -x c /dev/null", shell=True, check=True)
    out = said("""
import mmap
m = mmap.mmap(os.open('/w/c/lib.so', os.O_RDONLY), 4096, mmap.MAP_PRIVATE, 5)
after('go'); after('go2'); after('go3'); print(os.getpid())""", "--rule", "rwx:/w", "--after", "/w/c/go:r:/w/c/lib.so",
               "--after", "/w/c/go2:revoke:", "--after", "/w/c/go3:mapped:/tmp/mapped")
    with open("/tmp/mapped") as file:
        found = file.read().split()
    check("who has refused code mapped is found", out != "" and found == [out], f"{out}: {found}")


def made_code():
    """Memory without a file that is code: what compilers at run time make."""
    script = """
import mmap
def m(protection):
    try: mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=protection); return 'yes'
    except OSError as e: return e.errno
print(m(7), m(5), m(3))"""
    out = said(script, "--rule", "rw:/w")
    check("memory that is written and executed is there", out == "yes yes yes", out)
    out = said(script, "--rule", "rw:/w", "--flag", "wx")
    check("and refused where the profile says so", out == "1 yes yes", out)


def lifetimes():
    opens = "for n in range(%d): os.close(os.open('/w/c/f', os.O_RDONLY))\n"
    warm = counters(opens % 20, "--rule", "rw:/w")
    never = counters(opens % 20, "--rule", "rw:/w", "--lifetime", "0,0,0")
    check("with a time to live of 0 nothing is remembered", never.get("hits") == never.get("folder_hits") == 0 and
          warm.get("hits", 0) + warm.get("folder_hits", 0) >= 19, (warm, never))
    pause = opens % 5 + "time.sleep(4)\n" + opens % 5
    short, long = (counters(pause, "--rule", "rw:/w", "--lifetime", life) for life in ("2,2,2", "180,300,60"))
    check("a verdict older than its time is judged anew, one that is younger is not",
          short.get("misses", 0) > long.get("misses", 0) > 0, (short, long))
    # The folder's verdict is made for the first file, and lent to the second when it is old: the third open keeps it.
    lent = "begun = time.monotonic()\n" + opens.replace("/f'", "/first'") % 1 + "time.sleep(3.5)\n" + opens % 3
    lent += "print(time.monotonic() - begun < 5)\ntime.sleep(3.5)\n"
    before, after = map(in_time, (lent, lent + opens % 1))
    check("a verdict lent by a folder lives no longer than the folder's", after.get("misses") == before.get("misses", -2) + 1,
          (before, after))


def addresses():
    subprocess.run("ip -6 addr add 2001:db8::1/64 dev lo nodad; ip -6 addr add 2001:db8:1::1/64 dev lo nodad", shell=True)
    rules = ["+[2001:db8::]/32", "-[2001:db8:1::]/48", "+[2001:db8:1::1]/128:7100-7110", "+127.0.0.0/8:7100-7200",
             "-127.0.0.9/32", "+[::1]/128:7100-7100"]
    cases = [("2001:db8::1", 7100, "yes"), ("2001:db8:1::2", 7100, "no"), ("2001:db8:1::1", 7105, "yes"),
             ("2001:db8:1::1", 7111, "no"), ("::1", 7100, "yes"), ("::1", 7101, "no"), ("127.0.0.1", 7150, "yes"),
             ("127.0.0.9", 7150, "no"), ("::ffff:127.0.0.1", 7151, "yes"), ("::ffff:127.0.0.9", 7150, "no"),
             ("127.0.0.1", 7201, "no"), ("fe80::1", 7100, "no")]
    options = [word for rule in rules for word in ("--address", rule)]
    for name, deed, kind in (("connect", "s.connect(a)", 1), ("sendto", "s.sendto(b'x', a)", 2), ("bind", "s.bind(a)", 1)):
        script = f"""
for host, port, _ in {cases!r}:
    s = socket.socket(10 if ':' in host else 2, {kind}); s.setblocking(False)
    a = (host, port)
    try: {deed}
    except OSError as e: print('no' if e.errno == 1 else 'yes', end=' ')
    else: print('yes', end=' ')
"""
        out = said(script, "--rule", "rw:/w", *options)
        check(f"{name}: addresses of both families, the longest prefix first, with ports",
              out.split() == [answer for _, _, answer in cases], out)


def main():
    os.makedirs("/w/c", exist_ok=True)
    for name in ("f", "first"):
        with open(f"/w/c/{name}", "w") as file:
            file.write("x")
    print(subprocess.run([EXERCISE, "load"], capture_output=True, text=True).stdout.strip(), flush=True)
    for test in (levels, labels, descriptors, made_code, lifetimes, addresses):
        test()
    end()


main()
