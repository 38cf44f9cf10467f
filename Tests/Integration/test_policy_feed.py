"""Delivery of the threat policy: HTTPS and MQTT into the policy folder."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from feed import Authority, Broker, Feed, Handler, Web, authority, broker, ended, feed, file, web, worker  # noqa: F401
from harness import PATIENCE, Sandbox, wait_for


# The honest case.


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_bundle_is_pushed(feed: Feed, broker: Broker, version: str) -> None:
    broker.start()
    process = feed.start("--mqtt", broker.url, "--mqtt-version", version)
    feed.said("connected")
    assert "hotfix 7 published" in feed("publish", feed.bundle(7), "--mqtt", broker.url, "--mqtt-version", version)
    feed.got(7)
    assert (feed.policy / "incoming/feed-hotfix.mip").stat().st_mode & 0o777 == 0o600
    feed("publish", feed.bundle(2, "base"), "--mqtt", broker.url, "--mqtt-version", version)
    feed.got(2, "base")
    assert feed.names() == ["feed-base.mip", "feed-hotfix.mip"]
    feed.tells(state="connected", base=2, hotfix=7, delivered=2)
    text = feed("status")
    assert f"feed       {broker.url}: connected, last contact " in text and "base 2 and hotfix 7" in text
    assert feed.stop(process) == 0
    assert "not running" in feed("status")


def test_what_was_pushed_is_taken_into_force(root: Sandbox, stage: Path) -> None:
    folder = stage / f"feed-{os.getpid()}"
    folder.mkdir()
    feed = Feed(root.mis, folder)
    # The sandbox's own state, whose sessions ask it.
    feed.state, feed.policy = root.state, root.state / "policy"
    broker = Broker(folder / "broker").start()
    feed.closing.append(broker.stop)
    try:
        feed("keygen", folder / "k2", "--trust")
        root.write("evil", "#!/bin/sh\necho ran\n", 0o755)
        assert root.shell("./evil").ok().stdout == "ran\n"
        feed.start("--mqtt", broker.url)
        feed.said("connected")
        feed("publish", feed.bundle(3, "hotfix", "k2.key"), "--mqtt", broker.url)
        feed.got(3)
        denied = root.shell("./evil; echo $?")
        assert "ran" not in denied.stdout and denied.report["policy"]["hotfix"] == "3"
        assert denied.report["denials"][0]["layer"] == "hotfix"
    finally:
        feed.close()


def test_a_bundle_is_pulled_and_pulled_again_when_it_changed(feed: Feed, authority: Authority, web: Web) -> None:
    web.answers["/h.mip"] = file(feed.bundle(4), ETag='"four"', Last_Modified="Wed, 21 Oct 2026 07:28:00 GMT")
    process = feed.start("-v", "--url", web.url("/h.mip"), "--ca", authority.ca)
    feed.got(4)
    assert "if-none-match" not in web.requests[0][1]

    def not_modified(handler: Handler) -> None:
        handler.give(304)

    web.answers["/h.mip"] = not_modified
    process.send_signal(signal.SIGHUP)
    feed.said("not modified")
    assert web.requests[1][1]["if-none-match"] == '"four"'
    assert web.requests[1][1]["if-modified-since"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    # What the tag stood for is gone: asked for without it.
    (feed.policy / "incoming/feed-hotfix.mip").unlink()
    web.answers["/h.mip"] = file(feed.bundle(5), ETag='"five"')
    process.send_signal(signal.SIGHUP)
    feed.got(5)
    assert "if-none-match" not in web.requests[2][1]
    # A server without tags costs the head of a file, and no alert.
    web.answers["/h.mip"] = file(feed.bundle(5))
    process.send_signal(signal.SIGHUP)
    feed.said("hotfix 5: here already")
    assert feed.stop(process) == 0
    assert "ALERT" not in feed.log
    # The tag outlives the process.
    web.answers["/h.mip"] = file(feed.bundle(6), ETag='"six"')
    feed("subscribe", "--once", "--url", web.url("/h.mip"), "--ca", authority.ca)
    web.answers["/h.mip"] = not_modified
    feed("subscribe", "--once", "--url", web.url("/h.mip"), "--ca", authority.ca)
    assert web.requests[-1][1]["if-none-match"] == '"six"'


def test_a_pull_asked_for_during_another_follows_it(feed: Feed, authority: Authority, web: Web) -> None:
    """What the first brings may be older than what was asked for."""
    asked = threading.Event()
    first, second = file(feed.bundle(4)), file(feed.bundle(5))

    def late(handler: Handler) -> None:
        web.answers["/h.mip"] = second
        assert asked.wait(20 * PATIENCE)
        first(handler)

    web.answers["/h.mip"] = late
    process = feed.start("--url", web.url("/h.mip"), "--ca", authority.ca, "--interval", "1h")
    wait_for(lambda: web.requests, "the first pull")
    process.send_signal(signal.SIGHUP)
    feed.said("SIGHUP")
    asked.set()
    feed.got(5)
    assert len(web.requests) == 2


def test_an_older_bundle_is_refused_once(feed: Feed, authority: Authority, web: Web) -> None:
    tagged = file(feed.bundle(3), ETag='"three"')

    def answer(handler: Handler) -> None:
        if handler.headers.get("If-None-Match") == '"three"':
            handler.give(304)
        else:
            tagged(handler)

    shutil.copy(feed.bundle(5), feed.policy / "incoming/feed-hotfix.mip")
    web.answers["/h.mip"] = answer
    process = feed.start("-v", "--url", web.url("/h.mip"), "--ca", authority.ca)
    feed.said("ALERT")
    for _ in range(2):
        process.send_signal(signal.SIGHUP)
    feed.said("not modified")
    assert "its serial 3 is not newer than 5" in feed.log and feed.log.count("ALERT") == 1
    # What is refused for another reason is asked for whole each time: the key may be trusted, the clock right by then.
    feed("keygen", feed.folder / "stranger")
    web.answers["/h.mip"] = file(feed.bundle(6, "hotfix", "stranger.key"), ETag='"six"')
    for times in (2, 3):
        process.send_signal(signal.SIGHUP)
        feed.said("ALERT", times)
    assert web.requests[-1][1].get("if-none-match") != '"six"'
    web.answers["/h.mip"] = file(feed.bundle(6), ETag='"six"')
    process.send_signal(signal.SIGHUP)
    feed.got(6)


def test_pulls_come_at_their_interval(feed: Feed, authority: Authority, web: Web) -> None:
    web.answers["/h.mip"] = file(feed.bundle(4))
    feed.start("--url", web.url("/h.mip"), "--ca", authority.ca, "--interval", "1s")
    begin = time.monotonic()
    wait_for(lambda: len(web.requests) >= 5, "five pulls", 30)
    assert time.monotonic() - begin > 3.5


def test_both_ways_at_once_and_with_certificates(feed: Feed, authority: Authority) -> None:
    certificate, key = authority.certificate("server")
    ours, our_key = authority.certificate("client")
    web = Web((certificate, key), client_ca=authority.ca)
    broker = Broker(feed.folder / "broker", f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}",
                    "require_certificate true", scheme="mqtts").start()  # fmt: skip
    feed.closing += [web.close, broker.stop]
    web.answers["/b.mip"] = file(feed.bundle(1, "base"))
    trust = ("--ca", authority.ca)
    proof = ("--cert", ours, "--cert-key", our_key)
    feed("publish", feed.bundle(9), "--mqtt", broker.url, *trust, *proof)
    feed.start("--url", web.url("/b.mip"), "--mqtt", broker.url, *trust, *proof)
    feed.got(1, "base")
    feed.got(9)
    # Without the certificate neither lets anybody in.
    said = feed("subscribe", "--once", "--folder", feed.folder / "other", "--url", web.url("/b.mip"), *trust, status=1)
    assert "failed" in said
    assert "failed" in feed("publish", feed.bundle(9), "--mqtt", broker.url, *trust, status=1)


def test_a_broker_asks_for_a_password(feed: Feed) -> None:
    folder = feed.folder / "broker"
    folder.mkdir()
    subprocess.run(["mosquitto_passwd", "-c", "-b", folder / "users", "fleet", "right"], check=True, timeout=60)
    broker = Broker(folder, "allow_anonymous false", f"password_file {folder / 'users'}").start()
    feed.closing.append(broker.stop)
    (feed.folder / "right").write_text("right\n")
    (feed.folder / "wrong").write_text("wrong\n")
    bundle = feed.bundle(3)
    said = feed("publish", bundle, "--mqtt", broker.url, "--user", "fleet", "--password-file", feed.folder / "wrong",
                status=1)  # fmt: skip
    assert "refused the connection" in said
    right = ("--user", "fleet", "--password-file", feed.folder / "right")
    feed("publish", bundle, "--mqtt", broker.url, *right)
    feed("subscribe", "--once", "--mqtt", broker.url, *right)
    feed.got(3)


# When it runs, and how it ends.


def test_a_late_subscriber_gets_the_newest(feed: Feed, broker: Broker) -> None:
    broker.start()
    for serial in (1, 2, 3):
        feed("publish", feed.bundle(serial), "--mqtt", broker.url)
    feed("subscribe", "--once", "--mqtt", broker.url)
    assert feed.serial() == 3 and feed.status()["delivered"] == 1


def test_the_broker_keeps_what_comes_while_we_are_away(feed: Feed, broker: Broker) -> None:
    broker.start()
    process = feed.start("--mqtt", broker.url)
    feed.said("connected")
    assert feed.stop(process) == 0
    # Not retained: only a session that was kept brings it.
    subprocess.run(["mosquitto_pub", "-p", str(broker.port), "-q", "2", "-t", "mis/policy/hotfix", "-f", feed.bundle(8)],
                   check=True, timeout=60)  # fmt: skip
    feed.start("--mqtt", broker.url)
    feed.said("the session goes on")
    feed.got(8)


def test_once_tells_by_its_status(feed: Feed, authority: Authority, web: Web) -> None:
    once = ("subscribe", "--once", "--ca", authority.ca, "--url", web.url("/h.mip"))
    assert "error: 404" in feed(*once, status=1)
    web.answers["/h.mip"] = file(feed.bundle(4))
    assert "hotfix 4 put into" in feed(*once)
    assert feed(*once, "-q") == ""
    web.answers["/h.mip"] = file(feed.bundle(3))
    assert "ALERT" in feed(*once, "-q", status=1)


def test_what_makes_no_sense_is_refused(feed: Feed) -> None:
    for words, said in {
        ("subscribe",): "nothing to subscribe to",
        ("subscribe", "--url", "http://127.0.0.1/h.mip"): "write https://",
        ("subscribe", "--url", "https://me:pw@a/h.mip"): "seen by everybody",
        ("subscribe", "--mqtt", "mqtt://broker.example.org"): "write mqtts://",
        ("subscribe", "--mqtt", "mqtt://127.0.0.1", "--cert", "/x"): "go together",
        ("subscribe", "--mqtt", "mqtt://127.0.0.1", "--stall", "1s"): "5s to 10m",
        ("subscribe", "--mqtt", "mqtt://127.0.0.1", "--interval", "0s"): "--interval",
    }.items():
        assert said in feed(*words, status=64), words
    assert "/missing" in feed("subscribe", "--mqtt", "mqtt://127.0.0.1", "--ca", "/missing", status=1)
    (feed.folder / "x.mip").write_bytes(b"no bundle")
    assert "cut short" in feed("publish", "x.mip", "--mqtt", "mqtt://127.0.0.1", status=1)


def test_there_is_one_feed_for_a_folder(feed: Feed, broker: Broker) -> None:
    broker.start()
    process = feed.start("--mqtt", broker.url)
    feed.said("connected")
    assert "another mis-feed is at work" in feed("subscribe", "--once", "--mqtt", broker.url, status=1)
    child = worker(process)
    assert feed.stop(process) == 0
    wait_for(lambda: ended(child), "the end of the worker")
    feed("subscribe", "--once", "--mqtt", broker.url)


def test_it_gives_up_what_it_does_not_need(feed: Feed, broker: Broker) -> None:
    broker.start()
    process = feed.start("--mqtt", broker.url)
    feed.said("connected")
    status = Path(f"/proc/{worker(process)}/status").read_text()
    assert re.search(r"CapEff:\s+0+\n", status) and re.search(r"CapPrm:\s+0+\n", status)
    assert re.search(r"NoNewPrivs:\s+1\n", status) and re.search(r"Seccomp:\s+2\n", status)
    assert resource.prlimit(worker(process), resource.RLIMIT_AS)[1] == 1536 << 20


def test_it_writes_to_its_folder_and_nowhere_else(feed: Feed, broker: Broker) -> None:
    broker.start()
    process = feed.start("--mqtt", broker.url)
    feed.said("connected")
    if "landlock" not in json.loads(feed("status", "--json"))["feed"]["confined"]:
        pytest.skip("no Landlock here: nothing else keeps root's uid from other folders")
    # Another folder of the same name, owner and mode is another folder.
    incoming = feed.policy / "incoming"
    incoming.rename(feed.policy / "aside")
    incoming.mkdir(mode=0o700)
    feed("publish", feed.bundle(5), "--mqtt", broker.url)
    feed.said("EACCES")
    assert feed.names() == []
    incoming.rmdir()
    (feed.policy / "aside").rename(incoming)
    feed.got(5)
    assert feed.stop(process) == 0


def test_a_crash_is_told_and_outlived(feed: Feed, broker: Broker) -> None:
    broker.start()
    process = feed.start("--mqtt", broker.url)
    feed.said("connected")
    os.kill(worker(process), signal.SIGKILL)
    feed.said("ALERT: the process that subscribes was ended by signal 9; again in 1 s")
    feed.said("connected", 2)
    feed("publish", feed.bundle(5), "--mqtt", broker.url)
    feed.got(5)
    assert feed.stop(process) == 0
