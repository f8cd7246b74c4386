"""`@capsule_process`: a function as a run, whatever kind of function it is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from aind_capsule.running.inside import Run, capsule_run

F = TypeVar("F", bound=Callable[..., Any])


@overload
def capsule_process(function: F, /) -> F: ...


@overload
def capsule_process(
    process_name: str | None = None, **fields: object
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


def capsule_process(process_name: Any = None, **fields: object) -> Any:
    """Have each call of a function be a run (`capsule_run` around it).

    For plain functions, generators, and async functions and generators; a generator's run lasts
    from its first value to its end. A function with a parameter `run` that its caller does not give
    gets the run there; anywhere inside, `current_run()` is it.

    Args:
        process_name: The process's name, by default, without `capsule run`, the function's; or the
            function itself, where the decorator stands alone.
        **fields: Fields of every record.

    Example:
        >>> @capsule_process("qc", rig_id="frg_1_a")    # doctest: +SKIP
        ... def main(run):
        ...     run.log_metric("trials", 225)
    """
    if callable(process_name):
        return _wrap(process_name, None, fields)
    return lambda function: _wrap(function, process_name, fields)


def _wrap(function: Callable[..., Any], name: str | None, fields: dict[str, object]) -> Any:
    default_name = str(getattr(function, "__name__", "") or "").replace("_", "-") or None

    def enter() -> capsule_run:
        run = capsule_run(name, **fields)
        run.default_name = default_name
        return run

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with enter() as run:
                return await function(*args, **_give_run(function, run, args, kwargs))

        return call_async
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def iterate_async(*args: Any, **kwargs: Any) -> Any:
            with enter() as run:
                generator = function(*args, **_give_run(function, run, args, kwargs))
                try:
                    async for value in generator:
                        yield value
                finally:
                    await generator.aclose()

        return iterate_async
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def iterate(*args: Any, **kwargs: Any) -> Any:
            with enter() as run:
                return (yield from function(*args, **_give_run(function, run, args, kwargs)))

        return iterate

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with enter() as run:
            return function(*args, **_give_run(function, run, args, kwargs))

    return call


def _give_run(
    function: Callable[..., Any], run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The call's keywords, with the run where the function has a place for it that is free."""
    try:
        signature = inspect.signature(function)
        given = signature.bind_partial(*args, **kwargs).arguments
    except (TypeError, ValueError):  # a call that does not fit: the function itself shall say so
        return kwargs
    parameter = signature.parameters.get("run")
    takes_keyword = parameter is not None and parameter.kind in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    return {**kwargs, "run": run} if takes_keyword and "run" not in given else kwargs
