"""Shapes of text that are secrets, whoever wrote them: a table of rules.

A rule's expression runs only over text in which one of its literals stands (`redactor`). A new
shape is one row here. Sources of the formats: the vendors' own documentation of their tokens
(AWS access key ids, GitHub token prefixes, Slack token types), RFC 6750 (Bearer), RFC 7617 (Basic),
RFC 7468 and RFC 4253 (private key blocks), RFC 7519 (JWT), RFC 3986 (user information in URLs).
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rule:
    """One shape.

    Attributes:
        name: What it is, for the documentation.
        literals: In lower case; one of them stands in every text that the shape is in.
        expression: What is replaced: the group `secret` where there is one, else all of it. A
            secret that is only looked ahead to may begin another match ("Basic Basic dTpw").
        accepts: A closer look at a match.
        find_in: Where the secrets are in a match, if it takes more than a group to tell.
    """

    name: str
    literals: tuple[str, ...]
    expression: str
    accepts: Callable[[re.Match[bytes]], bool] | None = None
    find_in: Callable[[re.Match[bytes]], Iterator[Span]] | None = None

    def find(self, text: bytes) -> Iterator[Span]:
        """Where the shape is in a text."""
        expression = compile_once(self.expression)
        group = "secret" if "secret" in expression.groupindex else 0
        for match in expression.finditer(text):
            if self.find_in is not None:
                yield from self.find_in(match)
            elif self.accepts is None or self.accepts(match):
                yield match.span(group)


@functools.cache
def compile_once(expression: str) -> re.Pattern[bytes]:
    """Compile when it is first needed: a run that starts has nothing to hide yet.

    Letters of any case are `(?i:…)`; a dot is any byte.
    """
    return re.compile(expression.encode(), re.DOTALL)


def _is_basic(match: re.Match[bytes]) -> bool:
    """Whether it is a user and a password, and not a word of English."""
    text = match["secret"]
    try:
        return b":" in base64.b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return False


def _stands_behind(match: re.Match[bytes], expression: str) -> bool:
    """Return whether something stands not far before a match."""
    start = match.start()
    before = compile_once(expression).search(match.string, max(0, start - _BEFORE_BYTES), start)
    return before is not None


def _find_users(match: re.Match[bytes]) -> Iterator[Span]:
    """User information of URLs in a text without white space, which begins with `://`.

    By the standard it ends before the first slash; people also write passwords with slashes in it.
    """
    start = match.start()
    for part in match[0].split(b"://")[1:]:
        start += len(b"://")
        authority = re.split(rb"[/?#]", part, maxsplit=1)[0]
        end = authority.rfind(b"@")
        if re.match(rb"[^/:@]*:(?!\d{1,5}(?:[/?#']|$))", part):  # a password, not a port
            end = part.rfind(b"@")
        if end > 0:
            yield start, start + end
        start += len(part)


#: What may stand between such a word and the secret.
_GAP = r"(?:\s|%20|\+|:)+"

PRIVATE_KEY = "private key"
KEY_BEGINS = r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
KEY_ENDS = r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}"

#: How far before a password its command or its host is looked for.
_BEFORE_BYTES = 400
_AWS_IDS = ("akia", "asia", "abia", "acca")

RULES: tuple[Rule, ...] = (
    Rule("user and password in a URL", ("://",), r"""://[^\s"<>]*""", find_in=_find_users),
    Rule("AWS access key id", _AWS_IDS, r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    Rule(
        "AWS secret access key beside its id",
        _AWS_IDS,
        r"(?<![A-Za-z0-9/+])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    Rule(
        "GitHub token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        r"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{16,}",
    ),
    Rule("GitLab token", ("glpat-",), r"glpat-[A-Za-z0-9_\-.]{16,}"),
    Rule("Google API key", ("aiza",), r"AIza[A-Za-z0-9_\-]{35}"),
    Rule("Slack token", ("xox", "xapp-"), r"(?:xox[a-z]|xapp)[\-.][A-Za-z0-9.\-]{8,}"),
    Rule(
        "Slack webhook",
        ("hooks.slack.com",),
        r"""hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[^\s"'<>]+)""",
    ),
    Rule(
        "JSON web token",
        ("eyj",),
        r"eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)*",
    ),
    Rule(
        "Bearer token",
        ("bearer",),
        rf"(?i:bearer){_GAP}(?=(?P<secret>[A-Za-z0-9._~+/=\-]{{6,}}))",
    ),
    Rule(
        "Basic credentials",
        ("basic",),
        rf"(?i:basic){_GAP}(?=(?P<secret>[A-Za-z0-9+/_\-]{{4,}}={{0,2}}))",
        _is_basic,
    ),
    Rule(
        "password of a .netrc",
        ("passw",),
        r"""(?i:passw(?:or)?d)[ \t]{1,8}(?P<secret>[^\s"']{3,200})""",
        lambda match: _stands_behind(match, r"(?i:machine\s+\S|login\s+\S|default\s)"),
    ),
    Rule(
        "password of curl",
        (" -u", "--user", "--proxy-user"),
        r"""(?: -u ?|--user[ =]|--proxy-user[ =])["']?[^\s:"']{1,100}:(?P<secret>[^\s"']{1,200})""",
        lambda match: _stands_behind(match, "curl"),
    ),
    Rule(
        "key of a kubeconfig",
        ("client-key-data",),
        r"""client-key-data\\?["']?:\s{0,4}\\?["']?(?P<secret>[A-Za-z0-9+/=]{16,})""",
    ),
    Rule(
        "private key of PuTTY",
        ("private-lines:",),
        r"Private-Lines:[ \t]*\d+(?:\r?\n|\\n)"
        r"(?P<secret>(?:[A-Za-z0-9+/=]{1,76}(?:\r?\n|\\r?\\n|\\n|\Z))+)",
    ),
    Rule("private key block", (PRIVATE_KEY,), rf"{KEY_BEGINS}.*?(?:{KEY_ENDS}|\Z)"),
)
