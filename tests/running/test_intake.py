"""The socket that records from inside arrive on, its journal, and what is said of the run: each rule by itself."""

from __future__ import annotations

import json
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aind_capsule.logs.writer import LogWriter
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.shrink import MAX_LINE_BYTES, MAX_RECORD_BYTES
from aind_capsule.running import additions
from aind_capsule.running.additions import Additions
from aind_capsule.running.intake import Intake
from aind_capsule.running.journal import Journal
from aind_capsule.running.loop import Loop
from aind_capsule.running.recording.traceback_info import Traceback

BASE = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO", "message": "m"}


class Server:
    """An intake with a loop of its own, and the log that it writes."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.loop = Loop()
        self.journal = make_journal(self.log)
        self.intake = Intake(self.loop, self.journal, {}, echo=False)
        self._clients: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """A client; nothing is read by the wrapper until its loop runs."""
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.intake.path)
        client.settimeout(10)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Close everything."""
        self.intake.close()
        for client in self._clients:
            client.close()

    def turn(self, client: socket.socket | None = None) -> dict[str, Any]:
        """Run the loop until nothing is left to do; returns what the client was answered."""
        for _ in range(5):
            self.loop.run_once(0.01)
        if client is None:
            return {}
        return dict(json.loads(client.recv(65536)))

    @property
    def records(self) -> list[dict[str, Any]]:
        """What is in the log."""
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that is closed at the end."""
    server = Server(tmp_path)
    yield server
    server.close()


def make_journal(log: Path, *, level: str = "DEBUG", max_bytes: int | None = None) -> Journal:
    """A journal that writes a log."""
    writer = LogWriter(log, reserves=False, max_bytes=max_bytes)
    fields = {"run_id": "r", "site": "AIND"}
    return Journal(writer, fields, redactor=Redactor(SecretNames()), level=level)


def encode_line(**fields: Any) -> bytes:
    """A message or record as it goes through the socket."""
    return json.dumps(fields).encode() + b"\n"


def test_who_waits_at_the_end_is_heard(server: Server) -> None:
    """A connection that is still in the backlog when the intake closes is read, to its last byte."""
    server.turn()
    many = [encode_line(**{**BASE, "message": f"{n} {'x' * 4000}"}) for n in range(40)]
    for ends in (True, False):
        client = server.connect()
        client.sendall(b"".join(many))
        if ends:
            client.close()
    torn = server.connect()
    torn.sendall(b'{"torn')
    server.intake.close()
    assert len(server.records) == 2 * len(many)
    assert server.journal.lost == {"torn_inside_records": 1}
    assert not os.path.exists(os.path.dirname(server.intake.path))
    assert server.intake.is_idle


@contextmanager
def limit_descriptors(count: int) -> Iterator[None]:
    """Have a soft limit of descriptors for a while; what is open stays open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_last_descriptors_are_for_the_wrapper(tmp_path: Path) -> None:
    """More processes than descriptors: those beyond hear so at once, and one line in the log says it."""
    # From here on the server opens a few, the clients ten; then 8 are kept.
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    with limit_descriptors(probe + 26):
        server = Server(tmp_path)
    clients = [server.connect() for _ in range(10)]
    server.turn()
    answers = []
    for client in clients:
        try:
            client.sendall(encode_line(capsule="hello"))
            answers.append(server.turn(client)["capsule"])
        except (OSError, ValueError):  # reset, or the end where an answer was to be
            answers.append(None)
    server.close()
    accepted = answers.index(None)
    assert 0 < accepted < 9
    assert answers == ["welcome"] * accepted + [None] * (10 - accepted)
    (told,) = server.records
    assert told["level"] == "WARNING"
    assert f"(ulimit -n) is {probe + 26}:" in told["message"]


def test_who_cannot_be_accepted_now_is_accepted_later(server: Server) -> None:
    """While the system has no descriptor the listener rests, and the wrapper with it."""
    server.connect()
    with limit_descriptors(4):  # all that are open have higher numbers
        server.loop.run_once(5)
    server.loop.run_once(0)
    assert server.intake.is_idle
    server.loop.run_until(lambda: not server.intake.is_idle, 20)
    assert not server.intake.is_idle


def test_it_closes_while_it_rests(server: Server) -> None:
    """At the end nobody is listened to again, also when descriptors run out in that moment."""
    server.connect()
    with limit_descriptors(4):
        server.intake.close()
    server.loop.run_until(lambda: False, 0.15)


def test_a_pause_is_one_for_records_alone(server: Server) -> None:
    """While the console is full no records are read, and a hello is answered all the same."""
    early, late = server.connect(), server.connect()
    for client in (early,):
        client.sendall(encode_line(capsule="hello"))
        assert server.turn(client)["capsule"] == "welcome"
    server.intake.pause()
    early.sendall(encode_line(**BASE))
    late.sendall(encode_line(capsule="hello"))
    assert server.turn(late)["run_id"] == "r"
    late.sendall(encode_line(**BASE))
    server.turn()
    assert server.records == []
    server.intake.resume()
    server.turn()
    assert len(server.records) == 2


@pytest.mark.parametrize(
    ("secrets", "learnt"),
    [
        (["tok-12345", 7, None, ["x"], "abc", "true", "undefined"], {"tok-12345"}),
        ("tok-12345", set()),
        (None, set()),
        ({"tok-12345": 1}, set()),
    ],
)
def test_secrets_of_a_hello(server: Server, secrets: object, learnt: set[str]) -> None:
    """What is text, and worth finding, is hidden from then on; anything else does no harm."""
    client = server.connect()
    client.sendall(encode_line(capsule="hello", secrets=secrets))
    assert server.turn(client)["wants"] == ["environment"]
    assert server.journal.redactor.known == learnt
    client.sendall(encode_line(**{**BASE, "message": "tok-12345"}))
    server.turn()
    assert server.records[0]["message"] == ("[redacted]" if learnt else "tok-12345")


def test_messages(server: Server) -> None:
    """The first environment stays; what is added is taken; an unknown or torn message is counted.

    The order of the names is the client's; a record with a field `capsule` stays a record.
    """
    client = server.connect()
    for message in (
        encode_line(capsule="environment", python="3.12"),
        encode_line(capsule="environment", python="3.13"),
        encode_line(capsule="add", metrics={"a": 1}),
        b'{"metrics": {"b": 2}, "capsule": "add"}\n',
        encode_line(capsule="later", x=1),
        encode_line(**BASE, capsule="add", metrics={"a": 5}),
        b'{"capsule":"add","metrics\n',
        b"\n",
        encode_line(capsule="hello"),
    ):
        client.sendall(message)
    assert server.turn(client)["wants"] == []
    assert server.intake.environment == {"python": "3.12"}
    assert server.journal.additions.describe({}, ())["metrics"] == {"a": 1, "b": 2}
    assert server.journal.lost == {"unknown_messages": 1, "torn_inside_records": 1}
    users, torn = server.records
    assert (users["message"], users["capsule"], users["metrics_"]) == (BASE["message"], "add", {"a": 5})  # fmt: skip
    assert (torn["level"], torn["raw"]) == ("WARNING", '{"capsule":"add","metrics')


def send_all(server: Server, client: socket.socket, data: bytes) -> bool:
    """Send while the wrapper reads; False where it ends the connection."""
    client.setblocking(False)
    for _ in range(10_000):
        try:
            data = data[client.send(data) :]
        except BlockingIOError:
            pass
        except OSError:
            return False
        server.loop.run_once(0)
        if not data:
            break
    server.turn()
    return not server.intake.is_idle


HELLO = {"capsule": "hello", "version": 1, "purpose": "records", "pid": 1}


def test_a_record_that_is_too_long(server: Server) -> None:
    """A record over 1 MiB is cut and counted; the connection stays, and the later records arrive."""
    client = server.connect()
    client.sendall(encode_line(**HELLO))
    server.turn(client)
    sizes = (9, MAX_RECORD_BYTES - 200, MAX_RECORD_BYTES + 9000, 3 * MAX_RECORD_BYTES, 9)
    records = [{"unit": 7, **BASE, "level": "ERROR", "message": "x" * size} for size in sizes]
    late = {"level": "ERROR", "message": "late", "text": "x" * MAX_RECORD_BYTES, "after": 1}
    added = {"capsule": "add", "parameters": {"a": "x" * MAX_RECORD_BYTES}}
    lines = [encode_line(**one) for one in (*records, late, added, {**BASE, "message": "end"})]
    assert send_all(server, client, b"".join(lines))
    written = [one for one in server.records if one["message"][:8] != "A record"]
    kept = [len(one["message"]) for one in written[:5]]
    assert kept[0] == kept[-1] == 9
    assert all(MAX_LINE_BYTES - 4096 < size < MAX_LINE_BYTES for size in kept[1:4])
    assert [one["message"][-2:] for one in written[:5]] == ["xx", "x…", "x…", "x…", "xx"]
    assert {(one["level"], one["unit"]) for one in written[:5]} == {("ERROR", 7)}
    assert [one["message"] for one in written[5:]] == ["late", "end"]
    assert (written[5]["truncated"], "after" in written[5]) == (["text"], False)
    assert max(map(len, server.log.read_bytes().splitlines())) < MAX_LINE_BYTES
    assert len(server.records) == len(written) + 1
    assert (server.journal.cut, server.journal.get_lost()) == (4, {"additions": 1})


def test_a_record_with_little_in_it(server: Server) -> None:
    """A record over 1 MiB is counted as cut, also where what was read of it is short."""
    client = server.connect()
    client.sendall(encode_line(**HELLO))
    server.turn(client)
    blanks = b" " * (MAX_RECORD_BYTES + 100_000)
    assert send_all(server, client, b'{"message":"m","a":1,' + blanks + b'"b":2}\n')
    assert (server.records[-1]["message"], server.records[-1]["a"]) == ("m", 1)
    assert "b" not in server.records[-1]
    assert server.journal.cut == 1


def test_what_cannot_be_read_is_skipped_to_its_end(server: Server) -> None:
    """Of more than 1 MiB that is no record the beginning is kept; what comes after it arrives."""
    client = server.connect()
    client.sendall(encode_line(**HELLO))
    server.turn(client)
    assert send_all(server, client, b"x" * (2 * MAX_RECORD_BYTES) + b"\n" + encode_line(**BASE))
    torn, after = server.records
    assert (torn["level"], len(torn["raw"]), after["message"]) == ("WARNING", 1000, "m")
    assert server.journal.lost == {"torn_inside_records": 1}
    assert send_all(server, client, b"x" * (2 * MAX_RECORD_BYTES))
    server.intake.close()
    assert server.journal.lost == {"torn_inside_records": 2}


def test_a_hello_that_is_too_long(server: Server) -> None:
    """A connection whose secrets cannot all be read is ended: nothing of it may reach the log."""
    client = server.connect()
    hello = {**HELLO, "secrets": ["s" * 2 * MAX_RECORD_BYTES]}
    assert not send_all(server, client, encode_line(**hello) + encode_line(**BASE))
    assert server.records == []
    assert server.journal.lost == {"torn_inside_records": 1}


@pytest.mark.parametrize("offset", [-2, 1, 9, 17, 25, 40])
def test_a_secret_at_the_cut_of_a_record(server: Server, offset: int) -> None:
    """No part of a secret, known or recognised by its form, is left where reading ended."""
    known, token = "Wombat-qXvw/zKjYgH+ufPdxRt", "ghp_" + "x1Y2z3W4v5" * 4
    client = server.connect()
    client.sendall(encode_line(**{**HELLO, "secrets": [known]}))
    server.turn(client)
    for secret in (known, token):
        for filler in ("n", "z"):  # the cut text is the largest field, or a small one
            record = {**BASE, "filler": "f" * (MAX_RECORD_BYTES // 2), filler: "x" * 50_000}
            size = MAX_RECORD_BYTES - offset - len(json.dumps({**record, "last": " "})) + 2
            record[filler if filler == "n" else "filler"] += "y" * size
            record["last"] = f" {secret} " + "e" * 90_000
            assert send_all(server, client, encode_line(**record))
    written = server.log.read_bytes()
    assert server.journal.cut == 4
    assert b"ghp_x" not in written
    assert [known[n : n + 4] for n in range(23) if known[n : n + 4].encode() in written] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        # As it was sent, but where escapes may hide a secret.
        (b'"message":"a\\nb","n":1e5', b'"message":"a\\nb","n":1e5,"run_id"'),
        (b'"message":"a\\/b","n":1e5', b'"message":"a/b","n":100000.0,"run_id"'),
        (b'"message":"\\u0061","n":1e5', b'"message":"a","n":100000.0,"run_id"'),
        (b'"message":"u","n":1e5', b'"message":"u","n":1e5,"run_id"'),
        # What was cut is named by a list of names, else it is somebody's own field.
        (b'"message":"m","truncated":["message"]', b'"truncated":["message"]'),
        (b'"message":"m","truncated":["message",1]', b'"truncated_":["message",1]'),
        (b'"message":"m","truncated":5', b'"truncated_":5'),
        (b'"message":"m","site":"x"', b'"site_":"x"'),
        (b'"message":"m","site":"AIND"', b'"message":"m","run_id":"r","site":"AIND"'),
        (b'"message":"m","truncated":{"a":1}', b'"truncated_":{"a":1}'),
        (b'"message":"m","truncated":["a"],"site":"x"', b'"truncated":["a"],"site_":"x"'),
        (b'"message":"m","truncated":["a"],"status":"fail"', b'"truncated":["a"],"status_":"fail"'),
        # Not whole: brought into the standard's form.
        (b'"message":5', b'"message":"5"'),
        (b'"message":"m","seq":5', b'"seq_":5'),
    ],
)
def test_a_line_from_inside(tmp_path: Path, line: bytes, told: bytes) -> None:
    """A record from inside is written as it came, but for what must be otherwise."""
    start = b'{"timestamp":"2026-01-02T03:04:05.000006Z","level":"INFO",'
    make_journal(tmp_path / "log").write_inside(start + line + b"}")
    assert told in (tmp_path / "log").read_bytes()


def test_what_is_counted(tmp_path: Path) -> None:
    """Only what was written counts: a level below the log's, and a full log, count nothing."""
    log = tmp_path / "log"
    journal = make_journal(log, level="WARNING", max_bytes=34 * 1024)
    for level in ("INFO", "ERROR") * 20:
        journal.write_inside(encode_line(**{**BASE, "level": level, "message": "x" * 3000}))
    written = log.read_bytes().count(b"\n")
    assert 0 < written < 20
    assert journal.counts == {**dict.fromkeys(journal.counts, 0), "ERROR": written}
    assert journal.get_lost() == {"size_cap": 20 - written}


@pytest.mark.parametrize(
    ("level", "exception", "told"),
    [
        (
            "ERROR",
            {"type": "KeyError", "message": "'x'", "traceback": "t"},
            Traceback("KeyError", "'x'", "t"),
        ),
        ("CRITICAL", {"type": "KeyError"}, Traceback("KeyError", "", "")),
        ("WARNING", {"type": "KeyError"}, None),
        ("INFO", {"type": "KeyError"}, None),
        ("ERROR", {"message": "x"}, None),
        ("ERROR", {"type": ""}, None),
        ("ERROR", "KeyError", None),
        ("ERROR", None, None),
    ],
)
def test_the_last_exception(
    tmp_path: Path, level: str, exception: object, told: Traceback | None
) -> None:
    """An exception that says its type is the reason of a failure, unless its record is a warning."""
    journal = make_journal(tmp_path / "log")
    journal.write_inside(encode_line(**{**BASE, "level": level}, exception=exception))
    assert journal.last_exception == told


def test_what_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables take the last value of a name, lists all entries, up to a limit; what is of no use is counted."""
    monkeypatch.setattr(additions, "MAX_ENTRIES", 3)
    said = Additions()
    said.take({"capsule": "add", "metrics": {"a": 1, "b": 2}, "notes": "one", "steps": [1, 2]})
    assert said.lost == 0
    said.take({"metrics": {"c": 3, "d": 4, "a": 5}, "steps": [3, 4, 5], "notes": []})
    assert said.lost == 3  # d, and two steps
    said.take({"metrics": [1], "parameters": "x", "unknown": {}})
    assert said.lost == 6
    assert said.describe({"p": 1}, ()) == {"parameters": {"p": 1}, "metrics": {"a": 5, "b": 2, "c": 3}}  # fmt: skip
    assert said.describe_lists() == {"notes": ["one"], "steps": [1, 2, 3]}
    said.take({"parameters": {"p": 2}, "fields": {"metrics": {"x": 1}, "taken": 2, "own": 3}})
    told = said.describe({"p": 1}, ("taken",))
    assert (told["parameters"], told["metrics_"], told["taken_"], told["own"]) == ({"p": 2}, {"x": 1}, 2, 3)  # fmt: skip
    assert Additions().describe({}, ()) == {}
    assert Additions().describe_lists() == {}
