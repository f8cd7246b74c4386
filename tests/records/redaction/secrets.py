"""Secrets made by the generator, in text and in records as people and programs write them."""

from __future__ import annotations

import base64
import html
import json
import random
import shlex
import string
import urllib.parse
from collections.abc import Callable
from typing import Any

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
WIDE = ALNUM + "_-"
HEX = "0123456789abcdef"
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
    secret = rng.choice(["AKIA", "ASIA"]) + make_text(rng, UPPER, 15, 15) + "7"
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
    secret = make_text(rng, ALNUM + "-._~+/", 8, 60) + "7Q"
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


def make_lines(rng: random.Random) -> tuple[str, str]:
    """Secrets that go over several lines, with a prefix on each."""
    word = make_text(rng, ALNUM, 8, 20) + "7Q"
    lines = [make_text(rng, ALNUM + "+/", 62, 62) + "7q" for _ in range(rng.randint(1, 5))]
    key = ["-----BEGIN RSA PRIVATE KEY-----", *lines, "-----END RSA PRIVATE KEY-----"]
    pgp = [
        "-----BEGIN PGP PRIVATE KEY BLOCK-----",
        "",
        *lines,
        "=aB3d",
        "-----END PGP PRIVATE KEY BLOCK-----",
    ]
    putty = [
        "PuTTY-User-Key-File-2: ssh-rsa",
        f"Private-Lines: {len(lines)}",
        *lines,
        "Private-MAC: x",
    ]
    forms: list[tuple[list[str], str]] = [
        (key, rng.choice(lines)), (pgp, rng.choice(lines)), (putty, rng.choice(lines)),
        (["client-key-data: |", *(f"  {line}" for line in lines)], rng.choice(lines)),
    ]  # fmt: skip
    prefix = rng.choice(["", "> ", "  ", "\t", "# ", "2026-01-02 03:04:05 INFO: ", "[main] ", "+ "])
    commands: list[tuple[list[str], str]] = [
        (["curl -s \\", f'  -H "Authorization: Bearer {word}" \\', "  https://host/x"], word),
        (["curl \\", f"  -u bob:{word} \\", "  https://host/x"], word),
        (["docker login \\", "  -u bob \\", f"  -p {word} reg"], word),
        (["tool \\", "  --password \\", f"  {word} \\", "  --fast"], word),
        (["machine host", "  login bob", f"  password {word}"], word),
    ]
    if rng.random() < 0.5:
        parts, secret = rng.choice(commands)
        return "\n".join(parts), secret
    parts, secret = rng.choice(forms)
    return "\n".join(f"{prefix}{part}" for part in parts), secret


def _assigned(rng: random.Random) -> tuple[str, str]:
    name = rng.choice(NAMES)
    secret = make_text(rng, "".join(sorted(set(PRINTABLE) - set("\"'\\("))), 6, 40)
    # A word, a number or a call is none: those stay.
    secret = "x" + secret + "7Qy"
    quoted = "q" + make_text(rng, PRINTABLE + "  ", 6, 40) + "x7Qz"
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


def make_token(rng: random.Random, form: str) -> str:
    """Return a token of a form of `TOKENS`: a prefix, and what stands behind it by kind and number."""
    parts = form.split(" ")
    kinds = {"A": ALNUM, "U": UPPER, "W": WIDE, "H": HEX, "B": ALNUM + "+/", "9": string.digits}
    made = [
        make_text(rng, kinds[part[1]], int(part[2:]) - 2, int(part[2:]) - 2) + "7Q"[: 1 + (part[1] in "AWB")]
        + ("a" if part[1] == "H" else "")
        if part.startswith("~") else part
        for part in parts
    ]  # fmt: skip
    return "".join(made)


def _token(rng: random.Random) -> tuple[str, str]:
    token = make_token(rng, rng.choice(sorted(TOKENS.values())))
    context = rng.choice(CONTEXTS)
    return context.replace("@", token), token


def _beside(rng: random.Random) -> tuple[str, str]:
    """Secrets that are known by what stands beside them."""
    word, code = make_text(rng, ALNUM, 8, 20) + "7Q", make_text(rng, HEX, 38, 38) + "7a"
    pair = f"{make_text(rng, string.digits, 8, 10)}:AA{make_text(rng, WIDE, 31, 31)}7Q"
    signature = make_text(rng, ALNUM, 41, 41) + "7Q"
    forms: list[tuple[str, str]] = [
        (f"curl -u bob:{word} https://h/x", word), (f"curl --user 'bob:{word}' h", word),
        (f"docker login -u bob -p {word} reg", word), (f"sshpass -p {word} ssh h", word), (f"mysql -uroot -p{word} db", word),
        (f"openssl rsa -passin pass:{word} -in k", word), (f"machine h login bob password {word}", word),
        (f"wandb login {code}", code), (f"wandb: logged in with {code}", code), (pair, pair.partition(":")[2]),
        (f"https://a.blob.core.windows.net/c?sv=2022&sp=r&sig={signature}%3D", signature),
        (f"AccountName=a;AccountKey={signature * 2}==;EndpointSuffix=x", signature * 2),
        (f"https://b/k?X-Amz-Signature={code}{code[:24]}&x=1", code), (f"x abc8Q~{signature[:33]}", signature[:33]),
        (f"https://discord.com/api/webhooks/123456789/{word}{word}{word}", word * 3), (f"//reg/:_authToken={word}", word),
        (f"client-key-data: {signature}", signature), (f"sessionid={word}{word}; Path=/", word * 2),
        (f"Authorization: token {word}", word), (f'{{"Authorization": "ApiKey {word}"}}', word),
    ]  # fmt: skip
    return rng.choice(forms)


#: Rules by name, and a token of theirs: `~A20` stands for 20 letters and digits, U capitals, W also
#: `_` and `-`, H hexadecimal, B base64.
TOKENS = {
    "AWS session token": "IQoJb3JpZ2luX2Vj ~B90", "GitHub token": "ghp_ ~A36", "GitHub fine-grained token": "github_pat_ ~A22 _ ~A59",
    "GitLab token": "glpat- ~W24", "Google API key": "AIza ~W35", "Google OAuth": "ya29. ~W90", "Slack token": "xoxb- ~912 - ~A24",
    "OpenAI, Anthropic and kin": "sk-proj- ~W60", "Stripe": "sk_live_ ~A26", "Hugging Face": "hf_ ~A36", "SendGrid": "SG. ~W22 . ~W44",
    "npm": "npm_ ~A36", "PyPI": "pypi-AgEIcHlwaS5vcmc ~W90", "Docker Hub": "dckr_pat_ ~W28", "Code Ocean": "cop_ ~A44",
    "Databricks": "dapi ~H32", "DigitalOcean": "dop_v1_ ~H64", "Grafana": "glsa_ ~A32 _ ~H8", "Grafana Cloud": "glc_ ~B60", "Vault": "hvs. ~W90",
    "Groq": "gsk_ ~A52", "xAI": "xai- ~A80", "Replicate": "r8_ ~A37", "Notion": "ntn_ ~A46", "Linear": "lin_api_ ~A40", "Shopify": "shpat_ ~H32",
    "Sentry": "sntrys_ ~B80", "Tailscale": "tskey-auth- ~A20 - ~A30", "Postman": "PMAK- ~H24 - ~H34", "Pinecone": "pcsk_ ~A60",
    "Perplexity": "pplx- ~A48", "Prefect": "pnu_ ~A36", "crates.io": "cio ~A32", "RubyGems": "rubygems_ ~H48", "Pulumi": "pul- ~H40",
    "age": "AGE-SECRET-KEY-1 ~U59", "Artifactory": "AKCp8 ~A70", "Bitbucket": "ATBB ~A32", "Atlassian": "ATATT3 ~W180",
    "neptune": "eyJhcGlfYWRkcmVzcyI6 ~B120", "JSON web token": "eyJ ~W30 .eyJ ~W60 . ~W43",
}  # fmt: skip
CONTEXTS = [
    "@", "is @ ok", "[@]", '"@"', "'@',", "https://h/x?k=@&b=1", '{"v": "@", "n": 3}', "(@)", "X=@; y", "v:@", "E: bad credential @", "<v>@</v>",
    "k%3D@", "\\n@", "\\u003d@", "\x1b[31m@\x1b[0m", "b'@'", "--key=@", "\t@",
]  # fmt: skip
NAMES = [
    "password", "PASSWORD", "db_password", "userPassword", "passwd", "passphrase", "token", "authToken",
    "ACCESS_TOKEN", "api_key", "api-key", "apiKey", "X-Api-Key", "secret", "client_secret",
    "AWS_SECRET_ACCESS_KEY", "private_key", "secretKey", "credentials",
]  # fmt: skip
SHAPES: list[Callable[[random.Random], tuple[str, str]]] = [
    _url, _aws, _aws_pair, _github, _slack, _webhook, _bearer, _basic, _jwt, _key, _assigned, _assigned,
    _token, _token, _token, _token, _beside,
]  # fmt: skip


def make_known(rng: random.Random) -> str:
    """A value as an environment variable may hold it."""
    alphabet = rng.choice([ALNUM, PRINTABLE, ALNUM + "/+=", ALNUM + "éß猫 ", string.digits])
    return "k" + make_text(rng, alphabet, 7, 40) + "7v"


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
            (ascii(value), ascii(value)[1:-1]),
            (repr(data), repr(data)[2:-1]),
            (json.dumps({"v": str(data)}), json.dumps(repr(data)[2:-1])[1:-1]),
            (data.hex(), data.hex()),
            (f"<v a='{html.escape(value)}'/>", html.escape(value)),
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
