"""Addresses of code without what lets one in.

Called by `code_version`: what it finds goes into records and provenance.
"""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*")
#: A host with its port, if any; either may be a variable of the shell's.
_HOST = re.compile(r"(?:[^:?#@]+|\[[0-9A-Fa-f:.]+\])(?::(?:[0-9]*|\$\{?\w+\}?))?", re.ASCII)
#: The user of every hosted repository over SSH, and no secret.
_SSH_USER = "git"
_MAX_CHARS = 2048


def strip_credentials(url: str | None) -> str | None:
    """An address without user, password, query and fragment; None where none can be told.

    >>> strip_credentials("https://x-access-token:ghp_1@github.com/org/repo.git")
    'https://github.com/org/repo.git'
    >>> strip_credentials("git@github.com:org/repo.git")
    'git@github.com:org/repo.git'
    """
    text = (url or "").strip()
    if not text or len(text) > _MAX_CHARS or not text.isprintable() or " " in text:
        return None
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "", text
    elif _SCHEME.fullmatch(scheme) is None:
        return None
    host, slash, path = rest.partition("/")
    user, _, host = host.rpartition("@")
    if mark and scheme != "file" and _HOST.fullmatch(host) is None:
        # A password with a slash in it: what looks like the path is still the secret.
        if "@" not in path:
            return None
        host, slash, path = path.rpartition("@")[2].partition("/")
        user = ""
    if user == _SSH_USER and (not mark or "ssh" in scheme.lower()):
        host = f"{user}@{host}"
    address = re.split(r"[?#]", f"{scheme}{mark}{host}{slash}{path}", maxsplit=1)[0]
    return address if host or path else None
