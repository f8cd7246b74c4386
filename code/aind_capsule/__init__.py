"""Run a capsule's processing with AIND-standard logs and one canonical record at its end.

What users import stands here; everything is imported when it is first asked for, because
`capsule run` starts before every run and may not pay for what it does not use.
"""

from __future__ import annotations

from aind_capsule.version import __version__

# Type checkers take it for true; importing `typing` for it would cost more than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from aind_capsule.logs.configure import configure_logging
    from aind_capsule.logs.python.log_sink import LogSink
    from aind_capsule.running.decorator import capsule_process
    from aind_capsule.running.inside import Run, capsule_run, current_run
    from aind_capsule.running.stop_signal import StopRequested

__all__ = [
    "LogSink",
    "Run",
    "StopRequested",
    "__version__",
    "capsule_process",
    "capsule_run",
    "configure_logging",
    "current_run",
]

_MODULES = {
    "LogSink": "aind_capsule.logs.python.log_sink",
    "Run": "aind_capsule.running.inside",
    "StopRequested": "aind_capsule.running.stop_signal",
    "capsule_process": "aind_capsule.running.decorator",
    "capsule_run": "aind_capsule.running.inside",
    "configure_logging": "aind_capsule.logs.configure",
    "current_run": "aind_capsule.running.inside",
}


def __getattr__(name: str) -> object:
    """Import what users import, and loguru with it, when it is first used (PEP 562)."""
    if name in _MODULES:
        import importlib

        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
