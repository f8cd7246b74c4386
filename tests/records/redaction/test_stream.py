"""Secrets in a stream of bytes, wherever it is cut: over lines, over pieces of long lines."""

from __future__ import annotations

import random

import pytest

from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import MARK, Redactor
from aind_capsule.records.redaction.stream import (
    LOOK_AHEAD_BYTES,
    OutputRedactor,
    StreamRedactor,
)
from tests.records.redaction.secrets import encode_known, make_filler, make_known, make_shape

RNG = random.Random(3)  # noqa: S311 (cases, not secrets)
KNOWN = [make_known(RNG) for _ in range(5)]
REDACTOR = Redactor(SecretNames(), known=KNOWN)
KEY_LINES = [
    b"-----BEGIN RSA PRIVATE KEY-----",
    b"MIIEpAIBAAKCAQEA" * 4,
    b"u4Lrz5VqLxu0ZzWv" * 4,
    b"Cc==",
    b"-----END RSA PRIVATE KEY-----",
]


def redact(block: bytes, stream: StreamRedactor | None = None) -> bytes:
    """What a stream's redactor makes of whole lines."""
    return (stream or StreamRedactor(REDACTOR)).redact_block(block, REDACTOR.find(block)[0])


def test_only_lines_with_secrets_change() -> None:
    """In a block of many lines those with secrets are redacted, all others stay; so does their number."""
    lines = [f"line {n}" for n in range(100)]
    lines[7], lines[99] = "token=abc-1", f"x {KNOWN[0]}"
    expected = [*lines]
    expected[7], expected[99] = f"token={MARK}", f"x {MARK}"
    block = redact("\n".join([*lines, ""]).encode())
    assert block.decode().split("\n") == [*expected, ""]


def test_a_key_over_several_lines_and_blocks() -> None:
    """Every line of a private key block is hidden, wherever the blocks begin and end."""
    for cut in range(len(KEY_LINES) + 1):
        stream = StreamRedactor(REDACTOR)
        lines = [b"before", *KEY_LINES, b"after"]
        first, second = lines[:cut], lines[cut:]
        done = b"".join(
            redact(b"\n".join([*part, b""]), stream) for part in (first, second) if part
        )
        assert done.split(b"\n") == [b"before", *[MARK.encode()] * 5, b"after", b""]


def test_a_key_without_its_end() -> None:
    """A block that never ends hides no more than a few lines that are none of its own."""
    stream = StreamRedactor(REDACTOR)
    done = redact(b"\n".join([*KEY_LINES[:3], *[b"trial %d" % n for n in range(6)], b""]), stream)
    assert done.split(b"\n") == [*[MARK.encode()] * 6, b"trial 3", b"trial 4", b"trial 5", b""]


def cut_line(stream: StreamRedactor, line: bytes, limit_bytes: int) -> list[bytes]:
    """A long line in redacted pieces, as `running.lines` and `running.capture` make them."""
    pieces, is_first = [], True
    while len(line) > limit_bytes:
        cut = stream.find_cut(line, limit_bytes)
        pieces.append(stream.redact_piece(line[:cut], is_first=is_first))
        line, is_first = line[cut:], False
    return [*pieces, stream.redact_piece(line, is_first=is_first)]


@pytest.mark.parametrize("case", range(300))
def test_secrets_over_the_cut_of_a_long_line(case: int) -> None:
    """Wherever a long line is cut: no secret is left in the pieces, nor in what they make together."""
    rng = random.Random(case)  # noqa: S311
    text, secret = make_shape(rng) if rng.random() < 0.5 else encode_known(rng, rng.choice(KNOWN))
    text = text.replace("\n", " ").replace("\r", " ")
    secret = secret.replace("\n", " ")
    limit = rng.randint(100, 200)
    line = ("x" * rng.randint(0, 250) + f" {text} " + make_filler(rng) * 20).encode()
    pieces = cut_line(StreamRedactor(REDACTOR), line, limit)
    whole = b"".join(pieces)
    assert secret.encode() not in whole
    assert MARK.encode() in whole
    assert all(secret.encode()[:12] not in piece for piece in pieces) or len(secret) <= 12


def test_a_secret_longer_than_what_is_looked_at() -> None:
    """A value of half a megabyte is hidden in all pieces, to its end and no further."""
    value = b"Zq9" * 180_000
    for opening, closing in ((b"password=", b" "), (b'"token": "', b'" '), (b"Bearer ", b" ")):
        line = b"start " + opening + value + closing + b"after it"
        done = b"".join(cut_line(StreamRedactor(REDACTOR), line, 256 * 1024))
        assert b"Zq9" not in done
        assert done.startswith(b"start " + opening)
        assert done.endswith(closing + b"after it")


@pytest.mark.parametrize("case", range(200))
def test_output_in_any_pieces(case: int) -> None:
    """Output that arrives in any pieces: no secret passes, every line passes, and the rest at the end."""
    rng = random.Random(case)  # noqa: S311
    text, secret = make_shape(rng) if rng.random() < 0.5 else encode_known(rng, rng.choice(KNOWN))
    end = rng.choice(["\n", "\r", "\r\n", ""])
    data = f"first\n{make_filler(rng)} {text}{end}".encode()
    output, done = OutputRedactor(REDACTOR), b""
    while data:
        size = rng.randint(1, 40)
        done += output.feed(data[:size])
        data = data[size:]
    done += output.finish()
    assert secret.encode() not in done
    assert done.startswith(b"first\n")
    assert done.endswith(end.encode())


def test_output_of_a_long_line_passes_in_bounded_memory() -> None:
    """A line of 3 MB without an end does not wait for it."""
    output, done = OutputRedactor(REDACTOR), 0
    for _ in range(48):
        done += len(output.feed(b"y" * 65536))
    assert 48 * 65536 - done <= 256 * 1024 + LOOK_AHEAD_BYTES + 65536
    assert done + len(output.feed(b"z\n")) + len(output.finish()) == 48 * 65536 + 2


def test_plain_output_passes_as_it_is() -> None:
    """Bytes without a secret are the same afterwards, invalid UTF-8 included."""
    data = bytes(range(256)) * 3
    output = OutputRedactor(REDACTOR)
    assert output.feed(data) + output.finish() == data
