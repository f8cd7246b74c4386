"""How commands describe themselves: options in groups, exit statuses, examples, suggestions.

click lays out one list of options. Here is what it lacks, for `aind_capsule.cli` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

#: An example is not wrapped: it is to be copied.
Examples = Sequence[str]
ExitStatuses = Mapping[str, str]


class CapsuleCommand(click.Command):
    """A command whose help ends with its exit statuses and examples.

    Args:
        groups: Title of a group of options → their names (`--data`). The others stand last.
        statuses: Exit status → what it means.
        examples: Command lines.
    """

    def __init__(
        self,
        *args: Any,
        groups: Mapping[str, Sequence[str]] | None = None,
        statuses: ExitStatuses | None = None,
        examples: Examples = (),
        **kwargs: Any,
    ) -> None:
        self.groups = groups or {}
        self.statuses = statuses or {}
        self.examples = examples
        kwargs["epilog"] = _build_text(self.statuses, examples)  # for the manual's page
        super().__init__(*args, **kwargs)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each group below its title."""
        rows = {
            name: row
            for parameter in self.get_params(ctx)
            if (row := parameter.get_help_record(ctx)) is not None
            for name in parameter.opts[:1]
            if parameter.param_type_name == "option"
        }
        for title, names in self.groups.items():
            with formatter.section(title):
                formatter.write_dl([rows.pop(name) for name in names])
        with formatter.section("Other options" if self.groups else "Options"):
            formatter.write_dl(list(rows.values()))

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write exit statuses and examples."""
        if self.statuses:
            with formatter.section("Exit status"):
                formatter.write_dl(list(self.statuses.items()))
        if self.examples:
            with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class SuggestingGroup(click.Group):
    """A group that names the command that a mistyped one may mean."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or fail with a suggestion."""
        name = args[0]
        if self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), self.list_commands(ctx), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        if "run" in self.list_commands(ctx) and _is_program(name):
            import shlex

            hint = f" To wrap it: capsule run -- {shlex.join(args)}"
        raise click.UsageError(f"No such command {name!r}.{hint}", ctx)


def _is_program(name: str) -> bool:
    import shutil

    return shutil.which(name) is not None


def _build_text(statuses: ExitStatuses, examples: Examples) -> str | None:
    r"""Return both lists as reStructuredText. `\b` keeps the lines as they are."""
    parts = []
    if statuses:
        rows = (f"{status}: {_mark_options(meaning)}" for status, meaning in statuses.items())
        parts.append("\n".join(("\b", "Exit status", *rows)))
    if examples:
        parts.append("\n".join(("\b", "Examples", *(f"``{line}``" for line in examples))))
    return "\n\n".join(parts) or None


def _mark_options(text: str) -> str:
    """Mark options as code, where `--` would become a dash."""
    return re.sub(r"--[a-z-]+", r"``\g<0>``", text)
