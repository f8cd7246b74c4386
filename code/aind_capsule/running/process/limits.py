"""Resource limits (`ulimit`): the wrapper raises its own, the processing gets them as they were.

Imported before the command line is: what is needed to say that memory is short must be small.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Mapping

from aind_capsule.errors import SettingsError

_before: dict[int, tuple[int, int]] = {}
_KIB, _MIB = 1024, 1024 * 1024
#: Hard limit that the wrapper needs, about twice what was measured.
_NEEDED = {"NOFILE": 32, "AS": 96 * _MIB, "DATA": 48 * _MIB, "STACK": 256 * _KIB}
#: The wrapper, its watcher, the sampler, the processing, and the delivery with its threads.
_NEEDED_PROCESSES = "7 more than this user has without it"
_RAISED = ("NOFILE", "FSIZE", "CPU", "AS", "DATA", "STACK", "NPROC")
#: Flag and unit of `ulimit`.
_ULIMIT = {
    "NOFILE": ("-n", 1),
    "AS": ("-v", _KIB),
    "DATA": ("-d", _KIB),
    "STACK": ("-s", _KIB),
    "NPROC": ("-u", 1),
}
_LIMITS_OF_ERRORS = {
    errno.EMFILE: ("NOFILE",),
    errno.EAGAIN: ("NPROC",),
    errno.ENOMEM: ("AS", "DATA"),
}


def raise_soft_limits() -> dict[int, tuple[int, int]]:
    """Raise the soft limits of this process to the hard ones. Return those before, by resource."""
    for name in _RAISED:
        number = getattr(resource, f"RLIMIT_{name}")
        soft, hard = limits = resource.getrlimit(number)
        # A stack without limit would change how the memory of our own Pythons is laid out.
        is_enough = soft == hard or (name == "STACK" and not _is_below(soft, _NEEDED[name]))
        if not is_enough:
            with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
                resource.setrlimit(number, (hard, hard))
                _before.setdefault(number, limits)
    return _before


def restore_limits(before: Mapping[int, tuple[int, int]]) -> None:
    """Put limits back."""
    for number, limits in before.items():
        resource.setrlimit(number, limits)


def is_file_size_limited() -> bool:
    """Return whether a file of this process may not grow without limit."""
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


def check_limits() -> None:
    """Check that the wrapper can work within its limits.

    Raises:
        SettingsError: One is too small.
    """
    for name, least in _NEEDED.items():
        needed = least + _count_inherited() if name == "NOFILE" else least
        if _is_below(_get_limit(name), needed):
            raise SettingsError(
                f"A resource limit is too small for capsule run: {_describe(name, needed)}",
                hint=_build_hint(name),
            )


def explain(error: BaseException, failed: str) -> SettingsError | None:
    """Return what a failure says of our limits; None where it has nothing to do with them.

    Args:
        error: The failure.
        failed: What failed, as the beginning of a sentence.
    """
    if isinstance(error, OSError) and error.errno in _LIMITS_OF_ERRORS:
        names = _LIMITS_OF_ERRORS[error.errno]
    elif isinstance(error, MemoryError) or _is_out_of_address_space(error):
        names = _LIMITS_OF_ERRORS[errno.ENOMEM]
    else:
        return None
    reason = getattr(error, "strerror", None) or "out of memory"
    limits = [name for name in names if _get_limit(name) != resource.RLIM_INFINITY]
    described = (
        ", ".join(_describe(name, _NEEDED.get(name)) for name in limits)
        or "the machine has no more"
    )
    return SettingsError(f"{failed}: {reason} ({described})", hint=_build_hint(*names))


def _is_out_of_address_space(error: BaseException) -> bool:
    # The loader of shared libraries gives texts and no error numbers.
    texts = ("failed to map", "cannot map", "cannot allocate", "cannot create shared object")
    return isinstance(error, ImportError) and any(text in str(error) for text in texts)


def _get_limit(name: str) -> int:
    return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[0]


def _is_below(limit: int, needed: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < needed


def _count_inherited() -> int:
    """Count the descriptors that this process was started with, beside the standard ones."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return 0
    limit = _get_limit("NOFILE")
    # What lies beyond the limit takes none of its room. One is this look's own.
    return max(0, sum(2 < int(name) < limit for name in names) - 1)


def _describe(name: str, needed: int | None) -> str:
    flag, unit = _ULIMIT[name]
    described = _NEEDED_PROCESSES if needed is None else f"at least {needed // unit}"
    return f"RLIMIT_{name} (ulimit {flag}) is {_get_limit(name) // unit}; needed: {described}"


def _build_hint(*names: str) -> str:
    commands = " and ".join(f"ulimit {_ULIMIT[name][0]}" for name in names)
    return f"Raise the hard limit with {commands}, or the container's with docker run --ulimit."
