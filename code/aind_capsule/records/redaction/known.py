"""Known secrets: values of environment variables, and the forms in which they appear."""

from __future__ import annotations

import binascii
import fnmatch
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from aind_capsule.records.redaction.guards import is_mixed, is_no_value
from aind_capsule.records.redaction.names import SecretNames, is_token_of_text

#: Shorter values stand everywhere by chance; they are not looked for.
MIN_CHARACTERS = 4
#: From this length on a value is looked for in its other forms too.
MIN_ENCODED_CHARACTERS = 8
#: Of a variable that may hold a password, a shorter value is taken for something else.
_LEAST_PASSWORD = 6
#: No word, date or id is so long.
_RANDOM = rb"[A-Za-z0-9]{20,}"
_ORDINARY = frozenset({"true", "false", "none", "null", "undefined", "unknown", "default"})
_URL_PASSWORD = r"://[^\s/:@]*:([^\s/]+)@"
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
#: What encoders of URLs leave as it is: Python's `quote`, its callers', JavaScript's two.
_URL_SAFE = tuple(_UNRESERVED + more for more in (b"/", b"", b"!'()*", b";,/?:@&=+$#!'()*"))
_URL_BASE64 = bytes.maketrans(b"+/", b"-_")
#: So long are the lines of wrapped base64: PEM and RFC 4880, then MIME and the program `base64`.
_BASE64_WIDTHS = (64, 76)
_QUOTES = "'\""
#: What `printf %q` escapes, of bash 5.2 and before, and what is special between quotation marks.
_SHELL_SPECIALS = (r"[^\w@%+=:./~#\-]|^[~#]", r"[^\w@%+=:.,/~#\-]|^[~#]", r"[\"$`\\]")
#: What stays in a C string, as git and `ls -b` print it.
_OCTAL = {byte: chr(byte) if byte != 0x5C else r"\\" for byte in range(0x20, 0x7F)}


def find_known_values(
    environ: Mapping[str, str], names: SecretNames, more: Collection[str] = ()
) -> list[str]:
    """Return the secrets that an environment holds (`find_known_sources`)."""
    return list(find_known_sources(environ, names, more))


def find_known_sources(
    environ: Mapping[str, str], names: SecretNames, more: Collection[str] = ()
) -> dict[str, str]:
    """Return the secrets that an environment holds, with the variable that holds each.

    These are values of variables whose name says so, and passwords in URLs of any variable.

    Args:
        environ: The environment.
        names: Which names are secrets'.
        more: Further variables, by name or pattern such as `LAB_*` (`redact.values_from_env`).
    """
    found: dict[str, str] = {}
    for name, value in environ.items():
        is_named = any(fnmatch.fnmatchcase(name, pattern) for pattern in more)
        if is_named or _is_secret(name, value, names):
            found.setdefault(value, name)
        if "://" in value:
            for password in re.findall(_URL_PASSWORD, value):
                found.setdefault(password, name)
                found.setdefault(_unquote(password), name)
    return {value: name for value, name in found.items() if is_worth_finding(value)}


def _unquote(text: str) -> str:
    from urllib.parse import unquote  # slow to import, and rarely needed

    return unquote(text)


def _is_secret(name: str, value: str, names: SecretNames) -> bool:
    if name in names:
        return not _is_file(name, value)
    if not names.is_doubtful(name):
        return False
    data = os.fsencode(value.strip())
    if is_token_of_text(name):  # `PAD_TOKEN` may be `<|special_0|>`, `INPUT_TOKEN` a session's name
        return any(map(is_mixed, re.findall(_RANDOM, data)))
    return len(data) >= _LEAST_PASSWORD and not is_no_value(data, is_password=True)


def _is_file(name: str, value: str) -> bool:
    """Return whether a variable names a file, as `GOOGLE_APPLICATION_CREDENTIALS` does."""
    return name.upper().endswith("CREDENTIALS") and value.startswith("/")


def is_worth_finding(value: str) -> bool:
    """Return whether a value is long and peculiar enough not to stand everywhere by chance."""
    plain = value.strip()
    return len(plain) >= MIN_CHARACTERS and plain.lower() not in _ORDINARY


def spell_forms(values: Iterable[str]) -> frozenset[bytes]:
    """Return every form in which known values are looked for, in lower case.

    A value with several lines is looked for line by line too. From 8 characters on there are the
    forms that encodings and escapes give it.
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
    # The form may stand in a text that is JSON, or a `repr`. The encoded record has JSON's escapes
    # around that.
    forms |= {escaped for form in forms for escaped in _escape_form(form)}
    forms |= {_escape(form) for form in forms}
    return frozenset(form.lower() for form in forms if len(form) >= MIN_CHARACTERS)


def _encode_all(value: str) -> Iterator[bytes]:
    data = os.fsencode(value)
    text = data.decode("utf-8", "backslashreplace")
    yield from _encode_for_urls(data)
    yield from _encode_base64(data)
    yield data.hex().encode()
    if text.isascii() and text.isalnum():  # nothing of it is ever escaped
        return
    for escaped in _escape_all(text, data):
        yield escaped.encode()
    latin = text.encode("latin-1", "replace")  # a program whose output is not UTF-8
    yield latin
    yield latin.decode("utf-8", "backslashreplace").encode()


def _encode_for_urls(data: bytes) -> Iterator[bytes]:
    for safe in _URL_SAFE:
        quoted = b"".join(b"%c" % byte if byte in safe else b"%%%02X" % byte for byte in data)
        yield quoted
        yield quoted.replace(b"%20", b"+")


def _encode_base64(data: bytes) -> Iterator[bytes]:
    for alignment in range(3):
        inner = _encode_inner(data, alignment)
        yield inner
        yield inner.translate(_URL_BASE64)
    inner = _encode_inner(data, 0)
    for width in _BASE64_WIDTHS if len(inner) > min(_BASE64_WIDTHS) else ():
        for start in range(0, len(inner), width):
            line = inner[start : start + width]
            if len(line) >= MIN_ENCODED_CHARACTERS:
                yield line


def _encode_inner(data: bytes, alignment: int) -> bytes:
    """Return the characters of base64 that depend on the data alone, whatever stands around it."""
    encoded = binascii.b2a_base64(b"\0" * alignment + data, newline=False)
    return encoded[(alignment * 8 + 5) // 6 : (alignment + len(data)) * 8 // 6]


def _escape_all(text: str, data: bytes) -> Iterator[str]:
    """Yield a value as languages, shells and markup write it between quotes."""
    for ensure_ascii in (True, False):
        escaped = json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")  # PHP and JavaScript may do so
    # Python escapes an apostrophe only where a quotation mark stands in the same text.
    yield from (repr(text)[1:-1], repr(text + _QUOTES)[1:-4])
    yield from (ascii(text)[1:-1], ascii(text + _QUOTES)[1:-4])
    yield from (repr(data)[2:-1], repr(data + _QUOTES.encode())[2:-4])
    # `set -x` of several shells, `printf %q`, and a text between quotation marks.
    yield from (text.replace("'", "'\\''"), text.replace("'", "'\"'\"'"))
    for special in _SHELL_SPECIALS:
        yield re.sub(special, r"\\\g<0>", text)
    octal = "".join(_OCTAL.get(byte) or f"\\{byte:03o}" for byte in data)
    for quote in _QUOTES:
        yield octal.replace(quote, f"\\{quote}")
        yield text.replace(quote, quote * 2)  # SQL, YAML, CSV
    markup = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield markup
    for quotes in (("&quot;", "&#x27;"), ("&quot;", "&#39;"), ("&quot;", "&apos;")):
        yield markup.replace('"', quotes[0]).replace("'", quotes[1])


def _escape_form(form: bytes) -> Iterator[bytes]:
    yield _escape(form)
    doubled = form.replace(b"\\", b"\\\\")
    yield doubled
    yield doubled.replace(b"'", b"\\'")


def _escape(form: bytes) -> bytes:
    text = form.decode("utf-8", "backslashreplace")
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()
