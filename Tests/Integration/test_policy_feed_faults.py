"""Delivery of the threat policy when brokers, servers, disks and clocks fail or lie."""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from feed import (Authority, Broker, Feed, Handler, Web, authority, broker, feed, file, packet, publication,  # noqa: F401
                  receive, scripted, web, welcome, worker)
from harness import wait_for


# Brokers and servers that fail.


def test_a_broker_that_is_down_at_the_start(feed: Feed, broker: Broker) -> None:
    feed.start("--mqtt", broker.url)
    feed.said("again in 2.0 s")
    assert re.findall(r"again in ([0-9.]+) s", feed.log)[:5] == ["0.1", "0.2", "0.5", "1.0", "2.0"]
    feed.tells(state="failing")
    broker.start()
    feed("publish", feed.bundle(2), "--mqtt", broker.url)
    feed.got(2, seconds=30)


def test_publishing_tries_the_steps_and_gives_up(feed: Feed, broker: Broker) -> None:
    begin = time.monotonic()
    said = feed("publish", feed.bundle(2), "--mqtt", broker.url, status=1)
    assert said.count("failed: ") == 6 and time.monotonic() - begin > 3.7


def test_a_broker_that_goes_down_and_comes_back(feed: Feed, broker: Broker) -> None:
    broker.start()
    feed.start("--mqtt", broker.url)
    feed.said("connected")
    broker.stop()
    feed.said("failed")
    broker.start()
    feed("publish", feed.bundle(2), "--mqtt", broker.url)
    feed.got(2, seconds=30)
    feed.tells(state="connected")


def test_a_broker_that_stops_answering(feed: Feed, broker: Broker) -> None:
    broker.start()
    feed.start("--mqtt", broker.url, "--stall", "10s")
    feed.said("connected")
    broker.signal(signal.SIGSTOP)
    feed.said("failed", seconds=40)
    broker.signal(signal.SIGCONT)
    feed("publish", feed.bundle(2), "--mqtt", broker.url)
    feed.got(2, seconds=40)


def test_a_broker_that_is_slow(feed: Feed, broker: Broker) -> None:
    """Half a megabyte that trickles in takes twice as long as a broker may say nothing; it is not silent meanwhile."""
    broker.start()
    rate = 40_000

    def trickle(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", broker.port)) as behind:
            threading.Thread(target=pass_on, args=(connection, behind), daemon=True).start()
            while part := behind.recv(4096):
                connection.sendall(part)
                time.sleep(len(part) / rate)

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(4096):
                target.sendall(part)

    feed.start("--mqtt", scripted(feed, trickle).url, "--stall", "6s")
    feed.said("connected")
    bundle = feed.bundle(2)
    assert bundle.stat().st_size > 12 * rate
    begin = time.monotonic()
    feed("publish", bundle, "--mqtt", broker.url)
    feed.got(2, seconds=60)
    assert time.monotonic() - begin > 12
    assert "failed" not in feed.log, feed.log


def test_who_accepts_and_says_nothing(feed: Feed, authority: Authority) -> None:
    silent = scripted(feed, lambda connection: connection.recv(1 << 20) and time.sleep(60))
    port = silent.url.rsplit(":", 1)[1]
    process = feed.start("--mqtt", f"mqtts://127.0.0.1:{port}", "--url", f"https://127.0.0.1:{port}/h.mip", "--ca", authority.ca,
                         "--stall", "5s")  # fmt: skip
    feed.said(r"https:\S+: failed", seconds=30)
    feed.said(r"mqtts:\S+: failed: (no answer within 5 s|it stopped answering)", seconds=30)
    # Waiting costs nothing: the processor's time while it did, in hundredths of a second.
    used = Path(f"/proc/{worker(process)}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    assert sum(map(int, used)) < 150


def test_a_server_that_stalls_midway(feed: Feed, authority: Authority, web: Web) -> None:
    bundle = feed.bundle(4).read_bytes()

    def stall(handler: Handler) -> None:
        handler.give(200, bundle[:100_000], Content_Length=str(len(bundle)))
        time.sleep(30)

    web.answers["/h.mip"] = stall
    feed.start("--url", web.url("/h.mip"), "--ca", authority.ca, "--stall", "5s", "--interval", "2s")
    feed.said("failed", seconds=30)
    assert feed.names() == []
    web.answers["/h.mip"] = file(feed.bundle(4))
    feed.got(4)


def test_bodies_that_are_cut_short(feed: Feed, authority: Authority, web: Web) -> None:
    bundle = feed.bundle(4).read_bytes()

    def cut(handler: Handler) -> None:
        handler.give(200, bundle[:200_000], Content_Length=str(len(bundle)))
        handler.close_connection = True

    def cut_between_chunks(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"100\r\n" + bundle[:256] + b"\r\n")
        handler.close_connection = True

    def whole_but_short(handler: Handler) -> None:
        handler.give(200, bundle[:-1])

    def head_only(handler: Handler) -> None:
        handler.give(200, bundle[:512])

    once = ("subscribe", "--once", "--ca", authority.ca, "--url", web.url("/h.mip"))
    for answer in (cut, cut_between_chunks, whole_but_short, head_only):
        web.answers["/h.mip"] = answer
        assert "failed" in feed(*once, status=1), answer
        assert feed.names() == []
    web.answers["/h.mip"] = file(feed.bundle(4))
    feed(*once)
    assert feed.serial() == 4


@pytest.mark.parametrize("answer, said", [
    (lambda handler: handler.give(500), "500"),
    (lambda handler: handler.give(204), "204"),
    (lambda handler: handler.give(206, b"x" * 1000), "206"),
    (lambda handler: handler.give(302, Location="http://127.0.0.1:1/h.mip"), "rotocol"),
    (lambda handler: handler.give(302, Location="file:///etc/passwd"), "rotocol"),
    (lambda handler: handler.give(302, Location="/h.mip"), "redirects"),
    (lambda handler: handler.give(302, b"x" * 1000), "302"),
], ids=["500", "204", "206", "to-http", "to-file", "for-ever", "to-nowhere"])  # fmt: skip
def test_answers_that_are_none(
    feed: Feed, authority: Authority, web: Web, answer: Callable[[Handler], None], said: str
) -> None:
    web.answers["/h.mip"] = answer
    assert said in feed("subscribe", "--once", "--ca", authority.ca, "--url", web.url("/h.mip"), status=1)
    # The neighbour: a redirect to another place on this server is followed.
    web.answers["/h.mip"] = lambda handler: handler.give(302, Location=web.url("/g.mip"))
    web.answers["/g.mip"] = file(feed.bundle(4))
    feed("subscribe", "--once", "--ca", authority.ca, "--url", web.url("/h.mip"))
    assert feed.serial() == 4


def test_certificates_that_are_not_believed(feed: Feed, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    cases = {
        "expired": (authority.certificate("expired", at="2020-01-01"), authority.ca),
        "of another name": (authority.certificate("named", "DNS:elsewhere.example.org"), authority.ca),
        "of another authority": (other.certificate("server"), authority.ca),
    }
    for name, (certificate, ca) in cases.items():
        web = Web(certificate)
        broker = Broker(feed.folder / f"b-{name.split()[-1]}", f"certfile {certificate[0]}", f"keyfile {certificate[1]}",
                        scheme="mqtts").start()  # fmt: skip
        feed.closing += [web.close, broker.stop]
        web.answers["/h.mip"] = file(feed.bundle(4))
        once = ("subscribe", "--once", "--url", web.url("/h.mip"))
        assert "certificate" in feed(*once, "--ca", ca, status=1).lower(), name
        # Not by the system's authorities either.
        assert "certificate" in feed(*once, status=1).lower(), name
        assert "certificate" in feed("publish", feed.bundle(4), "--mqtt", broker.url, "--ca", ca, status=1), name
        assert web.requests == [] and feed.names() == []
        if name == "of another authority":
            feed(*once, "--ca", other.ca)
            feed("publish", feed.bundle(4), "--mqtt", broker.url, "--ca", other.ca)
            assert feed.serial() == 4


# Brokers and servers that lie.


def test_duplicates_and_a_wrong_order(feed: Feed) -> None:
    bundles = {serial: feed.bundle(serial).read_bytes() for serial in (2, 3, 4)}

    def script(connection: socket.socket) -> None:
        welcome(connection)
        for identifier, (serial, again) in enumerate([(3, False), (3, True), (2, False), (3, False), (4, False)], 1):
            connection.sendall(publication(bundles[serial], identifier, again))
            kind, body = receive(connection)
            assert kind >> 4 == 5
            connection.sendall(packet(0x62, body[:2]))
            assert receive(connection)[0] >> 4 == 7
        connection.recv(1)

    broker = scripted(feed, script)
    feed.start("--mqtt", broker.url)
    feed.got(4)
    feed.said("hotfix 4 put into")
    feed.tells(delivered=2, known=2, refused=1)
    assert feed.log.count("ALERT") == 1 and "its serial 2 is not newer than 3" in feed.log
    assert feed.names() == ["feed-hotfix.mip"]


def test_bundles_that_must_not_reach_the_folder(feed: Feed, authority: Authority, web: Web, broker: Broker) -> None:
    broker.start()
    feed("keygen", feed.folder / "stranger")
    good = feed.bundle(5).read_bytes()
    expired = feed.bundle(8, "hotfix", "k.key", "--created", "1700000000", "--lifetime", "1h")
    bad = {
        "strange": feed.bundle(6, "hotfix", "stranger.key").read_bytes(),
        "expired": expired.read_bytes(),
        "damaged": good[:-1] + bytes([good[-1] ^ 1]),
        "serial": good[:16] + b"\xff" + good[17:],
        "noise": os.urandom(100_000),
        "magic": b"mispolcy" + os.urandom(100_000),
        "short": b"mispolcy",
    }
    feed.start("--mqtt", broker.url)
    feed.said("connected")
    for count, content in enumerate(bad.values(), 1):
        (feed.folder / "bad.mip").write_bytes(content)
        subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "2", "-t", "mis/policy/hotfix", "-f",
                        feed.folder / "bad.mip"], check=True, timeout=60)  # fmt: skip
        feed.said("ALERT: mqtt", count)
        web.answers["/h.mip"] = file(feed.folder / "bad.mip")
        said = feed("subscribe", "--once", "--folder", feed.folder / "other", "--ca", authority.ca, "--url",
                    web.url("/h.mip"), status=1)  # fmt: skip
        assert "no key is trusted" in said and "ALERT: https" in said
    assert feed.names() == []
    feed.tells(refused=len(bad))
    feed("publish", feed.bundle(5), "--mqtt", broker.url)
    feed.got(5)


def test_what_is_larger_than_a_bundle_may_be(feed: Feed, authority: Authority, web: Web, broker: Broker) -> None:
    broker.start()
    sent = 0

    def endless(handler: Handler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        while sent < 1 << 30:
            sent += handler.connection.send(start if not sent else bytes(1 << 16))

    # A stranger's head ends it, one that promises 60 MB under a broken signature, and so does what follows a good bundle.
    good = feed.bundle(4).read_bytes()
    for start in (os.urandom(512), good[:80] + (60 << 20).to_bytes(8, "little") + good[88:512], good):
        sent = 0
        web.answers["/h.mip"] = endless
        assert "ALERT" in feed("subscribe", "--once", "--ca", authority.ca, "--url", web.url("/h.mip"), status=1)
        assert sent < 16 << 20 and feed.names() == []
    web.answers["/h.mip"] = lambda handler: handler.give(200, b"", Content_Length=str(257 << 20))
    assert "failed" in feed("subscribe", "--once", "--ca", authority.ca, "--url", web.url("/h.mip"), status=1)
    with open(feed.folder / "large", "wb") as large:
        large.truncate(70 << 20)
    process = feed.start("--mqtt", broker.url)
    feed.said("connected")
    subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "2", "-t", "mis/policy/hotfix", "-f",
                    feed.folder / "large"], check=True, timeout=60)  # fmt: skip
    feed.said("ALERT: mqtt", seconds=30)
    feed("publish", feed.bundle(4), "--mqtt", broker.url)
    feed.got(4)
    assert feed.stop(process) == 0


def test_a_broker_that_sends_anything(feed: Feed) -> None:
    generator = random.Random(4)
    good = publication(feed.bundle(4).read_bytes(), 1)

    def script(connection: socket.socket) -> None:
        choice = generator.randrange(4)
        if choice == 0:
            connection.sendall(generator.randbytes(generator.randrange(1, 2000)))
        elif choice == 1:
            welcome(connection)
            connection.sendall(generator.randbytes(generator.randrange(1, 2000)))
        elif choice == 2:
            welcome(connection)
            damaged = bytearray(good)
            for _ in range(3):
                damaged[generator.randrange(40)] = generator.randrange(256)
            connection.sendall(damaged)
        else:
            welcome(connection)
            # Says it has 256 MB, and has not.
            connection.sendall(packet(0x34, generator.randbytes(100), (1 << 28) - 1))
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(1)
        while connection.recv(1 << 16):
            pass

    broker = scripted(feed, script)
    process = feed.start("--mqtt", broker.url, "--stall", "5s")

    def another(connections: int) -> bool:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        return broker.connections > connections

    # A signal that comes before there is anybody to take it ends what was started.
    wait_for(lambda: broker.connections, "the first connection", 20)
    for _ in range(60):
        before = broker.connections
        wait_for(lambda: another(before), "another connection", 30)
    assert process.poll() is None and feed.serial() in (None, 4)

    def honest(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(publication(feed.bundle(5).read_bytes(), 1))
        kind, body = receive(connection)
        connection.sendall(packet(0x62, body[:2]))
        connection.recv(1 << 16)
        time.sleep(10)

    # libmosquitto 2.0.11 has assertions that a broker's packet can break: the process is then started again. Ours has none.
    assert set(re.findall(r"ended by signal (\d+)", feed.log)) <= {"6"}
    assert feed.log.count("ended by signal") == feed.log.count("./lib/")
    broker.script = honest
    feed.got(5, seconds=90)
    assert feed.stop(process) == 0


# The machine's own troubles.


def test_a_full_folder_and_then_room(feed: Feed, broker: Broker) -> None:
    broker.start()
    feed("status")
    incoming = feed.policy / "incoming"
    incoming.mkdir(exist_ok=True)
    # A mount namespace of its own: nobody else sees the small file system.
    enter = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    script = f'mount -t tmpfs -o size=1m none {incoming} && head -c 900000 /dev/zero >{incoming}/filler && exec "$@"'
    process = feed.start("--mqtt", broker.url, before=[*enter, "sh", "-c", script, "sh"])
    feed.said("connected")
    root = Path(f"/proc/{process.pid}/root")
    inside = root / incoming.relative_to("/")
    feed("publish", feed.bundle(3), "--mqtt", broker.url)
    feed.said("ENOSPC")
    assert [path.name for path in inside.iterdir()] == ["filler"]
    wait_for(lambda: "1 good bundles wait" in feed("status"), "the bundle among those that wait")
    # A newer one takes the place of the one that waits.
    feed("publish", feed.bundle(4), "--mqtt", broker.url)
    feed.said("ENOSPC", 2)
    (inside / "filler").unlink()
    feed.got(4, root=root)
    wait_for(lambda: "wait until" not in feed("status"), "nothing that waits")
    assert [path.name for path in inside.iterdir()] == ["feed-hotfix.mip"]
    assert feed.stop(process) == 0


def test_a_clock_that_is_set_back(feed: Feed, authority: Authority, web: Web, broker: Broker) -> None:
    broker.start()
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    back = {"LD_PRELOAD": str(library), "FAKETIME": "@2023-11-14 22:30:00", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"}
    feed("publish", feed.bundle(5), "--mqtt", broker.url)
    web.answers["/h.mip"] = file(feed.bundle(9))
    # The first program that libfaketime is loaded into sets up what the next ones share; mis-feed is a next one.
    process = feed.start("--mqtt", broker.url, "--url", web.url("/h.mip"), "--ca", authority.ca, before=["env"],
                         environment=back)  # fmt: skip
    # The serial decides: newer ones are taken, older ones are not.
    feed.got(5)
    feed("publish", feed.bundle(4), "--mqtt", broker.url)
    feed.said("its serial 4 is not newer than 5")
    feed("publish", feed.bundle(6), "--mqtt", broker.url)
    feed.got(6)
    # No certificate is valid yet: pulls fail and say why.
    feed.said(r"https:\S+: failed: .*certificate")
    # What expired meanwhile looks fresh, if it is newer: stated so.
    expired = feed.bundle(8, "hotfix", "k.key", "--created", "1700000000", "--lifetime", "1h")
    feed("publish", expired, "--mqtt", broker.url)
    feed.got(8)
    assert feed.stop(process) == 0
    (feed.policy / "incoming/feed-hotfix.mip").unlink()
    # With the right clock it is refused.
    assert "it expired at 2023-11-14" in feed("subscribe", "--once", "--mqtt", broker.url, status=1)


def test_a_resolver_that_says_nothing(feed: Feed, authority: Authority, web: Web) -> None:
    if os.geteuid() != 0:
        pytest.skip("root is needed to put another /etc/resolv.conf in place")
    web.answers["/h.mip"] = file(feed.bundle(4))
    (feed.folder / "resolver").write_text("nameserver 127.9.8.7\noptions timeout:30 attempts:2\n")
    script = f'mount --bind {feed.folder}/resolver /etc/resolv.conf && exec "$@"'
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.9.8.7", 53))
        process = feed.start(
            "--mqtt", "mqtts://broker.example.org", "--url", "https://web.example.org/h.mip", "--url", web.url("/h.mip"),
            "--ca", authority.ca, "--interval", "2s",
            before=["unshare", "--mount", "sh", "-c", script, "sh"])  # fmt: skip
        # Who needs no resolver is served meanwhile, again and again; the others are given up in their time.
        feed.got(4, seconds=5)
        wait_for(lambda: len(web.requests) >= 3, "pulls while names are looked up", 10)
        feed.said(r"mqtts://broker.example.org: failed: no answer within 10 s: its name is being looked up", seconds=15)
        feed.said(r"https://web.example.org/h.mip: failed", seconds=15)
        wait_for(lambda: len(web.requests) >= 7, "pulls after that", 15)
        begun = time.monotonic()
        assert feed.stop(process) == 0
        assert time.monotonic() - begun < 5


def test_a_resolver_that_is_set_up_anew(feed: Feed, broker: Broker) -> None:
    if os.geteuid() != 0:
        pytest.skip("root is needed to put another /etc/resolv.conf in place")
    broker.start()
    for name in ("one", "two"):
        (feed.folder / name).write_text("nameserver 127.0.0.1\n")
    script = f'mount --bind {feed.folder}/one /etc/resolv.conf && exec "$@"'
    process = feed.start("-v", "--mqtt", broker.url, before=["unshare", "--mount", "sh", "-c", script, "sh"])
    feed.said("connected")
    subprocess.run(["nsenter", "-t", str(process.pid), "-m", "mount", "--bind", feed.folder / "two", "/etc/resolv.conf"],
                   check=True, timeout=60)  # fmt: skip
    feed.said("starting again")
    feed.said("connected", 2)
    assert feed.stop(process) == 0
