"""The command line: each command is a thin function over the library, in a module of its own.

Commands are imported when they are asked for: `capsule run` may not wait for the others. The one
place that prints errors: a `CapsuleError` becomes its message, its hint and its exit status.
"""

from __future__ import annotations

import gc

# Imports make much and throw nothing away: collecting meanwhile is a fifth of the start's time.
gc.disable()

import importlib  # noqa: E402
import sys  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

import click  # noqa: E402

from aind_capsule.cli.help import SuggestingGroup  # noqa: E402
from aind_capsule.errors import CapsuleError  # noqa: E402
from aind_capsule.version import __version__  # noqa: E402

#: Command → module and its line in the help. The module holds a click command named `command`.
COMMANDS = {
    "run": (
        "aind_capsule.cli.run",
        "Wrap one processing command: log, canonical record, run.json.",
    ),
    "runs": ("aind_capsule.cli.runs", "List runs and how they ended."),
    "check-logs": (
        "aind_capsule.cli.check_logs",
        "Validate log files against the AIND logging standard.",
    ),
    "assets": ("aind_capsule.cli.assets", "List the data assets in a folder."),
    "provenance": (
        "aind_capsule.cli.provenance",
        "Collect a pipeline's AIND metadata from its runs.",
    ),
    "push": (
        "aind_capsule.cli.push",
        "Send records that Loki or another server does not have yet.",
    ),
    "upload": (
        "aind_capsule.cli.upload",
        "Upload a folder to S3 as a data asset. Resume, verify.",
    ),
    "doctor": ("aind_capsule.cli.doctor", "Try each configured destination for real."),
    "settings": ("aind_capsule.cli.settings", "Show every setting, its value and its source."),
}


class LazyGroup(SuggestingGroup):
    """A group whose commands are imported when they are called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The commands' names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import a command."""
        if name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[name][0]).command
        assert isinstance(command, click.Command)
        if name != "run":  # that one imports more, and collects from then on
            start_collecting()
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="capsule")
def root() -> None:
    """Run scientific processing in capsules with AIND-standard logs and one canonical record."""


#: EX_IOERR of sysexits.h.
_EXIT_OUTPUT = 74
#: Before what stands below an error.
_INDENT = " " * 9


def start_collecting() -> None:
    """Have garbage collected from here on; what the imports made is left out."""
    gc.freeze()
    gc.enable()


def main(arguments: list[str] | None = None) -> NoReturn:
    """The console script `capsule`."""
    try:
        status = _call(arguments)
    except OSError as error:
        if not _is_of_output(error):
            raise
        _print_error(f"capsule: The output cannot be written: {error.strerror}", "")
        status = _EXIT_OUTPUT
    sys.exit(status if isinstance(status, int) else 0)


def _call(arguments: list[str] | None) -> Any:
    """Call a command; returns its exit status."""
    try:
        return root.main(arguments, prog_name="capsule", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # click 8.2
            error.show()
            return error.exit_code
        context = getattr(error, "ctx", None)
        name = "capsule" if context is None else context.command_path
        hint = "" if context is None else f"{context.get_usage()}\nSee `{name} --help`."
        _print_error(f"{name}: {error.format_message()}", hint)
        return error.exit_code
    except CapsuleError as error:
        # Errors of a command name it themselves: `capsule upload: …`.
        has_prefix = error.message.startswith("capsule ")
        _print_error(error.message if has_prefix else f"capsule: {error.message}", error.hint)
        return error.exit_status


def _is_of_output(error: OSError) -> bool:
    """Return whether an error came from printing. All that commands print goes through `echo`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is click.echo.__code__


def _print_error(message: str, hint: str) -> None:
    if sys.stderr is None:  # closed; `print` would take stdout
        return
    from aind_capsule.cli.messages import hide_secrets  # not before a processing's start

    message, hint = hide_secrets(message), hide_secrets(hint)
    if sys.stderr.isatty():
        message = _wrap(message)
    lines = [message, *(f"{_INDENT}{line}" for line in hint.splitlines())]
    try:
        print("\n".join(lines), file=sys.stderr, flush=True)
    except OSError:  # nobody reads it, but the exit status
        pass


def _wrap(message: str) -> str:
    """Wrap a sentence between words. Hints are left as they are: commands in them are copied."""
    import shutil
    import textwrap

    return textwrap.fill(
        message,
        shutil.get_terminal_size().columns,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
