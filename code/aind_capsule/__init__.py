"""Run a capsule's processing with AIND-standard logs and one canonical record at its end.

What users import stands here; everything is imported when it is first asked for, because
`capsule run` starts before every run and may not pay for what it does not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aind_capsule.version import __version__

if TYPE_CHECKING:
    from aind_capsule.logs.configure import configure_logging

__all__ = ["__version__", "configure_logging"]


def __getattr__(name: str) -> object:
    """Import `configure_logging`, and loguru with it, when it is first used (PEP 562)."""
    if name == "configure_logging":
        from aind_capsule.logs.configure import configure_logging

        return configure_logging
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
