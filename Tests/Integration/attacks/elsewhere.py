"""Cases of the corpus that other tests cover, or that belong to other parts of the product: the rest of the table."""

from .case import Declared

UNIT = "unit tests"

ELSEWHERE = {
    "tested beside": [
        Declared(
            "C086", "every call the container default refuses", ("seccomp",), "SeccompTests, DockerComparisonTests"
        ),
        Declared(
            "C101", "the filter against a reference evaluator", ("seccomp",), "SeccompTests, FilterEquivalenceTests"
        ),
        Declared("C102", "no unused or shadowed rule", ("seccomp",), "SeccompTests, SeccompTableTests"),
        Declared(
            "C118", "the launcher killed at any moment", ("launcher", "limits"), "Tests/Integration, supervisor death"
        ),
        Declared("C122", "exit statuses and signals", ("launcher",), "Tests/Integration/test_exit_status.py"),
        Declared("C225", "malformed profiles", ("launcher",), "ProfileTests, MistakeTests, FuzzTests"),
        Declared("C227", "options behind --", ("launcher",), "Tests/Integration/test_exit_status.py"),
        Declared(
            "C229", "roots too wide to be written", ("launcher",), "test_workspace_of_the_kernel here, ProfileTests"
        ),
        Declared("C230", "allow and deny overlap", ("launcher",), "ProfileTests, RuleSetTests"),
        Declared("C240", "speculation", ("kernel",), "no boundary of ours: mis doctor prints what the kernel does"),
    ],
    "no test here": [
        Declared(
            "C012",
            "the mask's source swapped during set-up",
            ("launcher",),
            "masks are files of the sandbox's own tmpfs, never a path of the host",
        ),
        Declared(
            "C013",
            "the console swapped during set-up",
            ("launcher",),
            "the terminal comes by descriptor from the sandbox's own devpts",
        ),
        Declared(
            "C014",
            "writes to a fake /proc",
            ("launcher",),
            "written through the fresh procfs, checked by fstatfs: there is no such race to stage from outside",
        ),
        Declared(
            "C054",
            "programs from memory (memfd)",
            (),
            "allowed: compilers and runtimes need it; the bpf tier decides by content",
        ),
        Declared("C056", "writable memory made executable", (), "allowed: compilers in programs need it"),
        Declared("C115", "out-of-band data on AF_UNIX", ("kernel",), "the kernel's to fix"),
        Declared("C123", "10,000 orphans", ("pid namespace",), "the init's own tests"),
        Declared("C190", "escape sequences in the agent's own output", (), "passed on: the terminal is the agent's"),
        Declared("C217", "processor time", ("limits",), "CgroupTests: the quota is read back"),
        Declared("C218", "watches, timers, keys, queues", ("limits",), "the kernel's own limits by user"),
        Declared("C219", "disk bandwidth", ("limits",), "CgroupTests: the weight is read back"),
    ],
    "of other parts": [
        Declared("C032-C051", "object identity and hooks", (), "the bpf tier; what concerns names is C019-C031 here"),
        Declared("C127-C148", "the enforcement itself", (), "the bpf tier; C147 is here"),
        Declared(
            "C153-C178", "the network proxy", (), "comes with the allowlist; what the network namespace holds is here"
        ),
    ],
}
