"""A known value is hidden in each form in which languages, shells and formats write it."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import pprint
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable
from xml.sax import saxutils

import pytest

from aind_capsule.records.encode import decode, encode
from aind_capsule.records.redaction.known import find_known_values, spell_forms
from aind_capsule.records.redaction.names import SecretNames
from aind_capsule.records.redaction.redactor import MARK, Redactor

VALUES = (
    "Wombat-qXvw/zKjYgH+ufPdxRt",
    "pässwörd-für-猫",
    "a'b\"c\\d`e$f{g}",
    "it's a secret",
    'say "so" often',
    "tab\tand <b>&amp;</b> ,;~^#!*",
    "C:\\new\\table\\x41",
    "Zq9" * 40,
)


def _write_csv(value: str) -> str:
    file = io.StringIO()
    csv.writer(file).writerow(["a", value, "b"])
    return file.getvalue()


def _run(*command: str, value: str, is_c_locale: bool = False) -> str:
    locale = {"LC_ALL": "C"} if is_c_locale else {"LC_ALL": "C.UTF-8"}
    done = subprocess.run([*command, value], capture_output=True, check=True,
                          env={"PATH": "/usr/bin:/bin", **locale})  # fmt: skip
    return (done.stdout + done.stderr).decode("utf-8", "backslashreplace")


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "inside": lambda value: f"x{value}y",
    "capitals": lambda value: value.upper() if value.isascii() else value,
    "repr": repr,
    "repr of a list": lambda value: repr(["'", value, '"']),
    "repr beside both quotes": lambda value: repr(f"'\"{value}"),
    "repr of bytes": lambda value: repr(value.encode()),
    "repr of bytes beside both quotes": lambda value: repr(f"'\"{value}".encode()),
    "repr of bytes in JSON": lambda value: json.dumps({"v": str(value.encode())}),
    "repr of bytes in a list": lambda value: str([value.encode()]),
    "ascii": ascii,
    "ascii beside both quotes": lambda value: ascii(f"'\"{value}"),
    "pprint": lambda value: pprint.pformat({"v": value}, width=10_000),
    "JSON": json.dumps,
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON with escaped slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON in JSON": lambda value: json.dumps({"body": json.dumps({"v": value})}),
    "repr of JSON": lambda value: repr({"body": json.dumps({"v": value})}),
    "repr of JSON beside both quotes": lambda value: repr(["'", f"'\"{json.dumps(value)}"]),
    "JSON of a repr": lambda value: json.dumps({"v": repr({"'": value})}),
    "repr of a repr": lambda value: repr(repr(value.encode())),
    "URL": urllib.parse.quote,
    "URL, all": lambda value: urllib.parse.quote(value, safe=""),
    "form": urllib.parse.quote_plus,
    "query": lambda value: urllib.parse.urlencode({"a": 1, "v": value}),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 behind one": lambda value: base64.b64encode(b"x" + value.encode() + b"y").decode(),
    "base64 behind two": lambda value: base64.b64encode(b"xx" + value.encode()).decode(),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "wrapped base64": lambda value: base64.encodebytes(value.encode()).decode(),
    "hexadecimal": lambda value: value.encode().hex(),
    "HEXADECIMAL": lambda value: value.encode().hex().upper(),
    "HTML": html.escape,
    "HTML text": lambda value: html.escape(value, quote=False),
    "XML": lambda value: saxutils.escape(value, {"'": "&apos;", '"': "&quot;"}),
    "CSV": _write_csv,
    "SQL": lambda value: "'" + value.replace("'", "''") + "'",
    "quoted for a shell": shlex.quote,
    "bash: printf %q": lambda value: _run("bash", "-c", 'printf "%q\\n" "$1"', "-", value=value),
    "bash: printf %q, C": lambda value: _run(
        "bash", "-c", 'printf "%q\\n" "$1"', "-", value=value, is_c_locale=True
    ),
    "bash: @Q": lambda value: _run("bash", "-c", 'echo "${1@Q}"', "-", value=value),
    "bash: set -x": lambda value: _run("bash", "-xc", ': "$1"', "-", value=value),
    "bash: declare -p": lambda value: _run("bash", "-c", "v=$1; declare -p v", "-", value=value),
    "sh: set -x": lambda value: _run("sh", "-xc", ': "$1"', "-", value=value),
    "latin-1": lambda value: value.encode("latin-1", "replace").decode("utf-8", "backslashreplace"),
}  # fmt: skip
#: What no form is made for: control characters in the shells' `$'…'`.
_LIMITS = {("bash: printf %q", VALUES[5]), ("bash: printf %q, C", VALUES[5]),
           ("bash: @Q", VALUES[5])}  # fmt: skip


def find_pieces(value: str, text: str) -> list[str]:
    """Return the words of a value that stand in a text, in any of some spellings."""
    words = [value[n : n + 6] for n in range(len(value) - 5)]
    return [word for word in words if word in text and word.isalnum()]


@pytest.mark.parametrize("form", FORMS)
def test_each_form(form: str) -> None:
    """In text, in a captured line and in an encoded record nothing is left of a value."""
    for value in VALUES:
        if (form, value) in _LIMITS:
            continue
        redactor = Redactor(SecretNames(), known=[value])
        text = FORMS[form](value)
        shown = redactor.redact_text(text)
        assert MARK in shown, (value, text)
        assert find_pieces(value, shown) == [], (value, text)
        assert redactor.redact_bytes(text.encode()).decode() == shown
        record = decode(redactor.redact_record(encode({"message": text, "deep": [{"x": text}]})))
        assert record == {"message": shown, "deep": [{"x": shown}]}, text


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("SOURCE_TOKEN", "ghx_9aB8c7D6e5F4g3H2j1K0", True),
        ("TARGET_TOKEN", "0123456789abcdef0123456789abcdef", True),
        ("GITHUB_PAT", "a1b2c3d4e5f6", True),
        ("DB_PASS", "hunter2x", True),
        ("SMTP_PASS", "123456", True),
        ("DB_PASS", "abc12", False),
        ("USER_PASS", "required", False),
        ("PAD_TOKEN", "<|reserved_special_token_0|>", False),
        ("INPUT_TOKEN", "ecephys_123456_2026-01-02_03-04-05", False),
        ("NEXT_TOKEN", "4096", False),
        ("TARGET_TOKEN", "abcdefghijklmnopqrstuvwxyz", False),
        ("SOURCE_TOKEN", "20260102030405060708090", False),
        ("LOW_PASS", "results_v2", False),
        ("COMPAT", "abc123xyz9", False),
        ("GITHUB_PATH", "abc123xyz9", False),
    ],
)
def test_variables_that_may_hold_a_secret(name: str, value: str, is_secret: bool) -> None:
    """Where a variable's name does not tell, its value does; a name that is off holds none."""
    assert find_known_values({name: value}, SecretNames()) == [value] * is_secret
    assert find_known_values({name: value}, SecretNames(off=[name.lower()])) == []


def test_output_that_is_not_utf8() -> None:
    """A value in Latin-1 is hidden in captured bytes."""
    redactor = Redactor(SecretNames(), known=["pässwörd-für"])
    assert redactor.redact_bytes("a pässwörd-für b".encode("latin-1")) == f"a {MARK} b".encode()


def test_only_the_value_goes() -> None:
    """What stands around a form stays as it is."""
    redactor = Redactor(SecretNames(), known=["päss-wörd"])
    shown = redactor.redact_text(f"got {'päss-wörd'.encode()!r}, {'päss-wörd'!a} and ok")
    assert shown == f"got b'{MARK}', '{MARK}' and ok"


def test_a_password_in_bytes_of_a_url() -> None:
    """A password that an environment's URL holds is known in its decoded bytes as well."""
    environ = {"DB_URL": "postgresql://u:p%C3%A4ss%21word@h/x"}
    redactor = Redactor(SecretNames(), known=find_known_values(environ, SecretNames()))
    assert redactor.redact_text(repr("päss!word".encode())) == f"b'{MARK}'"


def test_short_values_have_no_other_forms() -> None:
    """A value of 4 to 7 characters is looked for as it is: its other forms stand by chance."""
    assert spell_forms(["a+b/"]) == {b"a+b/"}
    assert b"ab%2fcd+ef" not in spell_forms(["abc"])
    assert spell_forms(["abc", "true", "NULL"]) == frozenset()


def test_forms_of_a_plain_token_are_few() -> None:
    """The forms of a token of letters and digits are itself, base64 and hexadecimal."""
    assert len(spell_forms(["Zq9k" * 8])) == 5
