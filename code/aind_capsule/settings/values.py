"""What the values of settings look like: each function reads one kind, from text or from TOML.

Each raises ValueError with what was expected; the caller says which setting and where it stood.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aind_capsule.settings.secret import Secret

RUN_FILE_KINDS = ("log", "run", "resources", "session", "provenance")
CONSOLE_MODES = ("pretty", "plain", "json", "off")
LEVEL_NAMES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
#: Loki takes 15; `service_name` and `backfill` come to these, and one stays free.
MAX_LABELS = 12
_MAX_PORT = 65535
# Compiled where they are used: few runs have such a setting, and every start would pay.
_HTTP_URL = r"(?i)^https?://(?:[^/@\s]*@)?(\[[0-9a-fA-F:.]+\]|[^/:@\s?#\[\]]+)(?::(\d{1,5}))?(?:/[^\s?#@]*)?$"
_HOST = r"(?i)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?"
_HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_SIZE = r"(?i)^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b?)\s*$"


def parse_text(value: Any) -> str:
    """Text on one line, not empty."""
    if (
        not isinstance(value, (str, int, float))
        or isinstance(value, bool)
        or not str(value).strip()
    ):
        raise ValueError("a text that is not empty")
    return " ".join(str(value).split())


def parse_folder(value: Any) -> str:
    """The path of a folder; that it exists is looked at where it is used."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("the path of a folder")
    return value


def parse_names(value: Any) -> tuple[str, ...]:
    """Names: a list, or text with commas.

    >>> parse_names("Ada, Grace")
    ('Ada', 'Grace')
    """
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise ValueError("names, with commas between them")
    return tuple(part.strip() for part in parts if part.strip())


def parse_patterns(value: Any) -> tuple[re.Pattern[str], ...]:
    """Regular expressions: a list, or text with one a line.

    >>> [pattern.pattern for pattern in parse_patterns("lab-[0-9]{6}")]
    ['lab-[0-9]{6}']
    """
    parts = value.splitlines() if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise ValueError("regular expressions, one a line")
    try:
        return tuple(re.compile(part, re.MULTILINE) for part in parts if part.strip())
    except re.error as error:
        raise ValueError(f"regular expressions as Python has them ({error})") from error


def parse_boolean(value: Any) -> bool:
    """True or false, as TOML or environments write them.

    >>> parse_boolean("False"), parse_boolean("1")
    (False, True)
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("true or false")


def parse_level(value: Any) -> str:
    """One of the five standard levels, in any case."""
    name = str(value).strip().upper()
    if name not in LEVEL_NAMES:
        raise ValueError(f"one of {', '.join(LEVEL_NAMES)}")
    return name


def parse_console_mode(value: Any) -> str:
    """One of the console's modes."""
    mode = "off" if value is False else str(value).strip().lower()
    if mode not in CONSOLE_MODES:
        raise ValueError(f"one of {', '.join(CONSOLE_MODES)}")
    return mode


def parse_size(value: Any) -> int:
    """Bytes, at least 256 KiB (a log holds its first and its last record whatever its cap).

    >>> parse_size("500 MB"), parse_size("2GiB")
    (500000000, 2147483648)
    """
    match = None if isinstance(value, bool) else re.match(_SIZE, str(value))
    if match is None:
        raise ValueError("bytes, or a number with kB, MB, GB, KiB, MiB or GiB")
    base = 1024 if match.group(3).lower().startswith("i") else 1000
    size_bytes = int(float(match.group(1)) * base ** " kmgt".index(match.group(2).lower() or " "))
    if size_bytes < 256 * 1024:
        raise ValueError("at least 256 KiB")
    return size_bytes


def parse_run_files(value: Any) -> frozenset[str]:
    """Kinds of run files: `all`, `none`, or a list.

    >>> sorted(parse_run_files("log, provenance"))
    ['log', 'provenance']
    """
    names = parse_names(value)
    if names in (("all",), ("none",)):
        return frozenset(RUN_FILE_KINDS if names == ("all",) else ())
    unknown = [name for name in names if name not in RUN_FILE_KINDS]
    if unknown or not names:
        raise ValueError(f"all, none, or some of {', '.join(RUN_FILE_KINDS)}")
    return frozenset(names)


def parse_fields(value: Any) -> dict[str, Any]:
    """Fields of records: a table, or `name=value` pairs with commas between them.

    >>> parse_fields("site=AIND, batch=7")
    {'site': 'AIND', 'batch': '7'}
    """
    if isinstance(value, Mapping):
        return {str(name): item for name, item in value.items()}
    pairs = value.split(",") if isinstance(value, str) else value
    fields = {}
    for pair in pairs:
        name, sign, text = str(pair).partition("=")
        if not sign or not name.strip():
            raise ValueError("name=value pairs")
        fields[name.strip()] = text.strip()
    return fields


def parse_stage(value: Any) -> str:
    """A stage of aind-data-schema.

    >>> parse_stage("analysis")
    'Analysis'
    """
    text = str(value).strip().capitalize()
    if text not in ("Processing", "Analysis"):
        raise ValueError("Processing or Analysis")
    return text


#: Of several inputs what they agree on.
AGREED = "agreed"


def parse_carried(value: Any) -> str | None:
    """Whether metadata are carried: what all inputs agree on, or those of one that is named.

    >>> parse_carried("yes"), parse_carried(False), parse_carried("ecephys_123456")
    ('agreed', None, 'ecephys_123456')
    """
    try:
        return AGREED if parse_boolean(value) else None
    except ValueError:
        return parse_text(value)


def parse_schema_version(value: Any) -> int:
    """A version of aind-data-schema: its first number counts.

    >>> parse_schema_version("1.4.0"), parse_schema_version(2)
    (1, 2)
    """
    text = str(value).strip().partition(".")[0]
    if isinstance(value, bool) or text not in ("1", "2"):
        raise ValueError("1 or 2")
    return int(text)


def parse_file(value: Any) -> str:
    """The path of a file that can be read."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("the path of a file")
    try:
        if not os.path.isfile(value):
            raise FileNotFoundError
        open(value, "rb").close()
    except OSError:
        raise ValueError("a file that is there and can be read") from None
    return value


def choose_word(value: Any, words: Sequence[str]) -> str:
    """One of some words, in any case."""
    text = str(value).strip().lower()
    if text not in words:
        raise ValueError(" or ".join((", ".join(words[:-1]), words[-1])) if words[1:] else words[0])
    return text


def parse_concurrency(value: Any) -> int:
    """How many at the same time.

    >>> parse_concurrency("32")
    32
    """
    text = str(value).strip()
    if isinstance(value, bool) or not text.isascii() or not text.isdigit():
        raise ValueError("a number from 1 to 256")
    if not 1 <= int(text) <= 256:
        raise ValueError("a number from 1 to 256")
    return int(text)


def parse_http_url(value: Any) -> str:
    """An address of a server, perhaps with user, password and a path.

    >>> parse_http_url("https://loki.example.org:3100/gateway")
    'https://loki.example.org:3100/gateway'
    """
    text = value.strip() if isinstance(value, str) else ""
    match = re.match(_HTTP_URL, text)
    if match is None or not _is_host(match.group(1)) or int(match.group(2) or 0) > _MAX_PORT:
        raise ValueError("a url such as http://host:3100")
    return text


def _is_host(host: str) -> bool:
    """Whether a name or an address can be one; others' names are encoded as they are asked for.

    >>> _is_host("loki.example.org"), _is_host("[::1]"), _is_host("host..name"), _is_host("[1.2]")
    (True, True, False, False)
    """
    try:
        if host.startswith("["):
            from ipaddress import IPv6Address  # most hosts are names

            return bool(IPv6Address(host[1:-1]))
        plain = host if host.isascii() else host.encode("idna").decode()
    except ValueError:
        return False
    return re.fullmatch(_HOST, plain) is not None


def parse_labels(value: Any) -> tuple[str, ...]:
    """Labels: names of fields, or `name=text`; as a list, with commas, or as a table of fixed ones.

    >>> parse_labels("process_name, environment=prod")
    ('process_name', 'environment=prod')
    """
    if isinstance(value, Mapping):
        value = [f"{name}={text}" for name, text in value.items()]
    labels = parse_names(value)
    if len(labels) > MAX_LABELS or not all(label.partition("=")[0].strip() for label in labels):
        raise ValueError(f"at most {MAX_LABELS} names of fields, or name=text")
    return labels


def parse_secret(value: Any) -> Secret:
    """A secret on one line, without the white space around it."""
    if not isinstance(value, str) or not value.strip() or not value.strip().isprintable():
        raise ValueError("a text on one line that is not empty")
    return Secret(value.strip())


def parse_headers(value: Any) -> dict[str, Secret]:
    """Headers of requests: `name=value` pairs, one a line or with commas between them.

    >>> sorted(parse_headers("X-Lab=7, X-Rig=2"))
    ['X-Lab', 'X-Rig']
    """
    if isinstance(value, str) and "\n" in value.strip():
        value = [line for line in value.splitlines() if line.strip()]
    headers = parse_fields(value)
    for name, text in headers.items():
        if not re.match(_HEADER_NAME, name) or not str(text).isprintable():
            raise ValueError("name=value pairs with the names of headers")
    return {
        name: text if isinstance(text, Secret) else Secret(str(text))
        for name, text in headers.items()
    }
