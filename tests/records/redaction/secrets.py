"""Secrets made by the generator, in text and in records as people and programs write them."""

from __future__ import annotations

import base64
import json
import random
import shlex
import string
import urllib.parse
from collections.abc import Callable
from typing import Any

ALNUM = string.ascii_letters + string.digits
PRINTABLE = "".join(chr(c) for c in range(33, 127))


def make_text(rng: random.Random, alphabet: str, least: int, most: int) -> str:
    """Some characters of an alphabet."""
    return "".join(rng.choices(alphabet, k=rng.randint(least, most)))


def make_filler(rng: random.Random) -> str:
    """Text that holds no secret, or nothing."""
    words = ["loading", "session", "error:", "tokens", "5", "basic", "é", "猫", "", "trial=3",
             "[WARNING]", "max_tokens=7", "http://host:80/x", "a@b.org", '"q"', "it's", "\\", "{}"]  # fmt: skip
    return " ".join(rng.choices(words, k=rng.randint(0, 6)))


def make_shape(rng: random.Random) -> tuple[str, str]:
    """A text with a secret of a covered shape, and the secret."""
    return rng.choice(SHAPES)(rng)


def _url(rng: random.Random) -> tuple[str, str]:
    secret = make_text(rng, ALNUM + "!$&()*+,;=-._~%:@", 6, 30)
    scheme = rng.choice(["https", "postgresql", "redis", "s3+http", "HTTP"])
    return f"{scheme}://{rng.choice(['', 'user', 'me@lab.org'])}:{secret}@host:5432/x?y=1", secret


def _aws(rng: random.Random) -> tuple[str, str]:
    secret = rng.choice(["AKIA", "ASIA"]) + make_text(
        rng, string.ascii_uppercase + string.digits, 16, 16
    )
    return secret, secret


def _aws_pair(rng: random.Random) -> tuple[str, str]:
    secret = make_text(rng, ALNUM + "/+", 40, 40)
    return f"{_aws(rng)[0]},{secret}", secret


def _github(rng: random.Random) -> tuple[str, str]:
    prefix = rng.choice(["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"])
    secret = prefix + make_text(rng, ALNUM, 36, 60)
    return secret, secret


def _slack(rng: random.Random) -> tuple[str, str]:
    digits = make_text(rng, string.digits, 10, 12)
    secret = (
        rng.choice(["xoxb-", "xoxp-", "xoxa-2-", "xapp-1-"])
        + f"{digits}-{make_text(rng, ALNUM, 24, 24)}"
    )
    return secret, secret


def _webhook(rng: random.Random) -> tuple[str, str]:
    secret = make_text(rng, ALNUM, 24, 24)
    return f"https://hooks.slack.com/services/T0001/B0001/{secret}", secret


def _bearer(rng: random.Random) -> tuple[str, str]:
    secret = make_text(rng, ALNUM + "-._~+/", 8, 60)
    return rng.choice(["Bearer ", "bearer ", "BEARER  ", "Authorization: Bearer "]) + secret, secret


def _basic(rng: random.Random) -> tuple[str, str]:
    pair = f"{make_text(rng, ALNUM, 1, 8)}:{make_text(rng, PRINTABLE, 6, 20)}"
    secret = base64.b64encode(pair.encode()).decode()
    return rng.choice(["Basic ", "basic ", "authorization: Basic "]) + secret, secret


def _jwt(rng: random.Random) -> tuple[str, str]:
    parts = [base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")]
    parts += [make_text(rng, ALNUM + "-_", 20, 60) for _ in range(2)]
    return ".".join(parts), parts[2]


def _key(rng: random.Random) -> tuple[str, str]:
    kind = rng.choice(["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA "])
    lines = [make_text(rng, ALNUM + "+/", 64, 64) for _ in range(rng.randint(1, 5))]
    end = rng.choice(["\n", "\\n", "\r\n"])
    body = end.join(
        [f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----"]
    )
    return body, rng.choice(lines)


def _assigned(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(NAMES)
    secret = make_text(rng, PRINTABLE.replace('"', "").replace("'", "").replace("\\", ""), 6, 40)
    secret = "x" + secret + "y"
    quoted = make_text(rng, PRINTABLE + "  ", 6, 40) + "z"
    forms: list[tuple[str, str]] = [
        (f"{name}={secret}", secret),
        (f"{name}: {secret}", secret),
        (f"export {name}={shlex.quote(secret)}", secret),
        (f"{name} = {quoted!r}", repr(quoted)[1:-1]),
        (f"--{name} {secret}", secret),
        (f"--{name}={secret}", secret),
        (json.dumps({"a": 1, name: quoted, "b": [2]}), json.dumps(quoted)[1:-1]),
        (json.dumps({name: quoted}, separators=(",", ":")), json.dumps(quoted)[1:-1]),
        (str({"a": 1, name: quoted}), repr(quoted)[1:-1]),
        (json.dumps(json.dumps({name: secret})), secret),
        (f"https://host/x?a=1&{name.replace(' ', '_')}={urllib.parse.quote(secret, safe='')}&b=2",
         urllib.parse.quote(secret, safe="")),
        (f"<{name.replace(' ', '_')}>{secret.replace('<', '').replace('>', '')}</x>",
         secret.replace("<", "").replace(">", "")),
    ]  # fmt: skip
    return rng.choice(forms)


NAMES = [
    "password", "PASSWORD", "db_password", "userPassword", "passwd", "passphrase", "token", "authToken",
    "ACCESS_TOKEN", "api_key", "api-key", "apiKey", "X-Api-Key", "secret", "client_secret",
    "AWS_SECRET_ACCESS_KEY", "private_key", "secretKey", "credentials",
]  # fmt: skip
SHAPES: list[Callable[[random.Random], tuple[str, str]]] = [
    _url, _aws, _aws_pair, _github, _slack, _webhook, _bearer, _basic, _jwt, _key, _assigned, _assigned,
]  # fmt: skip


def make_known(rng: random.Random) -> str:
    """A value as an environment variable may hold it."""
    alphabet = rng.choice([ALNUM, PRINTABLE, ALNUM + "/+=", ALNUM + "éß猫 ", string.digits])
    return "k" + make_text(rng, alphabet, 7, 40) + "v"


def encode_known(rng: random.Random, value: str) -> tuple[str, str]:
    """A text that holds a known value in one of its forms, and what must not be left of it."""
    data = value.encode()
    around = bytes(rng.randrange(256) for _ in range(rng.randint(0, 7)))
    whole = base64.b64encode(around + data + around).decode()
    start, end = (len(around) * 8 + 5) // 6, (len(around) + len(data)) * 8 // 6
    return rng.choice(
        [
            (value, value),
            (f"x{value}x", value),
            (value.swapcase(), value.swapcase()) if value.isascii() else (value, value),
            (urllib.parse.quote(value), urllib.parse.quote(value)),
            (urllib.parse.quote(value, safe=""), urllib.parse.quote(value, safe="")),
            (urllib.parse.quote_plus(value), urllib.parse.quote_plus(value)),
            (whole, whole[start:end]),
            (whole.replace("+", "-").replace("/", "_"),
             whole[start:end].replace("+", "-").replace("/", "_")),
            (json.dumps({"v": value}), json.dumps(value)[1:-1]),
            (json.dumps({"v": value}, ensure_ascii=False), json.dumps(value, ensure_ascii=False)[1:-1]),
            (repr([value]), repr(value)[1:-1]),
        ]
    )  # fmt: skip


def make_fields(rng: random.Random, text: str, name: str, secret: Any) -> dict[str, Any]:
    """A record's fields with a text somewhere, and a secret under a name at any depth."""
    inner: Any = {name: secret}
    for _ in range(rng.randint(0, 4)):
        inner = rng.choice([{"a": inner}, [1, inner], {"b": [inner, None]}])
    place = rng.choice(["message", "note", "deep", "key", "exception"])
    record = {
        "timestamp": "2026-01-02T03:04:05.000006Z",
        "level": "INFO",
        "message": "m",
        "more": inner,
    }
    if place == "deep":
        record["deep"] = {"x": [{"y": text}]}
    elif place == "key":
        record["keys"] = {text: 1}
    elif place == "exception":
        record["exception"] = {"type": "E", "message": text, "traceback": f"Traceback\n  {text}\n"}
    else:
        record[place] = text
    return record
