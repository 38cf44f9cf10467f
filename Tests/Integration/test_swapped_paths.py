"""What somebody swaps between the plan and the mounts: nothing of it is followed, and no swapped source is shown.

The set-up child is stopped in the midst of a launch by strace, and goes on after the swap.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from harness import PATIENCE, Sandbox, descendants, inside_namespace, mount, unmount, wait_for

# The first step behind the plan, a file of its own making for /etc; and one before the sandbox has mounts of its own.
BEHIND_THE_PLAN = ("-P", "group", "-e", "trace=openat", "-e", "inject=openat:signal=SIGSTOP:when=1")
BEFORE_ALL_MOUNTS = (
    "-P", "/proc/self/setgroups", "-e", "trace=openat", "-e", "inject=openat:signal=SIGSTOP:when=1",
)  # fmt: skip
LOOP = "Too many levels of symbolic links"
STALE = "Stale file handle). Likely: another object stands at the path"


def start_and_swap(
    sandbox: Sandbox, swap: Callable[[], None], *options: str, stop: Sequence[str] = BEHIND_THE_PLAN
) -> tuple[int, str, str]:
    """A launch during which `swap` is called."""
    log = sandbox.reports / "calls"
    process = sandbox.traced(["-o", log, *stop], "/bin/echo", "ran", options=options)

    def stopped() -> bool:
        return process.poll() is not None or (log.exists() and "stopped by SIGSTOP" in log.read_text())

    wait_for(stopped, "the set-up child to stop")
    assert process.poll() is None, process.communicate()
    child = next(pid for pid in descendants(process.pid) if inside_namespace(pid))
    swap()
    os.kill(child, signal.SIGCONT)
    out, err = process.communicate(timeout=40 * PATIENCE)
    return process.returncode, out, err


@pytest.fixture
def swappable(sandbox: Sandbox) -> Sandbox:
    """A workspace with a folder, whose file is denied, and beside it another that looks the same."""
    for folder in (sandbox.workspace / "folder", sandbox.base / "outside"):
        folder.mkdir()
        sandbox.own(folder)
        for name in ("secret", "plain"):
            (folder / name).write_text(folder.name)
            sandbox.own(folder / name)
    return sandbox


def put_link(sandbox: Sandbox, name: str, target: Path) -> Callable[[], None]:
    place = sandbox.workspace / name

    def swap() -> None:
        place.rename(sandbox.base / "was-there")
        place.symlink_to(target)

    return swap


def test_nothing_is_swapped(swappable: Sandbox) -> None:
    status, out, err = start_and_swap(swappable, lambda: None, "--deny", "folder/secret", "--deny", "folder/plain")
    assert (status, out) == (0, "ran\n"), err


def test_a_folder_of_the_workspace_becomes_a_link(swappable: Sandbox) -> None:
    """It is bound over itself, because of the denied file in it: swapped, it is a source as well as a place."""
    swap = put_link(swappable, "folder", swappable.base / "outside")
    status, out, err = start_and_swap(swappable, swap, "--deny", "folder/secret")
    assert (status, out) == (125, "") and LOOP in err and "work/folder" in err, err


def test_a_folder_above_a_mount_becomes_a_link(swappable: Sandbox) -> None:
    """Its file is denied in a read-only folder, which needs no mounts on the way."""
    shared = swappable.base / "shared"
    shutil.copytree(swappable.workspace, shared)

    def swap() -> None:
        (shared / "folder").rename(shared / "was-there")
        (shared / "folder").symlink_to(swappable.base / "outside")

    options = ("--ro", str(shared), "--deny", str(shared / "folder/secret"))
    status, out, err = start_and_swap(swappable, swap, *options)
    assert (status, out) == (125, "") and LOOP in err and "folder/secret" in err, err


def test_the_place_of_a_mount_becomes_a_link(swappable: Sandbox) -> None:
    swap = put_link(swappable, "folder/secret", swappable.base / "outside/secret")
    status, out, err = start_and_swap(swappable, swap, "--deny", "folder/secret")
    assert (status, out) == (125, "") and LOOP in err and "folder/secret" in err, err


def test_a_folder_above_a_source_becomes_a_link(swappable: Sandbox) -> None:
    """Also when the link leads to the very object the plan saw: through another mount there may be more to see."""
    shared = swappable.base / "shared"
    (shared / "inner").mkdir(parents=True)

    def swap() -> None:
        shared.rename(swappable.base / "moved")
        shared.symlink_to(swappable.base / "moved")

    status, out, err = start_and_swap(swappable, swap, "--ro", str(shared / "inner"))
    assert (status, out) == (125, "") and LOOP in err and str(shared) in err, err


def test_another_workspace_is_put_in_its_place(swappable: Sandbox) -> None:
    def swap() -> None:
        swappable.workspace.rename(swappable.base / "was-there")
        swappable.workspace.mkdir()

    status, out, err = start_and_swap(swappable, swap)
    assert (status, out) == (125, "") and STALE in err and str(swappable.workspace) in err, err


@pytest.fixture
def top_folder() -> Iterator[Path]:
    """Directly below /: such sources are not opened first."""
    folder = Path(f"/mis-tests-{os.getpid()}")
    folder.mkdir()
    yield folder
    for path in (folder, folder.with_suffix(".was")):
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            path.rmdir()


@pytest.mark.parametrize("other", ["folder", "file", "link"])
def test_another_folder_of_the_top_is_put_in_its_place(sandbox: Sandbox, top_folder: Path, other: str) -> None:
    def swap() -> None:
        top_folder.rename(top_folder.with_suffix(".was"))
        if other == "folder":
            top_folder.mkdir()
        elif other == "file":
            top_folder.touch()
        else:
            top_folder.symlink_to(top_folder.with_suffix(".was"))

    status, out, err = start_and_swap(sandbox, swap, "--ro", str(top_folder))
    assert (status, out) == (125, "") and STALE in err and str(top_folder) in err, err


def test_a_device_is_swapped(user: Sandbox) -> None:
    """Only an ordinary user's sandbox has the host's nodes. The mount is in the tests' own namespace."""
    swapped = False

    def swap() -> None:
        nonlocal swapped
        mount("/dev/zero", "/dev/full", flags=4096)  # MS_BIND
        swapped = True

    try:
        status, out, err = start_and_swap(user, swap, stop=BEFORE_ALL_MOUNTS)
    finally:
        if swapped:
            unmount("/dev/full")
    assert (status, out) == (125, "") and STALE in err and "/dev/full" in err, err
