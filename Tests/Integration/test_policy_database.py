"""`mis policy database`: known threats with their sources and history, and bundles that can be made of them again."""

import hashlib
import json
import sqlite3
import time
from pathlib import Path

import pytest
from test_policy_tools import CSV, THREATS, Tools


@pytest.fixture
def tools(mis: str, tmp_path: Path) -> Tools:
    made = Tools(mis, tmp_path)
    made("keygen", "k", "--trust")
    (tmp_path / "t.toml").write_text(THREATS)
    (tmp_path / "t.csv").write_text(CSV.replace("tcp,,,,\n", "address:tcp/10.0.0.0/8:25,connect,mail,,\n"))
    return made


def entries(tools: Tools, database: str = "d.db") -> list[dict]:
    return [json.loads(line) for line in tools("inspect", "--keys", "--json", database).splitlines()[1:]]


def test_entries_are_added_updated_and_removed(tools: Tools) -> None:
    said = tools("database", "import", "d.db", "t.toml", "t.csv", "--author", "Ada")
    assert said == "t.toml: revision 1: 4 added, 0 updated, 0 removed\nt.csv: revision 2: 2 added, 0 updated, 0 removed\n"
    assert "t.toml: nothing to change" in tools("database", "import", "d.db", "t.toml")
    assert "revision 3: 1 added" in tools(
        "database", "add", "d.db", "execute name:evil.so", "--reason", "seen", "--cve", "CVE-2026-9", "--cvss", "9.9")
    assert "0 added, 1 updated" in tools("database", "add", "d.db", "execute name:evil.so", "--reason", "seen twice")
    found = {(entry["operation"], entry["key"], entry["source"]): entry for entry in entries(tools)}
    assert len(found) == 7
    assert found["execute", "name:evil.so", "manual"]["reason"] == "seen twice"
    assert found["execute", "path:/usr/bin/nc", "t.toml"]["cvss"] == "9.8"
    assert "2 removed" in tools("database", "remove", "d.db", "execute name:evil.so", "--reason", "a false alarm")
    assert "is not listed" in tools("database", "remove", "d.db", "name:evil.so", "--reason", "again", status=1)
    assert len(entries(tools)) == 5
    log = tools("database", "log", "d.db", "--changes")
    assert "Ada  import of t.toml: 4 changes" in log and "a false alarm: 2 changes" in log
    assert "+ execute path:/usr/bin/nc  reverse shells, CVE-2026-1, CVSS 9.8  [t.toml]" in log
    assert "~ execute name:evil.so  seen twice  [manual]" in log and "- execute name:evil.so  preloaded  [t.toml]" in log
    # Any other program that reads SQLite sees the same list.
    with sqlite3.connect(tools.folder / "d.db") as connection:
        assert connection.execute("SELECT count(*) FROM threat").fetchone() == (5,)


def test_a_whole_feed_takes_back_what_it_no_longer_lists(tools: Tools) -> None:
    tools("database", "import", "d.db", "t.toml", "--source", "feed")
    tools("database", "add", "d.db", "execute path:/usr/bin/nc", "--reason", "ours too")
    (tools.folder / "t.toml").write_text('[[threat]]\nkey = "name:evil.so"\nreason = "preloaded"\n')
    assert "0 added, 0 updated, 1 removed" in tools("database", "import", "d.db", "t.toml", "--source", "feed", "--whole")
    assert [entry["source"] for entry in entries(tools) if entry["key"] == "path:/usr/bin/nc"] == ["manual"]


def test_it_answers_which_entry_and_why(tools: Tools) -> None:
    tools("database", "import", "d.db", "t.toml", "t.csv", "--author", "Ada")
    said = tools("test", "--database", "d.db", "execute path:/usr/bin/nc", status=1)
    assert "execute path:/usr/bin/nc: listed by t.toml: reverse shells, CVE-2026-1, CVSS 9.8 (revision 1, " in said
    assert ", Ada: import of t.toml)" in said
    said = tools("test", "--database", "d.db", "connect address:tcp/10.1.2.3:25", status=1)
    assert "in address:tcp/10.0.0.0/8:25: listed by t.csv: mail" in said
    assert "not listed" in tools("test", "--database", "d.db", "connect address:tcp/11.1.2.3:25")
    assert "not listed" in tools("test", "--database", "d.db", "connect address:udp/10.1.2.3:25")
    tools("database", "remove", "d.db", "path:/usr/bin/nc", "--reason", "x", status=1)
    tools("database", "remove", "d.db", "execute path:/usr/bin/nc", "--reason", "the build farm needs it")
    said = tools("test", "--database", "d.db", "execute path:/usr/bin/nc")
    assert "taken back by t.toml" in said and "the build farm needs it" in said


def test_bundles_are_made_and_made_again(tools: Tools) -> None:
    tools("build", "-o", "a.mip", "--kind", "base", "--serial", "3", "--key", "k.key", "--database", "d.db", "t.toml", "t.csv")
    assert "good: base 3, 6 keys" in tools("verify", "a.mip")
    assert tools("diff", "a.mip", "d.db") == ""
    tools("database", "add", "d.db", "ioctl:T", "--reason", "terminal")
    assert tools("diff", "a.mip", "d.db") == tools("diff", "d.db@2", "d.db") == "+ call ioctl:84  terminal\n"
    tools("build", "-o", "b.mip", "--kind", "base", "--serial", "4", "--key", "k.key", "--database", "d.db")
    tools("build", "-o", "again.mip", "--kind", "base", "--again", "3", "--key", "k.key", "--database", "d.db")
    assert (tools.folder / "again.mip").read_bytes() == (tools.folder / "a.mip").read_bytes()
    assert (tools.folder / "b.mip").read_bytes() != (tools.folder / "a.mip").read_bytes()
    said = tools("build", "-o", "c.mip", "--kind", "base", "--serial", "3", "--database", "d.db", status=1)
    assert "was made before, of revision 2" in said
    assert "no base bundle 9 was made of it" in tools(
        "build", "-o", "c.mip", "--kind", "base", "--again", "9", "--database", "d.db", status=1)
    assert "made base 3" in tools("database", "log", "d.db")
    tools("push", "b.mip")
    assert "deny, base: terminal" in tools("test", "ioctl:T", status=1)


def test_what_is_no_database_is_refused(tools: Tools) -> None:
    (tools.folder / "text.db").write_text("no database at all, though long enough for one\n" * 99)
    for command in (("check", "text.db"), ("log", "text.db"), ("import", "text.db", "t.toml")):
        assert "it is not a SQLite file" in tools("database", *command, status=1)
    assert "it is not there" in tools("database", "check", "none.db", status=1)
    assert not (tools.folder / "none.db").exists()
    with sqlite3.connect(tools.folder / "other.db") as connection:
        connection.execute("CREATE TABLE t (a)")
    assert "of another program" in tools("database", "import", "other.db", "t.toml", status=1)
    tools("database", "import", "d.db", "t.toml")
    assert "good: revision 1, 4 entries" in tools("database", "check", "d.db")
    with sqlite3.connect(tools.folder / "d.db") as connection:
        connection.execute("UPDATE change SET reason = 'harmless'")
    assert "the changes of revision 1 are not those that were written" in tools("database", "check", "d.db", status=1)
    said = tools("build", "-o", "x.mip", "--kind", "base", "--database", "d.db", status=1)
    assert "damaged" in said and not (tools.folder / "x.mip").exists()


def test_mistakes_in_a_list_change_nothing(tools: Tools) -> None:
    (tools.folder / "bad.csv").write_text("key\nname:x\nnothing\n")
    assert "bad.csv:3: " in tools("database", "import", "d.db", "t.toml", "bad.csv", status=1)
    assert not (tools.folder / "d.db").exists()


def test_a_million_entries_are_kept_and_built(tools: Tools) -> None:
    with open(tools.folder / "many.sha256", "w") as file:
        for number in range(1_000_000):
            file.write(hashlib.sha256(b"%d" % number).hexdigest() + "\n")
    start = time.monotonic()
    assert "1000000 added" in tools("database", "import", "d.db", "many.sha256")
    imported = time.monotonic()
    tools("build", "-o", "many.mip", "--kind", "base", "--key", "k.key", "--database", "d.db")
    print(f"imported in {imported - start:.1f} s, built in {time.monotonic() - imported:.1f} s")
    assert time.monotonic() - start < 110
    assert "good: base" in tools("verify", "many.mip")
    assert "1 removed" in tools("database", "remove", "d.db", "digest:" + hashlib.sha256(b"77").hexdigest(), "--reason", "x")
