"""Closer looks at what has the shape of a secret, or stands behind the name of one."""

from __future__ import annotations

import base64
import binascii
import functools
import re

#: Values that say that there is none, and words that stand for one.
_NOTHING = (
    rb"(?i:none|null|nil|nan|true|false|undefined|unset|empty|yes|no|on|off|redacted|hidden)"
    rb"|[*/.-]+|[^\x00-\x7f]{1,8}|x{3,}|X{3,}|\xe2\x80\xa6|[-<>=|&]+|\[\]|\{\}|\(\)"
)
#: Numbers with a unit, dates, times, versions, ranges.
_NUMBER = (
    rb"[-+]?[\d_.,:/%-]{0,40}\d[\d_.,:/%T-]{0,40}(?:[eE][-+]?\d{1,3})?"
    rb"(?:[a-z%\xc2\xb5/]{1,4}|[KMGT]i?B|[kMG]?Hz|dB|m?V)?"
)
#: `$TOKEN`, `${TOKEN}`, `$(command)`, `<token>`, `{token}`, `%(token)s`, `%s`, `YOUR_API_KEY`.
_PLACEHOLDER = (
    rb"\$\{?[A-Za-z_]\w{0,60}\}?|\$\([^()]{0,200}\)?|<[A-Za-z][A-Za-z _.:/|-]{0,60}>?"
    rb"|\{{0,2}\s?[A-Za-z_][\w.!:]{0,60}\s?\}{1,2}|\{\{?|%\(\w{1,60}\)[sdr]|%[sdr]"
    rb"|\[[a-z_ ]{1,40}\]?|[A-Z][A-Z_]{0,60}"
)
#: `get_token()`, `os.environ["TOKEN"]`, `Optional[str]`, `hashlib.sha256()`.
_NAME = rb"[A-Za-z_](?:[a-z_.]{1,40}|[A-Z]){0,12}\d{0,2}"
_CODE = (
    _NAME + rb"\((?:[\w'\".,=:+\[\]{}/-]{0,200}[,)(\]]|)"
    rb"|[A-Za-z_][\w.]{0,80}\(\)|" + _NAME + rb"\[-?\d{0,9}:?-?\d{0,9}\]"
    rb"|[A-Za-z_][\w.]{0,80}\[(?:['\"][\w.-]{1,60}['\"]|[A-Za-z][A-Za-z_., |\[\]]{0,80})\]"
    rb"|(?:typing\.|t\.)?(?:Optional|Union|Literal|[Ll]ist|[Dd]ict|[Tt]uple)\[.{0,100}"
)
#: `/code`, `/run/secrets/token`.
_PATH = rb"(?:/[a-z][a-z_.-]{0,40}\d{0,3}){1,12}/?"
_WORD = rb"(?:[A-Z]?[a-z]{1,24}|[A-Z]{1,24}|(?:[A-Z][a-z]{1,15}){2,5})"
_WORDS = rb"_{0,2}" + _WORD + rb"(?:[._]" + _WORD + rb"){0,8}_{0,2}"
_HYPHENATED = _WORD + rb"(?:-" + _WORD + rb"){1,8}"
_TRAILING = b",;)]}.:!?`'\"\\"
_LEADING = b"([:`'\""
_DIGITS_OF_A_PASSWORD = 6


@functools.cache
def _compile(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def is_no_value(value: bytes, *, is_password: bool) -> bool:
    """Return whether what stands behind a secret's name is none.

    Numbers, truth values, placeholders, calls and single plain words are none.

    Args:
        value: One word, or what was quoted.
        is_password: The name is a password's: six digits or more are a secret, and so are words
            with hyphens between them, or several words.
    """
    value = value.strip()
    plain = value.rstrip(_TRAILING).lstrip(_LEADING)
    if not plain or value.startswith(b"[redacted]"):
        return True
    if len(plain) > 500:
        return False
    if any(_compile(form).fullmatch(plain) for form in (_NOTHING, _PLACEHOLDER, _PATH)):
        return True
    if _compile(_PLACEHOLDER).fullmatch(value):
        return True
    if _compile(_NUMBER).fullmatch(plain):
        return not (is_password and plain.isdigit() and len(plain) >= _DIGITS_OF_A_PASSWORD)
    if _compile(_WORDS).fullmatch(plain) or _compile(_CODE).fullmatch(value):
        return True
    return not is_password and _compile(_HYPHENATED).fullmatch(plain) is not None


def is_phrase(text: bytes, *, is_password: bool = False, is_list: bool = False) -> bool:
    """Return whether every word of a text is none that could be a secret.

    Args:
        text: The text.
        is_password: See `is_no_value`.
        is_list: Brackets, commas and quotes stand between the words as well.
    """
    words = re.split(rb"[\s,:;='\"(){}\[\]]+", text[:2000]) if is_list else text[:2000].split()
    return len(text) < 2000 and all(is_no_value(word, is_password=is_password) for word in words)


def has_digit(text: bytes, _match: object = None) -> bool:
    """Return whether a digit is in a text."""
    return any(byte in b"0123456789" for byte in text)


def has_letters_and_digits(text: bytes, _match: object = None) -> bool:
    """Return whether a text has letters as well as digits behind its prefix."""
    tail = text[4:]
    return has_digit(tail) and any(byte not in b"0123456789._-%+/" for byte in tail)


def is_mixed(text: bytes) -> bool:
    """Return whether a text is long, and has letters and digits: no name that people have."""
    return len(text) >= 16 and has_digit(text) and re.search(rb"[A-Za-z]", text) is not None


def is_varied(text: bytes, _match: object = None) -> bool:
    """Return whether a text has the characters of chance: of several kinds, many different."""
    is_of_kinds = has_digit(text) or (text.upper() != text and text.lower() != text)
    return is_of_kinds and len(set(text)) >= 10


def is_mixed_case(text: bytes) -> bool:
    """Return whether a text has capitals, small letters, and digits or very many letters."""
    has_both = text.upper() != text and text.lower() != text
    return has_both and (has_digit(text) or len(set(text)) >= 20)


def is_no_peptide(text: bytes) -> bool:
    """Return whether a text has other characters than the letters of amino acids."""
    return _compile(rb"[ACDEFGHIKLMNPQRSTVWY]*").fullmatch(text) is None


def is_no_word(text: bytes, _match: object = None) -> bool:
    """Return whether a text is no word of English and no placeholder."""
    return not is_no_value(text, is_password=False)


def is_no_phrase(text: bytes, _match: object = None) -> bool:
    """Return whether a text is more than words of English."""
    return not is_phrase(text)


def is_no_commit(text: bytes, match: re.Match[bytes]) -> bool:
    """Return whether a hash beside a name is no commit of it."""
    return (
        re.search(rb"(?i:git|commit|sha|rev|hash|artifact|md5|checksum)", match[0][: -len(text)])
        is None
    )


def is_basic(text: bytes, _match: object = None) -> bool:
    """Return whether it is a user and a password, and not a word of English."""
    try:
        pair = base64.b64decode(text + b"=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return False
    return ":" in pair and pair.isprintable()


def is_netrc(text: bytes, match: re.Match[bytes]) -> bool:
    """Return whether `password` and a word stand as in a netrc file."""
    if is_no_value(text, is_password=True):
        return False
    start = match.start()
    line = match.string[max(0, start - 200) : start].rpartition(b"\n")[2]
    is_place = not line.strip() or re.search(rb"\b(?:login|machine|user|default)\b", line)
    return bool(is_place) or (len(text) >= 8 and is_mixed_case(text))


def is_users_password(text: bytes, match: re.Match[bytes]) -> bool:
    """Return whether `USER:WORD` behind an option is a password: not ids, not an image's tag."""
    before = match.string[max(0, match.start() - 200) : match.start()]
    is_request = re.search(rb"\b(?:curl|wget|http|https|lftp)\b", before) is not None
    return is_request or is_no_word(text)


_PASSWORD_COMMANDS = (
    rb"\b(?:login|sshpass|mysql\w{0,20}|mariadb\w{0,20}|zip|unzip|7z|redis-cli|mongo\w{0,20}|sqlcmd"
    rb"|smbclient|plink|pscp|psftp|ldapsearch|htpasswd|expect|kinit)\b"
)


def is_commands_password(text: bytes, match: re.Match[bytes]) -> bool:
    """Return whether an option of a command is its password."""
    if match[0].lstrip(b" '\"").startswith(b"pass:"):
        return not is_no_value(text, is_password=True)
    before = match.string[max(0, match.start() - 200) : match.start()].rpartition(b"\n")[2]
    commands = list(re.finditer(_PASSWORD_COMMANDS, before))
    if not commands or re.search(rb"[|;&]", before[commands[-1].end() :]):
        return False
    is_joined = match[0][3:4] not in (b" ", b"'", b'"')
    if is_joined and not re.match(rb"mysql|mariadb|sshpass|7z", commands[-1][0]):
        return False
    is_redis = commands[-1][0] == b"redis-cli"
    if (match[0][:3] == b" -a") != is_redis:
        return False
    return not is_no_value(text, is_password=True)
