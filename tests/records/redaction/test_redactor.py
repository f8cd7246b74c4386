"""No covered secret is left in what a redactor has seen; what is no secret stays."""

from __future__ import annotations

import json
import os
import random
import re
import time

import pytest

from aind_capsule.records import literals
from aind_capsule.records.encode import decode, encode
from aind_capsule.records.redaction.known import find_known_values
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import MARK, Redactor
from aind_capsule.records.redaction.rules import RULES
from tests.conftest import parse_strictly
from tests.records.redaction.secrets import (
    NAMES,
    PRINTABLE,
    TOKENS,
    encode_known,
    make_fields,
    make_filler,
    make_known,
    make_shape,
    make_text,
    make_token,
)

#: Each case has a seed of its own; the slow test takes those behind them.
CASES = int(os.environ.get("REDACTION_CASES", "4000"))
MANY = int(os.environ.get("REDACTION_MANY", "200000"))
SEED = int(os.environ.get("REDACTION_SEED", "1"))

BASE = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO", "message": "m"}
KNOWN_RNG = random.Random(SEED)  # noqa: S311 (cases, not secrets)
KNOWN = [make_known(KNOWN_RNG) for _ in range(20)]
REDACTOR = Redactor(SecretNames(), known=KNOWN)


def find_leak(secret: str, data: bytes) -> bool:
    """Whether a secret is in a line: in the bytes, or in any text that they decode to."""
    if secret.encode() in data:
        return True

    def is_in(value: object) -> bool:
        if isinstance(value, str):
            return secret in value
        if isinstance(value, dict):
            return any(is_in(part) for pair in value.items() for part in pair)
        return isinstance(value, list) and any(map(is_in, value))

    return is_in(decode(data))


def make_case(rng: random.Random) -> tuple[dict[str, object], list[str]]:
    """A record's fields and the secrets in them."""
    if rng.random() < 0.6:
        text, secret = make_shape(rng)
    else:
        text, secret = encode_known(rng, rng.choice(KNOWN))
    text = f"{make_filler(rng)} {text} {make_filler(rng)}"
    hidden = make_text(rng, PRINTABLE, 6, 30)
    return make_fields(rng, text, rng.choice(NAMES), hidden), [secret, hidden]


@pytest.mark.parametrize("part", range(4))
def test_no_covered_secret_is_left(part: int) -> None:
    """Generated records with a secret in a text and one under a name: neither is left, and the line is valid."""
    check_cases(range(part, CASES, 4))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_no_covered_secret_is_left_in_many(part: int) -> None:
    """The same for very many cases: a million by hand (`REDACTION_MANY=1000000`)."""
    check_cases(range(CASES + part, CASES + MANY, 8))


def check_cases(cases: range) -> None:
    """Each case's record is valid and without its secrets."""
    for case in cases:
        rng = random.Random(f"{SEED}-{case}")  # noqa: S311
        fields, secrets = make_case(rng)
        line = REDACTOR.redact_record(encode(fields))
        assert parse_strictly(line)["timestamp"] == fields["timestamp"]
        for secret in secrets:
            assert not find_leak(secret, line), (case, secret, fields, line)


@pytest.mark.parametrize("case", range(200))
def test_without_the_compiled_finder(case: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain fallback hides the same."""
    rng = random.Random(f"plain-{case}")  # noqa: S311
    fields, _ = make_case(rng)
    expected = REDACTOR.redact_record(encode(fields))
    monkeypatch.setattr(literals, "BytesAhoCorasick", None)
    assert Redactor(SecretNames(), known=KNOWN).redact_record(encode(fields)) == expected


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_is_found_by_its_rule(name: str) -> None:
    """Each rule of a token finds one, and says its name; within a word it is none."""
    token = make_token(random.Random(name), TOKENS[name])  # noqa: S311
    data = f"a {token} b".encode()
    assert ((2, 2 + len(token)), name) in [
        (span, found) for span, found in REDACTOR.find_named_spans(data)
    ]
    assert REDACTOR.redact_text(f"x{token}") == f"x{token}"


def test_every_rule_of_a_token_is_tried() -> None:
    """A rule that is known by its form alone has a row here."""
    bordered = {
        rule.name for rule in RULES if rule.is_bordered and "(?P<secret>" not in rule.expression
    }
    assert bordered - set(TOKENS) <= {"AWS access key id, and the secret key within 400 bytes"}


@pytest.mark.parametrize(
    "text",
    [
        "token: 3", "max_token=128", "pad_token: 0", "password: str = None", "token = get_token()", "api_key: $API_KEY", "password=${DB_PASSWORD}",
        "--password PASSWORD", "usage: x [-h] --api-key KEY", "password=<password>", "password={{ password }}", "pass: 212", "auth: true",
        '{"token": 3, "n": 4}', '{"password": null, "n": 4}', "--password '' --n 3", "KeyError: 'password'", "if password is None:",
        "assert token == expected", "secret = hashlib.sha256()", "password_file=/run/secrets/pw", "session_key = (717033, '2024-05-01')",
        "docker run -p 8888:8888 -u 1000:1000 img", "ssh -p 2222 host", "mkdir -p /results/out", "pip install --user numpy", "sort -u a:b",
        "Basic statistics: mean 3", "Bearer token missing", "Authorization: none", "authorization failed", "sig=0.05", "x?sig=0.01",
        "Signature: (a: int) -> None", "wandb version 0.17.0 git 631a0feeced0fbf79b2abce3f4087ea6c5ea3ae9", "hf_hub_download(x)",
        "AKIACDEFGHIKLMNPQRST", "ACCATGCAAGGCCCCAGAAGTGCACGTGGTTCACC", "docker://ubuntu:22.04@sha256:" + "0" * 64, "ssh://git@github.com/a/b",
        "SyntaxError: Unexpected token: <", "token: Optional[str] = None", "headers = {'Authorization': f'Bearer {token}'}", "secretary: J. Doe",
        "Password authentication is disabled", "time_per_token=0.8ms", "password: 12.5", "password: 12345", "session token cookie", "cookies: {}",
        "12 trials of session behavior_705599_2024-05-31_14-06-54 in 3.2 s",
        "max_tokens=512 token_count: 7 tokenizer=bert",
        "Basic processing of basic information: done",
        "GET http://host:8080/a/b?c=1 200", "git@github.com:lab/repo.git",
        "password=None token: null secret=[redacted] password=***",
        "author: Ada, monkey: M2501, keyboard: no", "http://host:80/x a@b.org",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 356a192b7913b04c54574d18c28d46e6395428ab", "PWD=/code", "the key of the piece: C",
        "-----BEGIN PUBLIC KEY-----",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    """Ordinary lines of a processing come out as they went in."""
    assert REDACTOR.redact_text(text) == text


def test_only_the_secret_goes() -> None:
    """What stands around a secret stays readable."""
    redact = REDACTOR.redact_text
    assert (
        redact("GET https://h/x?token=abc-1&page=2 ok") == f"GET https://h/x?token={MARK}&page=2 ok"
    )
    assert redact('{"password": "a b", "n": 1}') == f'{{"password": "{MARK}", "n": 1}}'
    assert (
        redact("clone https://me:pw1234@github.com/a/b") == f"clone https://{MARK}@github.com/a/b"
    )
    assert redact(f"x{KNOWN[0]}y") == f"x{MARK}y"
    assert redact("Authorization: Bearer abcdef1\nHost: h") == f"Authorization: {MARK}\nHost: h"


def test_fields_of_the_machinery_stay() -> None:
    """A secret that looks like a time or a level breaks no record: those are the machinery's."""
    redactor = Redactor(SecretNames(), known=["2026", "INFO", "1234"])
    fields = {"timestamp": "2026-01-02T03:04:05.000006Z", "level": "INFO", "lineno": 1234, "n": 51234,
              "message": "in 2026"}  # fmt: skip
    assert redactor.redact_fields(fields) == {**fields, "n": MARK, "message": f"in {MARK}"}


def test_hidden_names_do_not_collide() -> None:
    """Two names that are hidden stay two: no object has a name twice."""
    redactor = Redactor(SecretNames(), known=["alpha-1234", "beta-5678"])
    line = redactor.redact_record(encode({**BASE, "t": {"alpha-1234": 1, "beta-5678": 2}}))
    assert parse_strictly(line) == {**BASE, "t": {MARK: 1, f"{MARK}_": 2}}


def test_values_that_are_none_stay() -> None:
    """A secret that is missing shows as missing."""
    fields = {"password": None, "token": "", "api_key": False, "secret": {}}
    assert REDACTOR.redact_fields(fields) == fields


def test_command_lines_as_lists() -> None:
    """What follows an option that bears a secret's name is hidden; the next option is not."""
    command = ["run", "--password", "hunter2", "--token", "--verbose", "-api-key=abc-1", "x"]
    assert REDACTOR.redact_fields({"command": command})["command"] == [
        "run", "--password", MARK, "--token", "--verbose", f"-api-key={MARK}", "x"
    ]  # fmt: skip


def test_users_rules() -> None:
    """Names, expressions and variables of the user's count; of an expression its group `secret`."""
    redactor = Redactor(
        SecretNames(["rig pin"]),
        [re.compile(r"lab-\d{4}", re.MULTILINE), re.compile(r"door (?P<secret>\w+)")],
        find_known_values({"LAB_CODE": "quokka99", "OTHER": "numbat"}, SecretNames(), ["LAB_*"]),
    )
    assert redactor.redact_text("lab-1234 é door blue, rigPin=7 rig_pin: 8 quokka99 numbat") == (
        f"{MARK} é door {MARK}, rigPin={MARK} rig_pin: {MARK} {MARK} numbat"
    )
    assert redactor.redact_fields({"rig-pin": 5, "x": "lab-0000"}) == {"rig-pin": MARK, "x": MARK}


def test_more_is_learnt() -> None:
    """Values that are learnt later are hidden from then on."""
    redactor = Redactor(SecretNames())
    assert redactor.redact_text("wombat-17") == "wombat-17"
    redactor.learn(["wombat-17"])
    assert redactor.redact_text("wombat-17") == MARK


def test_what_the_environment_holds() -> None:
    """Values of variables with a secret's name, and passwords in URLs; nothing short or ordinary."""
    environ = {
        "GIT_ACCESS_TOKEN": "tok-1234", "AWS_SECRET_ACCESS_KEY": "/abc+def", "HOME": "/root", "PWD": "/code",
        "A_TOKEN": "1", "B_TOKEN": "true", "C_TOKEN": "", "DATABASE_URL": "postgresql://u:p%40ss@h/x",
        "GOOGLE_APPLICATION_CREDENTIALS": "/key.json", "TOKEN_FILE": "/run/secrets/token",
    }  # fmt: skip
    assert find_known_values(environ, SecretNames()) == ["tok-1234", "/abc+def", "p%40ss", "p@ss"]


def test_a_value_of_several_lines() -> None:
    """A known value of several lines is hidden line by line too."""
    redactor = Redactor(SecretNames(), known=["first-line-1\nsecond-line-2\n"])
    assert redactor.redact_text("a first-line-1 b") == f"a {MARK} b"
    assert redactor.redact_text("second-line-2") == MARK
    assert redactor.redact_text(repr("first-line-1\nsecond-line-2")) == f"'{MARK}'"


def test_a_field_of_the_machinery_that_is_none() -> None:
    """What stands under a name of the machinery's but is no value of its kind is redacted like all else."""
    fields = {**BASE, "timestamp": "token=abc-1", "event_type": f"x {KNOWN[0]}", "lineno": KNOWN[1]}
    redacted = REDACTOR.redact_fields(fields)
    assert redacted == {
        **BASE,
        "timestamp": f"token={MARK}",
        "event_type": f"x {MARK}",
        "lineno": MARK,
    }


def test_names_off() -> None:
    """A name that is switched off is no secret's: in text, in fields, in the environment."""
    names = SecretNames(["rig_pin"], off=["session_token", "rig-pin"])
    redactor = Redactor(names)
    text = "session_token=abc-123 rig_pin=4 api_key=abc-123"
    assert redactor.redact_text(text) == f"session_token=abc-123 rig_pin=4 api_key={MARK}"
    assert redactor.redact_fields({"session_token": "x", "token": "x"}) == {
        "session_token": "x",
        "token": MARK,
    }
    assert find_known_values({"SESSION_TOKEN": "abc-1234", "A_TOKEN": "abc-5678"}, names) == [
        "abc-5678"
    ]


def test_numbers_stay() -> None:
    """Metrics and parameters that are numbers are never wiped; digits alone are a password behind its name."""
    fields = {"token": 3, "auth_token": 0.5, "password": 123456, "secret": True}
    assert REDACTOR.redact_fields(fields) == fields
    assert (
        REDACTOR.redact_text("password=1234567 token=1234567") == f"password={MARK} token=1234567"
    )


def test_json_stays_json() -> None:
    """A bare value behind a quoted name ends where JSON has its end."""
    for text in (
        '{"token": abc123x, "n": 1}',
        '{"a": {"api_key": abc123x}}',
        '["token", {"token": abc123x}]',
    ):
        assert REDACTOR.redact_text(text) == text.replace("abc123x", MARK)


def test_what_takes_too_long_is_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be looked at in time is never let through: the rest of the text is withheld."""
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "thread_time", lambda: float(next(clock)))
    text = "token: 3 " * 2000 + "the end"
    redacted = REDACTOR.redact_text(text)
    assert redacted.startswith("token: 3 ")
    assert redacted.endswith(MARK)
    assert "the end" not in redacted
    assert REDACTOR.redact_text("token: 3 the end") == "token: 3 the end"


HOSTILE = [
    *sorted({literal for rule in RULES for literal in rule.literals}), "password=", "token: ", '"token": "', "--token ", "password='", "a.b@", "eyJA.",
    "-----BEGIN PRIVATE KEY-----", "Bearer ", "Basic ", "://a:b", " -p x", "sk-ant-", "AKIAAAAAAAAAAAAAAAA7 ", '\\"token\\": \\"', "A", "/", "-eyJ", "_ghp_",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_time_is_linear(piece: str) -> None:
    """Whatever is repeated, twice the text takes about twice the time: no rule looks at it again and again."""

    def measure(size: int) -> float:
        text = (piece.swapcase() + piece) * (size // len(piece) // 2)
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            REDACTOR.redact_text(text)
            best = min(best, time.process_time() - start)
        return best / len(text)

    measure(1000)
    small, middle, large = (measure(size) for size in (20_000, 40_000, 80_000))
    assert large <= 1.5 * min(small, middle) + 2e-8
    assert large < 4e-6  # 4 s for a megabyte


@pytest.mark.parametrize("password", ['a"b-7Qx', '"-start-7Q', 'end-7Q"', "it's-7Qx", "back\\-7Qx"])
def test_a_quote_within_a_value_of_nested_json(password: str) -> None:
    """A quote in a password ends nothing in JSON, nor in JSON that is a text in JSON; the fields around it stay."""
    inner = json.dumps({"password": password, "n": 7})
    for text in (
        inner,
        json.dumps({"body": inner}),
        json.dumps({"body": json.dumps({"x": inner})}),
    ):
        left = REDACTOR.redact_text(text)
        assert "7Q" not in left
        assert left.replace("\\", "").count('"n": 7') == 1
        json.loads(left)
