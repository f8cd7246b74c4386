"""Secrets over several lines are hidden, whatever stands before or behind them on each line."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

import hypothesis
import pytest
from hypothesis import strategies

from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.records.redaction.stream import OutputRedactor, StreamRedactor

REDACTOR = Redactor(SecretNames(), known=["Wombat-in-the-lab"])
RNG = random.Random(5)  # noqa: S311 (cases, not secrets)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def make_base64(characters: int) -> str:
    """Return some text of a key."""
    return "aB" + "".join(RNG.choices(LETTERS, k=characters - 2))


def make_key(kind: str, width: int = 64, headers: Iterable[str] = (), last: str = "AwEHoUQDQgAE") -> str:  # fmt: skip
    """Return a key's block of some lines, as programs write it."""
    dashes, space = ("----", " ") if "SSH2" in kind else ("-----", "")
    lines = [f"{dashes}{space}BEGIN {kind}{space}{dashes}", *headers]
    lines += [make_base64(width) for _ in range(4)]
    return "\n".join([*lines, last, f"{dashes}{space}END {kind}{space}{dashes}"])


ENCRYPTED = ("Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,7A93F1C2D4E5B6A798C0", "")
PGP = ("Version: GnuPG v2", "Comment: of the lab", "")
PUTTY_LINES = "\n".join([make_base64(64), make_base64(64), "Q29uZ3Jh"])
KEYS = {
    "RSA": make_key("RSA PRIVATE KEY"),
    "PKCS 8": make_key("PRIVATE KEY", last="b2s="),
    "EC in one line": make_key("EC PRIVATE KEY").replace("\n", "\\n"),
    "OpenSSH": make_key("OPENSSH PRIVATE KEY", 70),
    "encrypted": make_key("RSA PRIVATE KEY", headers=ENCRYPTED),
    "SSH2": make_key("SSH2 ENCRYPTED PRIVATE KEY", 70),
    "PGP": make_key("PGP PRIVATE KEY BLOCK", headers=PGP, last="Q2o=\n=njUN"),
    "PuTTY": f"Private-Lines: 3\n{PUTTY_LINES}\nPrivate-MAC: 0123456789abcdef",
    "kubeconfig": f"    client-key-data: {make_base64(200)}",
    "wrapped kubeconfig": f"    client-key-data: {make_base64(68)}\n      {make_base64(76)}",
    "folded kubeconfig": f"    client-key-data: >-\n      {make_base64(76)}\n      {make_base64(76)}",
}
#: What may be done to each line.
LINES: dict[str, Callable[[int, str], str]] = {
    "as it is": lambda _, line: line,
    "indented": lambda _, line: f"      {line}" if line else line,
    "tabs": lambda _, line: f"\t\t{line}",
    "quoted mail": lambda _, line: f"> {line}",
    "a log's prefix": lambda n, line: f"2026-01-02 03:04:{n:02}.123 INFO  [main] {line}",
    "a container's prefix": lambda _, line: f"web_1  | {line}",
    "a list in Python": lambda _, line: f"    '{line}',",
    "lines in Python": lambda _, line: f'    "{line}\\n"',
    "a shell's echo": lambda _, line: f"+ echo '{line}'",
    "grep's numbers": lambda n, line: f"{n}:{line}",
}


def find_secrets(text: str) -> list[str]:
    """Return the parts of keys in a text."""
    words = text.replace("\\n", " ").split()
    return [word for word in words if word.startswith("aB") or word in ("AwEHoUQDQgAE", "Q29uZ3Jh")]


def redact_whole(text: str) -> str:
    """Return what is left of a text that comes in one piece."""
    return StreamRedactor(REDACTOR).redact_block(
        text.encode(), REDACTOR.find(text.encode())[0]
    ).decode()  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_keys_behind_any_prefix(kind: str) -> None:
    """Of each key in each kind of lines nothing is left; the lines around it and their number stay."""
    for name, change in LINES.items():
        if "kubeconfig" in kind and name != "as it is":  # YAML's lines have no prefix of their own
            continue
        lines = [change(n, line) for n, line in enumerate(KEYS[kind].split("\n"))]
        done = redact_whole("\n".join(["before it", *lines, "done 1", "done 2", ""])).split("\n")
        assert len(done) == len(lines) + 4, name
        assert (done[0], done[-3:]) == ("before it", ["done 1", "done 2", ""]), (name, done)
        secrets = find_secrets(KEYS[kind])
        assert secrets
        assert not any(secret in line for secret in secrets for line in done), (name, done)
        text = REDACTOR.redact_text("\n".join(["before it", *lines, "done 1", "done 2"]))
        assert not any(secret in text for secret in secrets), (name, text)
        assert text.startswith("before it\n"), (name, text)
        assert text.endswith("done 1\ndone 2"), (name, text)


def test_prefixes_stay() -> None:
    """Of a key's line behind a log's prefix only the key goes."""
    text = "\n".join(f"12:00 INFO {line}" for line in KEYS["RSA"].split("\n")[:4])
    assert redact_whole(text) == "\n".join(["12:00 INFO [redacted]"] * 4)


def test_a_coloured_key_is_passed_on() -> None:
    """Colours around a key's lines hide none of them in output that is passed on."""
    lines = [f"\x1b[0;32m{line}\x1b[0m" for line in KEYS["RSA"].split("\n")]
    done = redact_whole("\n".join(lines))
    assert not any(secret in done for secret in find_secrets(KEYS["RSA"]))
    assert "\x1b[0;32m[redacted]\x1b[0m" in done


@pytest.mark.parametrize(
    "text",
    [
        "expected -----BEGIN PRIVATE KEY----- at the beginning\nof the file\nbut got this\nand that",
        "Private-Lines: many\nof them\nare here",
        "client-key-data: see below\nWordsInCamelCaseThatAreLong1",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOC\n-----END PUBLIC KEY-----",
        "machine learning is here\npassword policy",
        "docker run -u user:group image",
        "curl is here\n  next -u lines:of",
    ],
)
def test_what_is_no_block_stays(text: str) -> None:
    """A sentence about a key, a public key and ordinary words hide no line after them."""
    assert redact_whole(text).split("\n")[1:] == text.split("\n")[1:]


def test_a_block_without_its_end_is_over_soon() -> None:
    """A key that breaks off hides three lines behind it and no more, whatever words they end with."""
    lines = KEYS["RSA"].split("\n")[:3]
    for word in ("Loading", "/usr/lib/python3/lists", "ACGTACGTACGTACGTACGTACGT", "run-OfOneMouseAndItsProbes",
                 "356a192b7913b04c54574d18c28d46e6395428ab"):  # fmt: skip
        more = ["trial 1", f"see {word}", "trial 2", "trial 3", "trial 4"]
        done = redact_whole("\n".join([*lines, *more])).split("\n")
        assert done == ["[redacted]"] * 6 + more[3:], word


def test_lines_between_those_of_a_key() -> None:
    """Two lines of another program between a key's lines do not end it."""
    lines = KEYS["RSA"].split("\n")
    mixed = [*lines[:2], "epoch 1", "epoch 2", *lines[2:4], "epoch 3", *lines[4:]]
    done = redact_whole("\n".join(mixed))
    assert not any(secret in done for secret in find_secrets(KEYS["RSA"]))


def test_the_key_on_its_markers_lines() -> None:
    """Text of a key behind its first line's marker, and before its last line's, goes with them."""
    lines = KEYS["RSA"].split("\n")
    joined = [lines[0] + lines[1], *lines[2:4], lines[4] + lines[6], "after 1", "after 2"]
    assert redact_whole("\n".join(joined)).split("\n") == ["[redacted]"] * 4 + joined[4:]


def test_a_key_that_begins_in_a_long_line() -> None:
    """A long line that comes in pieces may end with a key's first line, and one in a key may be long."""
    lines = [line.encode() for line in KEYS["RSA"].split("\n")]
    stream = StreamRedactor(REDACTOR)
    done = stream.redact_piece(b"x" * 500, is_first=True)
    done += stream.redact_piece(b"y" * 500 + lines[0], is_first=False)
    assert done == b"x" * 500 + b"y" * 500 + b"[redacted]"
    assert [stream.redact_line(line) for line in lines[1:3]] == [b"[redacted]"] * 2
    assert stream.redact_piece(b"z " * 100 + lines[3], is_first=True) == b"z " * 100 + b"[redacted]"
    assert stream.redact_line(lines[-1]) == b"[redacted]"
    assert stream.redact_line(b"after it") == b"after it"


CONTINUED = {
    "curl -H": (
        'curl -s \\\n  -H "Accept: x/y" \\\n  -H "Authorization: Bearer kjYgHufPdxRt" \\\n  https://h',
        "kjYgHufPdxRt",
    ),
    "a deep indent": ("tool --password \\\n              kjYgHufPdxRt", "kjYgHufPdxRt"),
    "curl -u": ("curl -X POST \\\n  -u me:kjYgHufPdxRt \\\n  https://host/x", "kjYgHufPdxRt"),
    "curl --user": ("curl \\\n --retry 3 \\\n --user me:kjYgHufPdxRt", "kjYgHufPdxRt"),
    "an option and its value": ("tool run --password \\\n  kjYgHufPdxRt \\\n  --verbose", "kjYgHufPdxRt"),
    "set -x": ("+ curl \\\n+   -u me:kjYgHufPdxRt", "kjYgHufPdxRt"),
    "docker login": ("docker login \\\n  -u me \\\n  -p kjYgHufPdxRt \\\n  registry", "kjYgHufPdxRt"),
    "mysql": ("mysql \\\n  -u root \\\n  -pkjYgHufPdxRt db", "kjYgHufPdxRt"),
    "netrc": ("machine host\n  login me\n  password kjYgHufPdxRt\nmachine b", "kjYgHufPdxRt"),
    "netrc, default": ("default\nlogin me\npassword kjYgHufPdxRt", "kjYgHufPdxRt"),
    "netrc with accounts": ("machine h login me\n\taccount a\n\tpasswd kjYgHufPdxRt", "kjYgHufPdxRt"),
    "netrc in one line": ("machine h login me password kjYgHufPdxRt", "kjYgHufPdxRt"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTINUED)
def test_what_goes_on_with_the_lines_before(case: str) -> None:
    """A secret that only the lines before it tell is hidden, and nothing else of its line."""
    text, secret = CONTINUED[case]
    lines = text.split("\n")
    done = redact_whole(f"before\n{text}\nafter").split("\n")
    assert len(done) == len(lines) + 2
    for line, redacted in zip(["before", *lines, "after"], done, strict=True):
        hidden = line.replace(secret, "[redacted]")
        assert redacted == hidden or ("Authorization" in line and secret not in redacted)
    shown = REDACTOR.redact_text(f"before\n{text}\nafter")
    assert shown.replace("[redacted]", secret) == f"before\n{text}\nafter" or "Author" in shown
    assert secret not in shown


def test_a_long_line_that_goes_on_with_others() -> None:
    """A line that comes in pieces goes on with the lines before it as well."""
    stream = StreamRedactor(REDACTOR)
    stream.redact_line(b"docker login \\")
    piece = b"  -p kjYgHufPdxRt reg " + b"y" * 500
    assert stream.redact_piece(piece, is_first=True) == b"  -p [redacted] reg " + b"y" * 500
    stream.redact_line(b"docker login")
    assert stream.redact_piece(piece, is_first=True) == piece


def test_a_short_line_of_a_key_keeps_its_prefix() -> None:
    """Of a short line behind a prefix only the key goes, too."""
    text = f"-----BEGIN RSA PRIVATE KEY-----\n12:00 {make_base64(20)}"
    assert redact_whole(text) == "[redacted]\n12:00 [redacted]"


def test_words_behind_a_keys_line() -> None:
    """A key's line goes though words are behind it; a path, a hash and a long word there stay."""
    for opening in ("client-key-data: |", "-----BEGIN RSA PRIVATE KEY-----"):
        key = make_base64(50) + "7="
        for text in (f"{opening}\n  {key} done in 3 s", f"{opening}\n{key} (line 2 of 3)"):
            expected = text.replace(key, "[redacted]")
            assert redact_whole(text).split("\n")[1] == expected.split("\n")[1]
            assert key not in REDACTOR.redact_text(text)
    for word in (
        "356a192b7913b04c54574d18c28d46e6395428ab",
        "A" * 44,
        "WordsOfManyLettersInOneNameThatIsNoKeyAtAll",
    ):
        text = f"client-key-data: |\n  {word} is here"
        assert redact_whole(text) == text


def test_a_value_ends_with_its_line() -> None:
    """What a backslash carries on is no part of the value before it, in a record as in output."""
    text = "tool --token kjYgHufPdxRt \\\n  --fast \\\n  Authorization: \\\n  next 3"
    expected = text.replace("kjYgHufPdxRt", "[redacted]")
    assert redact_whole(text) == expected
    assert REDACTOR.redact_text(text) == expected


def test_a_value_over_the_end_of_a_line() -> None:
    """A value between quotes that a backslash carries on is hidden on both lines, and nothing around it."""
    text = 'tool --password "Zq9 x7 \\\n  kjY8gHuf" --fast'
    assert redact_whole(text) == 'tool --password "[redacted]\\\n  [redacted]" --fast'
    assert REDACTOR.redact_text(text) == 'tool --password "[redacted]" --fast'


def test_only_the_keys_lines_go_in_a_record() -> None:
    """In a record's text the prefix of a key's line stays, and every line around the key."""
    text = "\n".join(f"12:00 {line}" for line in ("x", *KEYS["PuTTY"].split("\n"), "y"))
    lines = REDACTOR.redact_text(text).split("\n")
    assert lines[:2] == ["12:00 x", "12:00 Private-Lines: 3"]
    assert lines[2:5] == ["12:00 [redacted]", "12:00 [redacted]", "[redacted]"]
    assert lines[5:] == ["12:00 Private-MAC: 0123456789abcdef", "12:00 y"]


TEXTS = ["tool --password \\\n\nkjYgHufPdxRt", *KEYS.values(), *(text for text, _ in CONTINUED.values()), "token=abc\\", "a\\\nb", "",
         "x Wombat-in-the-lab y", "Bearer\rkjYgHufPdxRt", "12 %\r13 %", *(
             "\n".join(change(n, line) for n, line in enumerate(KEYS["RSA"].split("\n")))
             for change in [*LINES.values()][:5])]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_output_cut_at_every_byte(end: str) -> None:
    """Output in two pieces, cut at any byte, is the same as in one."""
    for text in TEXTS:
        data = (text.replace("\n", end) + f"{end}after{end}").encode()
        whole = OutputRedactor(REDACTOR)
        expected = whole.feed(data) + whole.finish()
        for cut in range(1, len(data)):
            output = OutputRedactor(REDACTOR)
            done = output.feed(data[:cut]) + output.feed(data[cut:]) + output.finish()
            assert done == expected, (text, cut)


@hypothesis.given(
    strategies.lists(strategies.sampled_from(TEXTS), max_size=6),
    strategies.lists(strategies.integers(min_value=1, max_value=60), min_size=1, max_size=12),
    strategies.sampled_from(["\n", "\r\n", "\r"]),
)
def test_output_in_any_pieces(texts: list[str], sizes: list[int], end: str) -> None:
    """Any texts in any pieces come out as they would in one piece, and with all of their line ends."""
    data = "\n".join(texts).replace("\n", end).encode()
    whole, output, done = OutputRedactor(REDACTOR), OutputRedactor(REDACTOR), b""
    expected = whole.feed(data) + whole.finish()
    rest, turn = data, 0
    while rest:
        size = sizes[turn % len(sizes)]
        done += output.feed(rest[:size])
        rest, turn = rest[size:], turn + 1
    assert done + output.finish() == expected
    assert done.count(b"\r") + done.count(b"\n") <= data.count(b"\r") + data.count(b"\n")


@hypothesis.given(
    strategies.lists(strategies.sampled_from(TEXTS), max_size=6),
    strategies.lists(strategies.integers(min_value=0, max_value=4), min_size=1, max_size=12),
)
def test_lines_in_any_blocks(texts: list[str], sizes: list[int]) -> None:
    """Lines in any blocks, and one by one, lose the same: it does not matter what was read at once."""
    lines = "\n".join(texts).replace("\r", " ").encode().split(b"\n")
    single = StreamRedactor(REDACTOR)
    expected = [single.redact_line(line) for line in lines]
    blocks, done, rest, turn = StreamRedactor(REDACTOR), [], lines, 0
    while rest:
        size = sizes[turn % len(sizes)]
        turn += 1
        if size == 0:
            done.append(blocks.redact_line(rest[0]))
            rest = rest[1:]
            continue
        block = b"\n".join([*rest[:size], b""])
        done += blocks.redact_block(block, REDACTOR.find(block)[0]).split(b"\n")[:-1]
        rest = rest[size:]
    assert done == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "token",
    ["-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "PRIVATE KEY ", "Private-Lines: 9", "\\n",
     "client-key-data: A", "\x1b[0m", "MIIEpAIBAAKCAQEA", " -u a:b", "password x ", "machine h "],
)  # fmt: skip
def test_lines_of_the_block_are_read_in_linear_time(token: str) -> None:
    """300 of a token on a line in an open block are found without repeated work; a megabyte is as well."""

    def measure(count: int) -> float:
        line = (token * count).encode()
        best = 9.0
        for _ in range(3):
            stream = StreamRedactor(REDACTOR)
            stream.redact_line(b"-----BEGIN RSA PRIVATE KEY-----")
            started = time.perf_counter()
            stream.redact_line(line)
            best = min(best, time.perf_counter() - started)
        return best

    sizes = [300, 3000, 30_000]
    small, middle, large = (measure(size) / size for size in sizes)
    assert large < 8 * max(small, middle)


@pytest.mark.slow
@pytest.mark.parametrize("line", ["-p x \\\n", "--password \\\n", "  \\\n", "PRIVATE KEY\n", "a\n"])
def test_texts_of_many_lines_are_read_in_linear_time(line: str) -> None:
    """A record's text of very many continued lines, or of lines that may begin a key, is no slower a line."""

    def measure(count: int) -> float:
        text, best = line * count, 9.0
        for _ in range(3):
            started = time.perf_counter()
            REDACTOR.redact_text(text)
            best = min(best, time.perf_counter() - started)
        return best / count

    small, middle, large = (measure(size) for size in (300, 3000, 30_000))
    assert large < 8 * max(small, middle)
