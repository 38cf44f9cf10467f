"""`mis policy`: lists to bundles, bundles to signed ones, signed ones into force, and back again."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

THREATS = """\
[[threat]]
key = "path:/usr/bin/nc"
operation = "execute"
reason = "reverse shells"
cve = "CVE-2026-1"
cvss = 9.8

[[threat]]
key = "name:evil.so"
reason = "preloaded"
"""
CSV = 'key,operation,reason,cve,cvss\n"name:a,b",execute,"say ""x""",,9\ntcp,,,,\n'


class Tools:
    """`mis policy` with a state folder of its own."""

    def __init__(self, mis: str, folder: Path):
        self.mis = mis
        self.folder = folder
        self.policy = folder / "state/policy"

    def __call__(self, *arguments: str | Path, status: int = 0) -> str:
        environment = {**os.environ, "MIS_STATE_DIR": str(self.folder / "state")}
        ended = subprocess.run(
            [self.mis, "policy", *map(str, arguments)], cwd=self.folder, env=environment, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        assert ended.returncode == status, f"{arguments}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def bundle(self, name: str, serial: int, threats: str = THREATS, kind: str = "hotfix", key: str = "k.key") -> Path:
        (self.folder / "list.toml").write_text(threats)
        self("build", "-o", name, "--kind", kind, "--serial", str(serial), "--key", key, "list.toml")
        return self.folder / name

    @property
    def status(self) -> dict:
        return json.loads(self("status", "--json"))

    @property
    def history(self) -> list[dict]:
        return [json.loads(line) for line in (self.policy / "history.jsonl").read_text().splitlines()]


@pytest.fixture
def tools(mis: str, tmp_path: Path) -> Tools:
    made = Tools(mis, tmp_path)
    made("keygen", "k", "--trust")
    return made


def test_keys_are_made_for_their_owner_only(tools: Tools) -> None:
    assert (tools.folder / "k.key").stat().st_mode & 0o777 == 0o600
    assert (tools.policy).stat().st_mode & 0o777 == 0o700
    assert "is there already" in tools("keygen", "k", status=1)


def test_a_key_takes_no_other_ones_place(tools: Tools) -> None:
    (tools.folder / "other").mkdir()
    before = (tools.policy / "keys/k.pub").read_bytes()
    assert "keys/k.pub is there already" in tools("keygen", "other/k", "--trust", status=1)
    assert (tools.policy / "keys/k.pub").read_bytes() == before and list((tools.folder / "other").iterdir()) == []
    tools("keygen", "other/k")


def test_every_format_gives_keys(tools: Tools) -> None:
    digest = hashlib.sha256(Path("/bin/true").read_bytes()).hexdigest()
    other = hashlib.sha256(b"x").hexdigest()
    (tools.folder / "t.toml").write_text(THREATS)
    (tools.folder / "t.csv").write_text(CSV.replace("tcp,,,,\n", "address:tcp/10.0.0.0/8:25,connect,mail,,\n"))
    (tools.folder / "t.jsonl").write_text('{"key":"call:ptrace","reason":"r","cvss":9.1}\n\n{"key":"ioctl:T"}\n')
    (tools.folder / "t.sha256").write_text(f"# known\n{digest}  /bin/true\n{other}\n")
    advisory = {
        "id": "MAL-2026-1", "summary": "bad", "aliases": ["CVE-2026-7"],
        "affected": [{"database_specific": {"files": [{"sha256": "ab" * 32}]}}],
        "database_specific": {"iocs": {"ips": ["192.0.2.1", "2001:db8::1"]}},
    }  # fmt: skip
    (tools.folder / "t.osv.json").write_text(json.dumps([advisory, {"id": "GHSA-none", "affected": []}]))
    said = tools("build", "-o", "b.mip", "--kind", "base", "--key", "k.key", *[
        f"t.{kind}" for kind in ("toml", "csv", "jsonl", "sha256", "osv.json")
    ])  # fmt: skip
    assert "1 advisories name no digest and no address" in said and "GHSA-none" in said
    keys = [json.loads(line) for line in tools("inspect", "--keys", "--json", "b.mip").splitlines()]
    assert keys[0]["kind"] == "base" and keys[0]["keys"] == len(keys) - 1
    found = {(key["operation"], key["key"]): key for key in keys[1:]}
    assert set(found) == {
        ("execute", "path:/usr/bin/nc"), ("execute", "name:evil.so"), ("read", "name:evil.so"),
        ("write", "name:evil.so"), ("execute", "name:a,b"), ("connect", "address:tcp/10.0.0.0/8:25"),
        ("call", "call:101"), ("call", "ioctl:84"), ("execute", f"digest:{digest}"), ("execute", f"digest:{other}"),
        ("execute", f"digest:{'ab' * 32}"), ("connect", "address:192.0.2.1/32"), ("bind", "address:192.0.2.1/32"),
        ("connect", "address:[2001:db8::1]/128"), ("bind", "address:[2001:db8::1]/128"),
    }  # fmt: skip
    assert found["execute", "path:/usr/bin/nc"]["cvss"] == "9.8"
    assert found["execute", "name:a,b"]["reason"] == 'say "x"'
    assert found["execute", f"digest:{'ab' * 32}"]["cve"] == "CVE-2026-7"
    # What inspect prints is what build reads.
    (tools.folder / "again.jsonl").write_text("".join(json.dumps(key) + "\n" for key in keys[1:]))
    tools("build", "-o", "again.mip", "--kind", "base", "again.jsonl")
    assert tools("diff", "b.mip", "again.mip") == ""


def test_mistakes_name_their_place_and_build_nothing(tools: Tools) -> None:
    cases = {
        "t.toml": ('[[threat]]\nkey = "path:x"\n', "t.toml:1: "),
        "u.toml": ('[[threat]]\nreason = "x"\n', "key is missing"),
        "v.toml": ('[[threat]]\nkey = "name:x"\ncolour = 1\n', "unknown key"),
        "t.csv": (CSV, "t.csv:3: "),
        "u.csv": ('key\n"open', "quoted field"),
        "v.csv": ("key\rname:a\rx", "v.csv:3: "),
        "t.jsonl": ('{"key":"name:x"}\n{"key":"name:x","a":1}\n', "t.jsonl:2: "),
        "t.sha256": ("ab" * 31 + "\n", "t.sha256:1: "),
        "u.sha256": ("ab" * 33 + "\n", "u.sha256:1: "),
        "t.osv.json": ('{"x":1}', "no advisory"),
        "u.osv.json": ('[{"id":"A"},{"id":"B","database_specific":{"iocs":{"ips":["x"]}}}]', "(advisory B)"),
    }
    for name, (text, said) in cases.items():
        (tools.folder / name).write_text(text)
        assert said in tools("build", "-o", "b.mip", "--kind", "base", name, status=1), name
        assert not (tools.folder / "b.mip").exists()


def test_what_could_not_be_read_back_is_not_built(tools: Tools) -> None:
    (tools.folder / "t.toml").write_text(THREATS)
    cases = {
        ("--serial", "0"): "the first is 1", ("--created", str(2**63 - 1)): "expire", ("--created", str(2**40)): "expire",
        ("--created", "1", "--lifetime", "0s"): "expire", ("--title", "x" * 65): "longer than 64",
    }  # fmt: skip
    for words, said in cases.items():
        assert said in tools("build", "-o", "b.mip", "--kind", "base", *words, "t.toml", status=1), words
        assert not (tools.folder / "b.mip").exists()


def test_a_strangers_title_does_nothing_to_a_terminal(tools: Tools) -> None:
    (tools.folder / "t.toml").write_text(THREATS)
    tools("build", "-o", "b.mip", "--kind", "base", "--title", "a\x1b[31m\nb", "t.toml")
    said = tools("inspect", "b.mip")
    assert "\x1b" not in said and said.count("\n") == 7 and said.startswith("base ")


def test_lines_of_csv_may_end_in_any_way(tools: Tools) -> None:
    for number, end in enumerate(("\n", "\r\n", "\r")):
        with open(tools.folder / f"{number}.csv", "w", newline="") as file:
            file.write(end.join(("key,operation", "name:a,read", "name:b,read")) + end)
        tools("build", "-o", "b.mip", "--kind", "base", f"{number}.csv")
        assert sorted(line.split()[1] for line in tools("inspect", "--keys", "b.mip").splitlines()[7:]) == ["name:a", "name:b"]


def test_builds_can_be_repeated(tools: Tools) -> None:
    (tools.folder / "t.toml").write_text(THREATS)
    for name in ("a.mip", "b.mip"):
        tools("build", "-o", name, "--kind", "base", "--created", "1790000000", "--serial", "4", "--secret", "0f" * 16,
              "t.toml")  # fmt: skip
        tools("sign", "--key", "k.key", name)
    assert (tools.folder / "a.mip").read_bytes() == (tools.folder / "b.mip").read_bytes()


def test_verify_tells_good_from_bad(tools: Tools) -> None:
    good = tools.bundle("h.mip", 5)
    assert "good: hotfix 5, 4 keys" in tools("verify", good)
    bytes = good.read_bytes()
    damage = {
        "header": bytes[:20] + b"x" + bytes[21:], "filter": bytes[:3000] + b"x" + bytes[3001:],
        "texts": bytes[:-1] + b"x", "cut": bytes[:-1], "longer": bytes + b"x", "head": bytes[:511], "empty": b"",
    }  # fmt: skip
    for name, text in damage.items():
        (tools.folder / "bad.mip").write_bytes(text)
        assert "bad.mip: " in tools("verify", "bad.mip", status=1), name
    tools("keygen", "stranger")
    tools("sign", "--key", "stranger.key", "-o", "strange.mip", good)
    assert "not among the trusted keys" in tools("verify", "strange.mip", status=1)
    assert "good" in tools("verify", "--key", "stranger.pub", "strange.mip")


def test_push_status_and_rollback(tools: Tools) -> None:
    assert tools.status["hotfix"]["serial"] is None
    for serial in range(1, 14):
        tools("push", tools.bundle("h.mip", serial))
    status = tools.status["hotfix"]
    assert (status["serial"], status["highest"], status["kept"]) == (13, 13, list(range(13, 3, -1)))
    assert "hotfix 12 is in force" in tools("rollback", "hotfix")
    assert "hotfix 11 is in force" in tools("rollback", "hotfix")
    assert "hotfix 4 is in force" in tools("rollback", "hotfix", "--to", "4")
    assert "there is no hotfix bundle 3" in tools("rollback", "hotfix", "--to", "3", status=1)
    assert "there is no hotfix bundle before the one in force" in tools("rollback", "hotfix", status=1)
    # What was rolled back does not come again by itself; what is newer does.
    assert "not newer than 13" in tools("push", "h.mip", status=1)
    tools("push", tools.bundle("h.mip", 14))
    assert tools.status["hotfix"]["serial"] == 14
    assert [event["event"] for event in tools.history].count("rolled-back") == 3


def test_what_must_not_come_into_force(tools: Tools) -> None:
    tools("push", tools.bundle("h.mip", 7))
    refused = {
        "not newer than 7": tools.bundle("same.mip", 7),
        "not newer": tools.bundle("old.mip", 6),
    }
    (tools.folder / "list.toml").write_text(THREATS)
    tools("build", "-o", "expired.mip", "--kind", "hotfix", "--serial", "9", "--created", "1700000000", "--lifetime", "1h",
          "--key", "k.key", "list.toml")  # fmt: skip
    refused["it expired at 2023-11-14"] = tools.folder / "expired.mip"
    tools("build", "-o", "unsigned.mip", "--kind", "hotfix", "--serial", "9", "list.toml")
    refused["not among the trusted keys"] = tools.folder / "unsigned.mip"
    damaged = tools.bundle("damaged.mip", 10)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    refused["not what was signed"] = damaged
    for why, bundle in refused.items():
        assert why in tools("push", bundle, status=1)
        assert tools.status["hotfix"]["serial"] == 7
    assert [event["event"] for event in tools.history] == ["accepted"] + ["refused"] * len(refused)


def test_a_canary_comes_to_a_share_first(tools: Tools) -> None:
    tools("push", tools.bundle("old.mip", 1))
    new = tools.bundle("new.mip", 2, '[[threat]]\nkey = "name:fresh"\nreason = "new"\n')
    tools("push", "--canary", "30", new)
    status = tools.status["hotfix"]
    assert (status["serial"], status["canary"], status["canary_percent"]) == (1, 2, 30)
    having = 0
    for session in range(200):
        ended = subprocess.run(
            [tools.mis, "policy", "test", "--session", f"s{session}", "execute name:fresh"],
            env={**os.environ, "MIS_STATE_DIR": str(tools.folder / "state")}, capture_output=True, timeout=60,
        )  # fmt: skip
        having += ended.returncode
    assert 40 <= having <= 80
    tools("push", new)
    status = tools.status["hotfix"]
    assert (status["serial"], status["canary"]) == (2, None)
    assert "deny, hotfix" in tools("test", "execute name:fresh", status=1)


def test_layers_answer_in_order(tools: Tools) -> None:
    tools("push", tools.bundle("b.mip", 1, kind="base"))
    assert "execute path:/usr/bin/nc: deny, base: reverse shells, CVE-2026-1, CVSS 9.8" in tools(
        "test", "path:/usr/bin/nc", status=1)  # fmt: skip
    tools("push", tools.bundle("h.mip", 1, '[[threat]]\nkey = "name:nc"\noperation = "execute"\nreason = "hot"\n'))
    assert "deny, hotfix: hot" in tools("test", "name:nc", status=1)
    (tools.policy / "whitelist.toml").write_text(
        '[[allow]]\nkey = "name:nc"\nreason = "ours"\nauthor = "Ada"\nexpires = 2099-01-01\n'
        '[[allow]]\nkey = "path:/usr/bin/nc"\nreason = "late"\nauthor = "Ada"\nexpires = "2020-01-01"\n'
    )
    assert "execute name:nc: allow, whitelist: ours" in tools("test", "name:nc")
    # An entry that has expired excuses nothing.
    assert "deny, base" in tools("test", "path:/usr/bin/nc", status=1)
    assert "2 entries, 1 of them expired" in tools("status")


def test_a_file_is_tested_by_all_its_keys(tools: Tools) -> None:
    program = tools.folder / "program"
    program.write_bytes(b"\x7fELF known bad")
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    tools("push", tools.bundle("h.mip", 1, f'[[threat]]\nkey = "digest:{digest}"\nreason = "bad"\n'))
    program.rename(tools.folder / "innocent")
    assert f"execute digest:{digest}: deny, hotfix: bad" in tools("test", "innocent", status=1)
    program.write_bytes(b"\x7fELF known baD")
    assert "deny" not in tools("test", "program")


@pytest.mark.parametrize("text, said", [
    ('[[allow]]\nkey = "name:x"\nauthor = "a"\nexpires = "2027-01-01"\n', "reason is missing"),
    ('[[allow]]\nkey = "name:x"\nreason = "r"\nexpires = "2027-01-01"\n', "author is missing"),
    ('[[allow]]\nkey = "name:x"\nreason = "r"\nauthor = "a"\n', "expires is missing"),
    ('[[allow]]\nkey = "name:x"\nreason = "r"\nauthor = "a"\nexpires = "soon"\n', "is no date"),
    ('[[allow]]\nkey = "x"\nreason = "r"\nauthor = "a"\nexpires = "2027-01-01"\n', "is no key"),
    ('key = "name:x"\n', "stands outside"),
    ('[[deny]]\nkey = "name:x"\n', "write [[allow]]"),
    ("[[allow]\n", "whitelist.toml:1"),
])  # fmt: skip
def test_a_whitelist_with_mistakes_is_refused(tools: Tools, text: str, said: str) -> None:
    (tools.policy / "whitelist.toml").write_text(text)
    assert said in tools("status", status=1)


def test_the_log_shows_the_whitelists_history(tools: Tools) -> None:
    tools("push", tools.bundle("h.mip", 1))
    repository = tools.folder / "rules"
    repository.mkdir()
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Ada Example", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=repository, env=environment, check=True, timeout=60)

    git("init", "-q")
    for reason in ("the first reason", "the second reason"):
        (repository / "whitelist.toml").write_text(
            f'[[allow]]\nkey = "name:nc"\nreason = "{reason}"\nauthor = "Ada"\nexpires = "2099-01-01"\n')  # fmt: skip
        git("add", ".")
        git("commit", "-q", "-m", f"because of {reason}")
    (tools.policy / "whitelist.toml").symlink_to(repository / "whitelist.toml")
    log = tools("log")
    assert '"event":"accepted"' in log and "Ada Example" in log
    assert "because of the first reason" in log and "because of the second reason" in log


def test_a_whitelist_outside_git_has_no_history(tools: Tools) -> None:
    tools("push", tools.bundle("h.mip", 1))
    (tools.policy / "whitelist.toml").write_text("")
    log = tools("log")
    assert '"event":"accepted"' in log and "is in no git repository" in log


def test_simulation_lists_what_would_change(tools: Tools) -> None:
    session = tools.folder / "session"
    session.mkdir()
    lines = [
        {"event": "denied", "operation": "open", "object": "/etc/shadow", "layer": "fanotify"},
        {"event": "denied", "operation": "open", "object": "/usr/share/doc", "layer": "fanotify"},
        {"event": "trace", "operation": "execute", "object": "/usr/bin/nc"},
        {"event": "trace", "operation": "open", "object": "/usr/bin/env"},
        {"event": "allow", "operation": "write", "object": "/tmp/evil.so", "time": "2026-11-28T11:15:26.945824Z"},
        {"event": "allow", "operation": "map", "object": "/tmp/evil.so", "time": "2026-11-28T11:15:27.000000Z"},
        {"event": "denied", "operation": "read", "object": "/usr/bin/nc", "layer": "hotfix"},
        {"event": "allow", "operation": "connect", "object": "192.0.2.1:443"},
        {"event": "level", "from": 5, "level": 4},
    ]
    (session / "execution.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "not json\n")
    bundle = tools.bundle("h.mip", 1)
    first = tools("simulate", "--policy", bundle, session)
    assert "session:3: execute /usr/bin/nc: was allowed, would be denied (hotfix: reverse shells" in first
    assert "session:2: read /usr/share/doc: was denied (fanotify), would be allowed" in first
    assert "session:5: write /tmp/evil.so: was allowed, would be denied (hotfix: preloaded" in first
    assert "session:6: execute /tmp/evil.so: was allowed, would be denied (hotfix: preloaded" in first
    assert "session:7: read /usr/bin/nc: was denied (hotfix), would be allowed" in first
    assert "7 accesses looked at, 5 would change" in first
    assert tools("simulate", "--policy", bundle, session) == first
    # An exception counts as it did then: one that ended between the two accesses excuses the first only.
    (tools.folder / "w.toml").write_text(
        '[[allow]]\nkey = "name:evil.so"\nreason = "ours"\nauthor = "Ada"\nexpires = "2026-11-28T11:15:27Z"\n')
    excused = tools("simulate", "--policy", bundle, "--whitelist", "w.toml", session)
    assert "session:5: " not in excused and "session:6: " in excused


def test_a_million_keys_are_built_in_time(tools: Tools) -> None:
    # The bar of two seconds is scripts/bench policy's; here, that it is done at all, and whole.
    with open(tools.folder / "many.sha256", "w") as file:
        for number in range(1_000_000):
            file.write(f"{number:064x}\n")
    start = time.monotonic()
    tools("build", "-o", "many.mip", "--kind", "base", "--serial", "1", "--key", "k.key", "many.sha256")
    assert time.monotonic() - start < 100
    tools("push", "many.mip")
    assert tools.status["base"]["serial"] == 1
    assert "deny, base" in tools("test", f"digest:{999_999:064x}", status=1)
    assert "trace" in tools("test", f"digest:{1_000_001:064x}")
    (tools.folder / "more.sha256").write_text("".join(f"{number:064x}\n" for number in range(1_000_000, 1_048_578)))
    said = tools("build", "-o", "x.mip", "--kind", "base", "--serial", "1", "many.sha256", "more.sha256", status=1)
    assert "1048578 keys: a base bundle holds 1048576" in said
