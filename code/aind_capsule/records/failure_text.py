"""Why a run failed, in words: one form for banners, `capsule runs` and provenance."""

from __future__ import annotations

#: Its message is what the processing said itself; the exit status stands beside it.
_EXIT_STATUS = "ExitStatus"


def describe_failure(error_type: str | None, error_message: str | None) -> str:
    """Return the reason of a failure, with an exception's type before its message.

    >>> describe_failure("KeyError", "'trials'"), describe_failure("KeyError", "KeyError")
    ("KeyError: 'trials'", 'KeyError')
    >>> describe_failure("ExitStatus", "video not found"), describe_failure(None, "bad")
    ('video not found', 'bad')
    """
    if not error_message or error_message == error_type:
        return error_type or ""
    is_bare = error_type is None or error_type == _EXIT_STATUS
    return error_message if is_bare else f"{error_type}: {error_message}"
