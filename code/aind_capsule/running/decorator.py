"""`@capsule_process`: a function as a run, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from aind_capsule.running.inside import capsule_run

F = TypeVar("F", bound=Callable[..., Any])


@overload
def capsule_process(function: F, /) -> F: ...


@overload
def capsule_process(process_name: str | None = None, /, **fields: object) -> Callable[[F], F]: ...


def capsule_process(given: Any = None, /, **fields: object) -> Any:
    """Have each call of a function be a run (`capsule_run` around it).

    For plain functions, generators, and async functions and generators; a generator's run lasts
    from its first value to its end. Inside, `current_run()` is the run.

    Args:
        given: The function, or the process's name (by default the function's).
        **fields: Fields of every record.

    Example:
        >>> @capsule_process("qc", rig_id="frg_1_a")    # doctest: +SKIP
        ... def main():
        ...     current_run().log_metric("trials", 225)
    """
    if callable(given):
        return _wrap(given, None, fields)
    return lambda function: _wrap(function, given, fields)


def _wrap(function: Callable[..., Any], name: str | None, fields: dict[str, object]) -> Any:
    process_name = name or str(getattr(function, "__name__", "") or "").replace("_", "-") or None

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with capsule_run(process_name, **fields):
                return await function(*args, **kwargs)

        return call_async
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def iterate_async(*args: Any, **kwargs: Any) -> Any:
            with capsule_run(process_name, **fields):
                generator = function(*args, **kwargs)
                try:
                    async for value in generator:
                        yield value
                finally:
                    await generator.aclose()

        return iterate_async
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def iterate(*args: Any, **kwargs: Any) -> Any:
            with capsule_run(process_name, **fields):
                return (yield from function(*args, **kwargs))

        return iterate

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with capsule_run(process_name, **fields):
            return function(*args, **kwargs)

    return call
