"""One exception of the processing: its type, its message and the whole text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traceback:
    """A whole traceback: the exception's type and message, and all of the text."""

    type: str
    message: str
    text: str
