"""Which names hold secrets: fields of records, options, environment variables.

A name is compared without its separators and case, so that `api_key`, `API-Key` and `apiKey` are
one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection

#: A name that holds one of these is a secret's.
_ANYWHERE = (
    "password", "passwd", "passphrase", "passcode", "authorization", "privatekey", "secretkey",
    "secretaccess",
)  # fmt: skip
#: A name that ends with one of these is.
_KEY_OWNERS = (
    "api", "access", "private", "signing", "encryption", "session", "auth", "account", "shared",
    "ssh", "deploy", "master", "storage", "hmac",
)  # fmt: skip
_AT_THE_END = (
    "token", "secret", "secrets", "credential", "credentials", "cookie", "cookies",
    "amzsignature", "pwd",
    *(f"{owner}key" for owner in _KEY_OWNERS),
    *(f"{owner}keys" for owner in _KEY_OWNERS),
    # `tokens` alone are as often those of a language model.
    "accesstokens", "apitokens", "authtokens", "refreshtokens",
)  # fmt: skip
_EXACTLY = frozenset({"auth", "pass"})
#: A name whose last word is one of these says where a secret is, or something about it.
_ABOUT = frozenset(
    {
        "arn",
        "backend",
        "class",
        "count",
        "counts",
        "dim",
        "dir",
        "embedding",
        "embeddings",
        "enabled",
        "env",
        "error",
        "expiration",
        "expired",
        "expires",
        "expiry",
        "field",
        "file",
        "folder",
        "format",
        "help",
        "helper",
        "id",
        "ids",
        "index",
        "indices",
        "kind",
        "label",
        "len",
        "length",
        "limit",
        "manager",
        "method",
        "mode",
        "name",
        "names",
        "path",
        "policy",
        "prompt",
        "provider",
        "rate",
        "required",
        "scheme",
        "size",
        "sock",
        "state",
        "status",
        "store",
        "ttl",
        "type",
        "types",
        "uri",
        "url",
        "valid",
        "version",
    }
)
#: A token of these is one of text, as language models count them.
_OF_TEXT = frozenset(
    {
        "added",
        "additional",
        "average",
        "avg",
        "bad",
        "begin",
        "bos",
        "cached",
        "cls",
        "completion",
        "current",
        "decoder",
        "end",
        "eos",
        "extra",
        "first",
        "forced",
        "generated",
        "image",
        "input",
        "last",
        "loss",
        "mask",
        "max",
        "mean",
        "min",
        "n",
        "new",
        "next",
        "num",
        "output",
        "pad",
        "padding",
        "per",
        "prev",
        "previous",
        "prompt",
        "reasoning",
        "sep",
        "sequence",
        "source",
        "special",
        "start",
        "stop",
        "target",
        "text",
        "time",
        "total",
        "unk",
        "unknown",
        "word",
    }
)
#: A variable whose name ends with one of these may hold a secret (of PAT: a personal access token).
_DOUBTFUL = ("TOKEN", "PASS", "PAT")
#: A pass of these is one of a filter, or of several.
_OF_FILTERS = frozenset(
    {"low", "high", "band", "notch", "filter", "first", "second", "third", "final", "one", "two",
     "single", "multi", "next", "last", "all", "by", "com"}
)  # fmt: skip
#: What may be digits alone, or several words.
_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd", "secret")
#: The shell's working directories.
_FOLDERS = frozenset({"PWD", "OLDPWD"})
_SEPARATORS = ("", "_", "-", ".", " ")
#: `token2` and `token_value` are tokens.
_TAIL = r"(?:value|\d+)$"
_NOT_PART = r"[^a-z0-9]+"
_HUMP = r"([a-z0-9])([A-Z])"

#: Lower-case literals of which one stands in every name that is a secret's.
LITERALS: tuple[str, ...] = (
    "passw", "passphrase", "passcode", "pwd", "secret", "authorization", "token", "credential",
    "cookie", "amz-signature", "amz_signature", "amzsignature", '"auth"', '"pass"',
    *(f"{owner}{separator}key" for owner in _KEY_OWNERS for separator in _SEPARATORS),
)  # fmt: skip


def squeeze(name: str) -> str:
    """A name without case and separators.

    >>> squeeze("X-Api_Key")
    'xapikey'
    """
    return re.sub(_NOT_PART, "", name.lower())


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether what bears this name is a secret.

    >>> [is_secret_name(name) for name in ("DB_PASSWORD", "apiKey", "auth_token", "X-Cookie")]
    [True, True, True, True]
    >>> [is_secret_name(name) for name in ("max_tokens", "token_count", "author", "key", "PWD")]
    [False, False, False, False, False]
    """
    plain = squeeze(name)
    words = _split(name)
    if name in _FOLDERS or words[-1] in _ABOUT:
        return False
    if is_token_of_text(name):
        return False
    return (
        plain in _EXACTLY
        or re.sub(_TAIL, "", plain).endswith(_AT_THE_END)
        or any(word in plain for word in _ANYWHERE)
        or "secret" in words
    )


def is_token_of_text(name: str) -> bool:
    """Return whether a name is that of a language model's token.

    >>> is_token_of_text("eosToken"), is_token_of_text("api_token")
    (True, False)
    """
    words = _split(name)
    return words[-1] == "token" and len(words) > 1 and words[-2] in _OF_TEXT


def _split(name: str) -> list[str]:
    return re.split(_NOT_PART, re.sub(_HUMP, r"\1_\2", name).lower())


def spell(name: str) -> tuple[str, ...]:
    """The ways in which a name of a user's list may be written, as lower-case literals.

    >>> spell("rig_pin")
    ('rigpin', 'rig_pin', 'rig-pin', 'rig.pin', 'rig pin')
    """
    words = [word for word in re.split(_NOT_PART, name.lower()) if word]
    return tuple(separator.join(words) for separator in _SEPARATORS) if words else ()


def is_password_name(name: str) -> bool:
    """Return whether a secret's name is one of a password.

    >>> is_password_name("DB_PASSWORD"), is_password_name("api_key")
    (True, False)
    """
    plain = squeeze(name)
    return any(word in plain for word in _PASSWORDS)


class SecretNames:
    """The names that hold secrets: the usual ones, and a user's own.

    Args:
        more: The user's (`redact.fields`).
        off: Names that hold none, whatever they look like (`redact.names_off`).

    Attributes:
        literals: Lower-case literals of which one stands in every such name.
    """

    def __init__(self, more: Collection[str] = (), off: Collection[str] = ()) -> None:
        self._more = frozenset(filter(None, map(squeeze, more)))
        self._off = frozenset(filter(None, map(squeeze, off)))
        self.literals = LITERALS + tuple(literal for name in more for literal in spell(name))

    def has_users(self, name: str) -> bool:
        """Return whether a user has named it: then no value of it is taken for harmless."""
        return bool(self._more) and squeeze(name) in self._more

    def is_doubtful(self, name: str) -> bool:
        """Return whether a variable may hold a secret: only its value tells.

        >>> names = SecretNames()
        >>> [names.is_doubtful(name) for name in ("SOURCE_TOKEN", "DB_PASS", "LOW_PASS", "X")]
        [True, True, False, False]
        """
        if not name.upper().endswith(_DOUBTFUL) or squeeze(name) in self._off:
            return False
        words = _split(name)
        is_password = words[-1] in ("pass", "pat") and not _OF_FILTERS.intersection(words)
        return is_password or is_token_of_text(name)

    def __contains__(self, name: str) -> bool:
        if self._off and squeeze(name) in self._off:
            return False
        return is_secret_name(name) or self.has_users(name)
