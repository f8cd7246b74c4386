"""A known secret is hidden before anything is cut, and what is left of one at a cut is hidden too."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from aind_capsule.logs.sink import RecordBuilder
from aind_capsule.logs.target import SerialTarget, Target
from aind_capsule.logs.writer import CANONICAL_BYTES, LogWriter
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import MARK, Redactor
from aind_capsule.records.shrink import MAX_LINE_BYTES, MAX_SENT_BYTES, shrink
from aind_capsule.records.simplify import MAX_REPR_CHARACTERS
from aind_capsule.running.journal import Journal
from tests.conftest import Capsule

SECRET = "Wombat-qXvw/zKjYgH+ufPdxRt"
#: How far before a cut it begins: all of it is before it, parts of it, nothing.
OFFSETS = (-2, 1, 4, 9, 14, len(SECRET) - 1, len(SECRET) + 1, len(SECRET) + 9)
REDACTOR = Redactor(SecretNames(), known=[SECRET])
IGNORANT = Redactor(SecretNames())
BASE = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO"}
PIECES = [SECRET[n : n + 4] for n in range(len(SECRET) - 3)]


def find_pieces(data: bytes | str) -> list[str]:
    """The parts of the secret that are in some bytes."""
    text = data if isinstance(data, str) else data.decode()
    return [piece for piece in PIECES if piece in text]


def put_at(place: int, offset: int) -> str:
    """A text in which the secret begins so far before some place."""
    return "A" * (place - offset) + SECRET + "B" * 9000


@pytest.mark.parametrize("offset", range(len(SECRET) + 2))
def test_a_part_of_a_secret_at_a_cut(offset: int) -> None:
    """Where a text was cut in a secret's middle, what is left is hidden; the rest of it stays."""
    kept = SECRET[:offset]
    text = REDACTOR.redact_text(f"before {kept}… after")
    told = MARK if len(kept) >= 4 else kept
    assert text == f"before {told}… after"
    assert REDACTOR.redact_text(f"{kept} …") == (f"{MARK} …" if kept == SECRET else f"{kept} …")
    end = SECRET[len(SECRET) - offset :] if offset else ""
    told = MARK if len(end) >= 4 else end
    assert REDACTOR.redact_text(f"left out …\n{end} rest") == f"left out …\n{told} rest"
    assert IGNORANT.redact_text(f"{kept}…") == f"{kept}…"


def test_several_cuts_in_one_text() -> None:
    """Each cut is looked at, in nested values and names too, and base64 is as good as plain."""
    data = encode({**BASE, "message": "Womb… wombat-… x", "a": [{"b": "other…", "Wombat…": 1}]})
    redacted = decode(REDACTOR.redact_record(data)) or {}
    assert redacted["message"] == f"{MARK}… {MARK}… x"
    assert redacted["a"] == [{"b": "other…", f"{MARK}…": 1}]
    form = base64.b64encode(SECRET.encode()).decode()[:12]
    assert REDACTOR.redact_text(f"{form}…") == f"{MARK}…"


@pytest.fixture(params=["alone", "client", "wrapper"])
def makers(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[RecordBuilder, Journal, Path]:
    """What makes records and what writes them; one of them knows the secret."""
    knows = request.param
    builder = RecordBuilder(
        {}, {}, REDACTOR if knows == "alone" else None, REDACTOR if knows == "client" else IGNORANT
    )
    log = tmp_path / knows
    redactor = REDACTOR if knows == "wrapper" else Redactor(SecretNames())
    journal = Journal(LogWriter(log, reserves=False), {"run_id": "r"}, redactor=redactor)
    return builder, journal, log


NAMES = ("message", "exception", "own", "nested")


def build_with(builder: RecordBuilder, name: str, text: str) -> bytes:
    """A record with a text in one of its fields."""
    fields = {**BASE, "message": text if name == "message" else "m"}
    extra = {"own": text} if name == "own" else {}
    if name == "exception":
        fields["exception"] = {"traceback": text}
    elif name == "nested":
        extra["nested"] = {"inner": text}
    return builder.build_from_fields(fields, extra)


@pytest.mark.parametrize("limit", [MAX_LINE_BYTES, MAX_SENT_BYTES])
def test_a_record_that_is_too_long(makers: tuple[RecordBuilder, Journal, Path], limit: int) -> None:
    """Whoever knows the secret, no part of it is left where a record is cut, by sender or writer."""
    builder, journal, log = makers
    if limit == MAX_LINE_BYTES:  # the sender does not cut it, but has told what it knows
        journal.redactor.learn([SECRET])
    sent = []
    for name in NAMES:
        journal.write_inside(build_with(builder, name, "A" * 2 * limit))
        lines = [log.read_bytes().splitlines()[-1], build_with(builder, name, "A" * 2 * limit)]
        place = lines[limit == MAX_SENT_BYTES].count(b"A")
        for offset in OFFSETS:
            sent.append(build_with(builder, name, put_at(place, offset) + "B" * limit))
            journal.write_inside(sent[-1])
    lines = log.read_bytes().splitlines()
    assert [(decode(line) or {})["truncated"] for line in lines] == [
        [name] for name in NAMES for _ in range(len(OFFSETS) + 1)
    ]
    assert journal.cut == len(lines)
    assert max(map(len, lines)) < MAX_LINE_BYTES
    for line in [*lines, *(journal.redactor.redact_record(line) for line in sent)]:
        assert find_pieces(line) == []


class _Odd:
    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def test_what_is_cut_while_a_record_is_made(makers: tuple[RecordBuilder, Journal, Path]) -> None:
    """A long repr, an exception's message and both ends of a traceback's gap hold no part of it."""
    builder, journal, log = makers
    if "client" in str(log):
        journal.redactor.learn([SECRET])  # as the hello has it
    for offset in OFFSETS:
        odd = {"odd": _Odd(put_at(MAX_REPR_CHARACTERS, offset))}
        journal.write_inside(builder.build_from_fields({**BASE, "message": "m"}, odd))
        # What is left out of a traceback begins in the secret, or ends in it.
        for text in (
            "A" * (49_900 - offset) + SECRET + "B" * 70_000,
            "A" * 70_000 + SECRET + "B" * (50_000 - len(SECRET) + offset - 1),
            put_at(MAX_REPR_CHARACTERS, offset),
        ):
            try:
                raise ValueError(text)  # noqa: TRY301
            except ValueError as error:
                described = builder.describe_exception(ValueError, error, error.__traceback__)
            fields = {**BASE, "message": "m", "exception": described}
            journal.write_inside(builder.build_from_fields(fields, {}))
    written = log.read_bytes()
    assert written.count(b"characters left out") == 2 * len(OFFSETS)
    assert find_pieces(written) == []


def test_the_canonical_record_is_redacted_before_it_is_cut(tmp_path: Path) -> None:
    """Parameters, metrics, an error's message: hidden first, then cut to what is left of a disk."""
    log = tmp_path / "log"
    journal = Journal(LogWriter(log), {"run_id": "r"}, redactor=REDACTOR)
    for offset in OFFSETS:
        text = "A" * offset + f"{SECRET} " * 500  # a cut is in one of them, wherever it is
        more = {"metrics": {"a": text}, "parameters": {"p": [text, text]}, "own": text}
        fields = {"level": "ERROR", "message": text, "error_message": text, **more}
        journal.write_canonical(fields)
    lines = log.read_bytes().splitlines()
    assert all(len(line) <= CANONICAL_BYTES and b"truncated" in line for line in lines)
    assert find_pieces(log.read_bytes()) == []
    assert "…" in shrink({"message": "m" * 9000}, 1000)["message"]


def test_a_torn_record_is_redacted_before_it_is_cut(tmp_path: Path) -> None:
    """What is kept of a record that cannot be read holds no beginning of a secret."""
    log = tmp_path / "log"
    journal = Journal(LogWriter(log), {"run_id": "r"}, redactor=REDACTOR)
    for offset in range(len(SECRET) + 1):
        journal.write_inside(put_at(1000, offset).encode())
    assert journal.lost["torn_inside_records"] == len(SECRET) + 1
    assert find_pieces(log.read_bytes()) == []


def test_a_secret_that_only_its_form_tells() -> None:
    """What no list holds is recognised whole alone: it is hidden before the cut, or never."""
    token = "ghp_" + "x1Y2z3W4v5" * 4
    for redactor in (None, REDACTOR):
        builder = RecordBuilder({}, {}, redactor, REDACTOR)
        for place in (MAX_REPR_CHARACTERS, 49_900):
            text = "A" * (place - 20) + " " + token + " " + "B" * 100_000
            try:
                raise ValueError(text)  # noqa: TRY301
            except ValueError as error:
                described = builder.describe_exception(ValueError, error, error.__traceback__)
            assert "…" in described["message"]
            assert "characters left out" in described["traceback"]
            assert "ghp_" not in str(described)
        text = f"{token} " * (5 * MAX_SENT_BYTES // len(token))
        line = builder.build_from_fields({**BASE, "message": text}, {})
        assert b"truncated" in line
        assert b"ghp_" not in line


class _Kept:
    """A target that keeps what it is given; who takes it further hides the secrets."""

    redactor = None
    cut_redactor = REDACTOR

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def send(self, record: bytes) -> None:
        self.records.append(record)


def test_a_record_that_cannot_be_made(capfd: pytest.CaptureFixture[str]) -> None:
    """What is said of it, on stderr too, is redacted before it is cut."""

    def fail(offset: int) -> bytes:
        raise ValueError(put_at(500, offset))

    for offset in range(len(SECRET) + 20):
        kept = _Kept()
        SerialTarget(cast("Target", kept)).take(fail, offset)
        assert len(kept.records) == 1
        assert find_pieces(kept.records[0]) == []
        assert find_pieces(capfd.readouterr().err) == []


#: About here a text of a log call, with little beside it, is cut.
PLACE = len(shrink({**BASE, "message": "A" * 600_000}, MAX_LINE_BYTES - 48)["message"]) - 60
SCRIPT = f"""
import os
from aind_capsule import capsule_run, configure_logging
from loguru import logger
secret = open("../data/given").read()
put = lambda place: "A" * (place - 12) + secret + "B" * 600_000
with capsule_run("x") as run:
    configure_logging()
    logger.info(put({PLACE}))
    logger.bind(own=put({PLACE})).info("own")
    try:
        raise ValueError(put({MAX_REPR_CHARACTERS}))
    except ValueError as error:
        logger.bind(error=error).exception("error")
    run.log_metric("m", put(2048)[:60_000]); run.log_parameters(p=put(2048)[:60_000])
    run.note(put({PLACE})[:200_000])
    raise SystemExit(put(2048)[:60_000])
"""


def test_in_a_run(capsule: Capsule) -> None:
    """Wrapped with a secret that only the wrapper knows, and alone: no part is in any run file."""
    (capsule.data / "given").write_text(SECRET)
    script = capsule.write("s.py", SCRIPT)
    env = {"LAB_TOKEN": SECRET}
    command = ("env", "-u", "LAB_TOKEN", sys.executable, str(script))
    assert capsule.run(*command, env=env, options=("--console", "off")).status == 1
    subprocess.run(
        [sys.executable, str(script)],
        cwd=capsule.code, env={**capsule.environ, **env}, capture_output=True, check=False,
    )  # fmt: skip
    paths = [path for path in capsule.scratch.rglob("*") if path.is_file()]
    assert len([path for path in paths if path.name.endswith(".log.jsonl")]) == 2
    for path in [*paths, *filter(Path.is_file, capsule.results.iterdir())]:
        assert find_pieces(path.read_bytes()) == [], path
