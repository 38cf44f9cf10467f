"""Real programs at real work under profile `agent`: what people have agents do must simply go.

Each needs its Debian package (git, python3-venv, python3-pytest, nodejs, gcc, make, cargo, tmux, bsdutils); a program
that is not there fails its test, it is never skipped.
"""

import base64
import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ACCOUNT, Leftovers, Result, Sandbox, descendants, wait_for
from pseudoterminal import CTRL_C, CTRL_D, CTRL_Z, Pseudoterminal

AUTHOR = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
          for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.com"))}  # fmt: skip


def agent(sandbox: Sandbox, script: str, **rest) -> Result:
    """A script that stops at its first mistake."""
    return sandbox.run("/bin/bash", "-euo", "pipefail", "-c", script, profile="agent", timeout=120, **rest).ok()


def outside(sandbox: Sandbox, *command: str) -> str:
    """What the person at the keyboard does and sees; for root's runs that is root."""
    who = ["setpriv", f"--reuid={sandbox.owner}", f"--regid={sandbox.owner}", "--clear-groups"] if sandbox.owner else []
    return subprocess.run(
        [*who, *command], cwd=sandbox.workspace, env=sandbox.environment | AUTHOR, check=True, capture_output=True,
        text=True, timeout=60,
    ).stdout  # fmt: skip


def test_git(sandbox: Sandbox) -> None:
    outside(sandbox, "git", "init", "-q", "-b", "main")
    sandbox.write("first", "one\n")
    outside(sandbox, "git", "add", "first")
    outside(sandbox, "git", "commit", "-qm", "Outside")
    result = agent(
        sandbox,
        "echo two >> first; git diff --stat; git commit -qam Inside; "
        "echo three >> first; git stash -q; git status --short; git stash pop -q; git diff | grep +three; "
        "git checkout -q -b topic; git commit -qam Third; git log --oneline | wc -l; "
        "git worktree add -q ../work/tree main; git -C tree log -1 --format=%s; git gc -q; git fsck",
        env=AUTHOR,
    )
    assert "first | 1 +" in result.stdout
    assert [line for line in result.stdout.splitlines() if line in ("+three", "3", "Inside")] == [
        "+three",
        "3",
        "Inside",
    ]
    assert outside(sandbox, "git", "log", "--format=%s", "topic").split() == ["Third", "Inside", "Outside"]
    assert outside(sandbox, "git", "status", "--short").strip() == "?? tree/"


def test_git_hooks_and_config_stay_as_they_are(sandbox: Sandbox) -> None:
    outside(sandbox, "git", "init", "-q", "-b", "main")
    config = (sandbox.workspace / ".git/config").read_text()
    result = sandbox.shell(
        "git config core.pager evil; echo evil > .git/hooks/pre-commit; mv .git/hooks .git/h; rm -f .git/config; "
        "git commit -q --allow-empty -m honest && echo committed", env=AUTHOR, profile="agent",
    )  # fmt: skip
    assert "committed" in result.stdout
    assert (sandbox.workspace / ".git/config").read_text() == config
    assert not (sandbox.workspace / ".git/hooks/pre-commit").exists() and (sandbox.workspace / ".git/hooks").exists()


def wheel(folder: Path) -> Path:
    """The smallest package pip installs."""
    files = {
        "greeting.py": "def greet():\n    return 'good day'\n",
        "greeting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
        "greeting-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "greeting-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = greeting:greet\n",
    }
    records = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        records.append(f"{name},sha256={digest},{len(text)}")
    files["greeting-1.0.dist-info/RECORD"] = "\n".join([*records, "greeting-1.0.dist-info/RECORD,,"]) + "\n"
    path = folder / "greeting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_python_venv_and_pip(sandbox: Sandbox) -> None:
    sandbox.own(wheel(sandbox.workspace))
    result = agent(
        sandbox,
        "/usr/bin/python3 -m venv venv; venv/bin/pip install -q --no-index ./greeting-1.0-py3-none-any.whl; "
        "venv/bin/python -c 'import greeting; print(greeting.greet())'; venv/bin/greet || true",
    )
    assert "good day" in result.stdout
    assert (sandbox.workspace / "venv/bin/greet").stat().st_uid == sandbox.owner


def test_pytest_of_a_small_project(sandbox: Sandbox) -> None:
    sandbox.write("thing.py", "def double(x):\n    return 2 * x\n")
    sandbox.write(
        "test_thing.py",
        "import thing\n"
        "def test_right(tmp_path):\n    (tmp_path / 'x').write_text('y')\n    assert thing.double(2) == 4\n"
        "def test_wrong():\n    assert thing.double(2) == 5\n",
    )
    result = sandbox.run("/usr/bin/python3", "-m", "pytest", "-q", profile="agent")
    assert result.status == 1 and "1 failed, 1 passed" in result.stdout, result.stdout + result.stderr


def test_node(sandbox: Sandbox) -> None:
    sandbox.write(
        "main.mjs",
        "import { execFileSync } from 'node:child_process'; import { Worker } from 'node:worker_threads';\n"
        "import fs from 'node:fs/promises';\n"
        "await fs.writeFile('made.json', JSON.stringify({ a: [1, 2] }));\n"
        "const worker = new Worker('require(\"worker_threads\").parentPort.postMessage(6 * 7)', { eval: true });\n"
        "worker.on('message', n => console.log(n, execFileSync('/bin/echo', ['child']).toString().trim()));\n",
    )
    assert agent(sandbox, "node main.mjs").stdout == "42 child\n"
    assert json.loads((sandbox.workspace / "made.json").read_text()) == {"a": [1, 2]}


def test_gcc_and_make(sandbox: Sandbox) -> None:
    sandbox.write("main.c", '#include <stdio.h>\nint twice(int);\nint main(void) { printf("%d\\n", twice(21)); }\n')
    sandbox.write("twice.c", "int twice(int x) { return 2 * x; }\n")
    sandbox.write("Makefile", "program: main.o twice.o\n\t$(CC) -o $@ $^\n%.o: %.c\n\t$(CC) -O2 -c -o $@ $<\n")
    assert agent(sandbox, "make -s -j4; ./program; make -q").stdout == "42\n"


def test_cargo_build(sandbox: Sandbox) -> None:
    sandbox.write("Cargo.toml", '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\n')
    sandbox.write("src/main.rs", 'fn main() { println!("{}", (1..=6).product::<u32>()); }\n')
    result = agent(sandbox, "cargo build -q --offline; ./target/debug/small; cargo run -q --offline")
    assert result.stdout == "720\n720\n"


@pytest.mark.parametrize("launcher", ["user", "root"])
def test_sort_of_200_mb(make_sandbox, launcher: str) -> None:
    sandbox = make_sandbox(launcher)
    result = agent(
        sandbox,
        "head -c 148M /dev/urandom | base64 -w 100 > big; export LC_ALL=C; "
        "sort -S 24M --parallel=2 -o sorted big; sort -c sorted; stat -c %s big sorted; rm big sorted",
    )
    before, after = map(int, result.stdout.split())
    assert before == after > 200_000_000


def test_semaphores_and_shared_memory(sandbox: Sandbox) -> None:
    script = """
import multiprocessing as many, os
from multiprocessing import shared_memory
def work(number):
    with lock:
        shared.buf[number] = number + 1
        semaphore.release()
lock, semaphore = many.Lock(), many.Semaphore(0)
shared = shared_memory.SharedMemory(create=True, size=1 << 20)
workers = [many.Process(target=work, args=(number,)) for number in range(8)]
for worker in workers: worker.start()
for _ in workers: semaphore.acquire()
for worker in workers: worker.join()
print(sum(shared.buf[:8]), os.path.exists('/dev/shm/' + shared.name))
shared.close(); shared.unlink()
with open('/dev/shm/plain', 'w') as file: file.write('x')
print(os.listdir('/dev/shm'))
"""
    sandbox.write("shared.py", script)
    assert agent(sandbox, "/usr/bin/python3 shared.py").stdout == "36 True\n['plain']\n"


def test_a_thousand_short_processes(sandbox: Sandbox) -> None:
    result = agent(sandbox, "for i in {1..1000}; do /bin/true; done; echo done")
    assert result.stdout == "done\n"
    assert result.report["lost_events"] == 0


def test_many_files(sandbox: Sandbox) -> None:
    result = agent(
        sandbox, "mkdir tree; cd tree; for d in {1..20}; do mkdir $d; touch $d/{1..100}; done; find . -type f | wc -l; "
        "tar cf ../tree.tar .; rm -rf ../tree; tar tf ../tree.tar | wc -l",
    )  # fmt: skip
    assert result.stdout.split() == ["2000", "2021"]


SAVE = """
import json, os, sys
path = os.path.expanduser(sys.argv[1])
with open(path) as file: settings = json.load(file)
settings['runs'] += 1
with open(path + sys.argv[2], 'w') as file:
    json.dump(settings, file); file.flush(); os.fsync(file.fileno())
os.rename(path + sys.argv[2], path)
with open(path) as file: print(json.load(file)['runs'])
"""


@pytest.mark.parametrize("neighbour", [".tmp.123", ".new"])
def test_a_listed_file_of_the_home_saved_by_renaming(sandbox: Sandbox, neighbour: str) -> None:
    """As editors and agents save: a new file beside it, renamed over it. The second time finds the first's work."""
    settings = sandbox.write(sandbox.home / ".claude.json", '{"runs": 1, "kept": true}', 0o600)
    sandbox.write("save.py", SAVE)
    for runs in (2, 3):
        assert agent(sandbox, f"python3 save.py '~/.claude.json' {neighbour}").stdout == f"{runs}\n"
        assert json.loads(settings.read_text()) == {"runs": runs, "kept": True}
        status = settings.lstat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (sandbox.owner, sandbox.owner, 0o600)
    assert [path.name for path in sandbox.home.glob(".claude.json*")] == [".claude.json"]
    settings.unlink()


def test_a_listed_folder_of_the_home(sandbox: Sandbox) -> None:
    sandbox.write(sandbox.home / ".claude/state.json", "{}")
    agent(sandbox, "echo '{\"x\": 1}' > ~/.claude/state.json; mkdir ~/.claude/projects; echo x > ~/.claude/projects/p")
    assert (sandbox.home / ".claude/state.json").read_text() == '{"x": 1}\n'
    assert (sandbox.home / ".claude/projects/p").stat().st_uid == sandbox.owner


def test_two_agents_in_one_workspace(sandbox: Sandbox) -> None:
    outside(sandbox, "git", "init", "-q", "-b", "main")
    script = (
        "for i in {{1..10}}; do echo $i > {0}-$i; "
        "until git add {0}-$i && git commit -qm {0}-$i {0}-$i; do sleep 0.05; done; done "
        "2>/dev/null; touch {0}-done; until [ -e {1}-done ]; do sleep 0.05; done; echo {0} met {1}"
    )
    both = [
        sandbox.start("/bin/bash", "-c", script.format(*names), profile="agent", env=AUTHOR, options=["-q"])
        for names in (("ann", "bob"), ("bob", "ann"))
    ]
    for process, said in zip(both, (b"ann met bob\n", b"bob met ann\n"), strict=True):
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, said), err
    assert len(outside(sandbox, "git", "log", "--format=%s").split()) == 20


# In a terminal


@pytest.fixture
def terminal(leftovers: Leftovers) -> Iterator[Pseudoterminal]:
    with Pseudoterminal() as made:
        yield made


def play(terminal: Pseudoterminal, sandbox: Sandbox, *command: str) -> None:
    terminal.start(
        sandbox.command(*command, profile="agent", options=["-q", "--env", "PS1=IN> "]),
        env=sandbox.environment, cwd=sandbox.workspace,
    )  # fmt: skip


def is_in_front(terminal: Pseudoterminal, command: bytes) -> bool:
    """Whether a command inside has the terminal that it runs in."""
    assert terminal.process
    for pid in descendants(terminal.process.pid):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes() == command.replace(b" ", b"\0") + b"\0":
                _, _, group, _, _, front, *_ = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                return group == front
        except OSError:  # it ended between being listed and being looked at
            continue
    return False


def test_a_shell_with_job_control(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    play(terminal, sandbox, "/bin/bash", "--norc", "--noediting", "-i")
    terminal.expect("IN> ")
    assert b"no job control" not in terminal.shown
    terminal.type_keys("sleep 50 &\r")
    terminal.expect(r"\[1\] \d+.*IN> ")
    terminal.type_keys("jobs\r")
    terminal.expect(r"\[1\]\+ +Running.*IN> ")
    terminal.type_keys("fg\r")
    terminal.expect("\nsleep 50\r")
    # The shell names the command first and hands the terminal over then.
    wait_for(lambda: is_in_front(terminal, b"sleep 50"), "the command in front")
    terminal.type_keys(CTRL_Z)
    terminal.expect(r"Stopped.*IN> ")
    terminal.type_keys("bg\r")
    terminal.expect("IN> ")
    terminal.type_keys("fg\r")
    terminal.expect("\nsleep 50\r")
    wait_for(lambda: is_in_front(terminal, b"sleep 50"), "the command in front again")
    terminal.type_keys(CTRL_C)
    terminal.expect("IN> ")
    terminal.type_keys("echo status=$?\r")
    terminal.expect("status=130.*IN> ")
    terminal.type_keys("exit 7\r")
    assert terminal.wait() == 7


def test_tmux(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    watch = "trap 'stty size > size' WINCH; stty size > size; while :; do sleep 0.05; done"
    terminal.resize(30, 100)
    play(terminal, sandbox, "/usr/bin/tmux", "-f", "/dev/null", "new-session", "/bin/bash", "-c", watch)
    size = sandbox.workspace / "size"
    wait_for(lambda: size.exists() and size.read_text() == "29 100\n", "the first size, less the status line")
    terminal.resize(40, 120)
    wait_for(lambda: size.read_text() == "39 120\n", "the second size")
    terminal.type_keys(b"\x02d")  # detach
    assert terminal.wait() == 0


def test_script(terminal: Pseudoterminal, sandbox: Sandbox) -> None:
    terminal.resize(33, 99)
    play(terminal, sandbox, "/usr/bin/script", "-qec", "tty; stty size; exit 5", "typescript")
    assert terminal.wait() == 5
    assert b"33 99" in terminal.shown and b"/dev/pts/" in terminal.shown
    assert "33 99" in (sandbox.workspace / "typescript").read_text()


def test_a_full_screen_editor(terminal: Pseudoterminal, user: Sandbox) -> None:
    """What curses needs: terminfo, keys in raw mode, the size."""
    script = (
        "import curses\ndef main(screen):\n  screen.addstr(f'{curses.LINES}x{curses.COLS}'); screen.refresh()\n"
        "  key = screen.getkey(); open('key', 'w').write(key)\ncurses.wrapper(main)"
    )
    before = terminal.settings
    play(terminal, user, "/usr/bin/python3", "-c", script)
    terminal.expect("24x80")
    terminal.type_keys("k")
    assert terminal.wait() == 0
    assert (user.workspace / "key").read_text() == "k"
    assert terminal.settings == before


def test_end_of_input_ends_a_shell(terminal: Pseudoterminal, user: Sandbox) -> None:
    play(terminal, user, "/bin/bash", "--norc", "--noediting", "-i")
    terminal.expect("IN> ")
    terminal.type_keys(CTRL_D)
    assert terminal.wait() == 0


def test_who_am_i(sandbox: Sandbox) -> None:
    """Programs ask for a name and a home for their uid; there is an answer."""
    result = agent(
        sandbox,
        'id -un; getent passwd "$(id -u)" | cut -d: -f6; echo ~; hostname; '
        'python3 -c "import getpass; print(getpass.getuser())"',
    )
    name, home, expanded, host, python = result.stdout.splitlines()
    assert name == python and host
    assert home == expanded
    if sandbox.launcher != "root":
        assert name == ACCOUNT
    assert os.path.isabs(home)
