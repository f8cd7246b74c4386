"""Known secrets: values of environment variables, and the forms in which they appear."""

from __future__ import annotations

import binascii
import fnmatch
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from aind_capsule.records.redaction.names import SecretNames

#: Shorter values stand everywhere by chance; they are not looked for.
MIN_CHARACTERS = 4
#: From this length on a value is looked for in its other forms too.
MIN_ENCODED_CHARACTERS = 8
_ORDINARY = frozenset({"true", "false", "none", "null", "undefined", "unknown", "default"})
_URL_PASSWORD = r"://[^\s/:@]*:([^\s/]+)@"
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
#: What encoders of URLs leave as it is: Python's `quote`, its callers', JavaScript's two.
_URL_SAFE = tuple(_UNRESERVED + more for more in (b"/", b"", b"!'()*", b";,/?:@&=+$#!'()*"))
_URL_BASE64 = bytes.maketrans(b"+/", b"-_")


def find_known_values(
    environ: Mapping[str, str], names: SecretNames, more: Collection[str] = ()
) -> list[str]:
    """The secrets that an environment holds.

    Values of variables whose name says so, and passwords in URLs of any variable.

    Args:
        environ: The environment.
        names: Which names are secrets'.
        more: Further variables, by name or pattern such as `LAB_*` (`redact.values_from_env`).
    """
    found: dict[str, None] = {}
    for name, value in environ.items():
        is_named = any(fnmatch.fnmatchcase(name, pattern) for pattern in more)
        if is_named or (name in names and not _is_file(name, value)):
            found[value] = None
        if "://" in value:
            for password in re.findall(_URL_PASSWORD, value):
                found[password] = None
                found[_unquote(password)] = None
    return [value for value in found if is_worth_finding(value)]


def _unquote(text: str) -> str:
    from urllib.parse import unquote  # slow to import, and rarely needed

    return unquote(text)


def _is_file(name: str, value: str) -> bool:
    """Whether a variable names a file of credentials, as `GOOGLE_APPLICATION_CREDENTIALS` does."""
    return name.upper().endswith("CREDENTIALS") and value.startswith("/")


def is_worth_finding(value: str) -> bool:
    """Whether a value is long and peculiar enough not to stand everywhere by chance."""
    plain = value.strip()
    return len(plain) >= MIN_CHARACTERS and plain.lower() not in _ORDINARY


def spell_forms(values: Iterable[str]) -> frozenset[bytes]:
    """Every form in which known values are looked for, in lower case.

    As they are, line by line where they have several; from 8 characters on URL-encoded, in base64
    at its three alignments, and with the escapes of JSON, Python and shells.
    """
    forms: set[bytes] = set()
    for value in values:
        plain = value.strip()
        parts = {value, plain, *(line.strip() for line in plain.splitlines())}
        for part in parts:
            if not is_worth_finding(part):
                continue
            forms.add(os.fsencode(part))
            if len(part) >= MIN_ENCODED_CHARACTERS:
                forms.update(_encode_all(part))
    # What is looked for in an encoded record has JSON's escapes around it once more.
    forms |= {_escape(form) for form in forms}
    return frozenset(form.lower() for form in forms if len(form) >= MIN_CHARACTERS)


def _encode_all(value: str) -> Iterator[bytes]:
    data = os.fsencode(value)
    for safe in _URL_SAFE:
        quoted = b"".join(b"%c" % byte if byte in safe else b"%%%02X" % byte for byte in data)
        yield quoted
        yield quoted.replace(b"%20", b"+")
    for alignment in range(3):
        inner = _encode_inner(data, alignment)
        yield inner
        yield inner.translate(_URL_BASE64)
    text = data.decode("utf-8", "backslashreplace")
    for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text)):
        yield escaped[1:-1].encode()
    yield text.replace("/", "\\/").encode()  # what PHP and JavaScript may do
    yield text.replace("'", "'\\''").encode()  # a shell that prints its commands
    yield text.replace("'", "'\"'\"'").encode()


def _encode_inner(data: bytes, alignment: int) -> bytes:
    """The characters of base64 that depend on the data alone, whatever stands around it."""
    encoded = binascii.b2a_base64(b"\0" * alignment + data)
    return encoded[(alignment * 8 + 5) // 6 : (alignment + len(data)) * 8 // 6]


def _escape(form: bytes) -> bytes:
    text = form.decode("utf-8", "backslashreplace")
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()
