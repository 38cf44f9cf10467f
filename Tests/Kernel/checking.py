"""What the tests of the kernel's programs share: where things are in the machine, and how a check is told and counted."""
import sys

EXERCISE = "/payload/arbiter-exercise"
PINS = "/sys/fs/bpf/mis"
# What every program in a sandbox needs.
SYSTEM = ["--rule", "rx:/usr", "--rule", "r:/etc", "--rule", "rw:/dev", "--rule", "rx:/payload", "--rule", "rw:/proc"]
failed = 0


def check(name, good, detail=""):
    """One line, as scripts/test.d/matrix reads it."""
    global failed
    failed += not good
    print(f"{'ok    ' if good else 'FAILED'} {name} {'' if good else detail}", flush=True)


def end():
    print(f"{failed} failed")
    sys.exit(failed != 0)
