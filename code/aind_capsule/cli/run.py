"""`capsule run [OPTIONS] -- CMD ARG…`."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.errors import UsageError

_GROUPS = {
    "What the run is called": ("--process-name", "--pipeline-name", "--field"),
    "Folders and files": ("--data", "--results", "--scratch", "--run-files", "--session"),
    "Limits": ("--timeout", "--grace", "--strict"),
    "Output and measurement": (
        "--console", "--merge-streams", "--tty", "--redact-output", "--resources",
    ),
    "Upload": ("--upload", "--asset-name"),
}  # fmt: skip
_STATUSES = {
    "the command's own": "whatever happens to its log; except:",
    "2": "the command line cannot be understood; nothing was started",
    "74": "the command succeeded, but --upload, --strict or our own output failed",
    "78": "a setting or folder cannot be used; nothing was started",
    "124": "--timeout ended the command",
    "126, 127": "the command cannot be executed, or was not found",
    "128+N": "signal N ended the command",
}
_EXAMPLES = (
    "capsule run -- ./run",
    "capsule run --timeout 2h -- python -u main.py --rate 30",
)
_HINT = "Give it after --: capsule run -- ./run"
_NO_VALUE_HINT = "Give the value before --: capsule run {} VALUE -- ./run"


class RunCommand(CapsuleCommand):
    """Takes the words after `--` as they are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse options behind a command that has no `--` before it.

        Both the command and we have options. Nobody can say whose such a one is.
        """
        given = list(args)
        rest = super().parse_args(ctx, args)
        cmd: tuple[str, ...] = ctx.params.get("cmd", ())
        if cmd[:1] == ("",):
            raise UsageError(
                "capsule run: the command is empty (''). Is a variable unset?", hint=_HINT
            )
        options = given[: len(given) - len(cmd)]
        if options[-1:] == ["--"]:
            return rest
        for word in cmd[1:]:
            if word.startswith("-") and len(word) > 1:
                import shlex

                raise UsageError(
                    f"capsule run: the option {word} after the command {cmd[0]!r} is ambiguous",
                    hint=f"If it is the command's: capsule run -- {shlex.join(cmd)}\n"
                    "If it is for capsule run, put it before the command.",
                )
        return rest


@click.command(
    "run",
    cls=RunCommand,
    groups=_GROUPS,
    statuses=_STATUSES,
    examples=_EXAMPLES,
    context_settings={"allow_interspersed_args": False},
)
@click.option("--process-name", metavar="NAME", help="Name of the process (the capsule).")
@click.option("--pipeline-name", metavar="NAME", help="Name of the pipeline.")
@click.option("--data", metavar="DIR", help="Folder with the input data assets.")
@click.option("--results", metavar="DIR", help="Folder for the results.")
@click.option("--scratch", metavar="DIR", help="Folder for temporary files and run folders.")
@click.option(
    "--run-files",
    metavar="KINDS",
    help="Run files to copy into results: all, none, or a list such as log,run.",
)
@click.option(
    "--field",
    "fields",
    metavar="K=V",
    multiple=True,
    help="Add a field to every record. Repeatable.",
)
@click.option(
    "--timeout", metavar="TIME", help="End the command after this time, such as 90m, 1h30m or 2d."
)
@click.option(
    "--resources",
    metavar="TIME",
    help="Interval between samples of CPU and memory, such as 5s. Default: none.",
)
@click.option(
    "--grace", metavar="TIME", help="Seconds between SIGTERM and SIGKILL at a stop. Default: 5."
)
@click.option(
    "--merge-streams",
    is_flag=True,
    default=None,
    help="Send stderr to stdout, so that their lines keep their order.",
)
@click.option("--tty", is_flag=True, help="Leave the output on the terminal, uncaptured.")
@click.option(
    "--console",
    metavar="MODE",
    type=click.Choice(["pretty", "plain", "json", "off"]),
    help="What we print on stderr: pretty, plain, json or off.",
)
@click.option(
    "--session", is_flag=True, default=None, help="Also write a human-readable log (.log.txt)."
)
@click.option(
    "--strict",
    is_flag=True,
    default=None,
    help="Exit with 74 when logging fails in a run that succeeds.",
)
@click.option("--upload", metavar="URL", help="Upload the results to s3://bucket/prefix.")
@click.option("--asset-name", metavar="NAME", help="Name of the uploaded data asset.")
@click.option(
    "--redact-output",
    is_flag=True,
    default=None,
    help="Hide secrets in what the command prints, too.",
)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def command(cmd: tuple[str, ...], *, tty: bool, **options: Any) -> int:
    """Wrap one processing command.

    Its output passes through unchanged and its exit status becomes ours. Its log, with one
    canonical record at the end, is copied into the results folder. In a pipeline task it stays in
    the run folder.
    """
    if sys.platform != "linux":
        raise UsageError("capsule run needs Linux", hint="Run it in a container: docker run …")
    from aind_capsule.cli import start_collecting
    from aind_capsule.context.folders import get_cwd
    from aind_capsule.context.procfs import read_initial_variables
    from aind_capsule.running.prepare import RunRequest
    from aind_capsule.running.wrap import run_command
    from aind_capsule.settings.model import ROWS

    start_collecting()
    if not cmd:
        raise UsageError("capsule run: there is no command", hint=_HINT)
    if tty and options["redact_output"]:
        raise UsageError(
            "capsule run: --redact-output cannot go with --tty",
            hint="With --tty the output does not come through here; leave one of them out.",
        )
    names = {row.flag: row for row in ROWS if row.flag}
    flags = {}
    for option, value in options.items():
        flag = "--field" if option == "fields" else f"--{option.replace('_', '-')}"
        row = names[flag]
        if value is None or value == ():
            continue
        if value == "--" or (isinstance(value, tuple) and "--" in value):
            raise UsageError(
                f"capsule run: {flag} has no value; -- is in its place",
                hint=_NO_VALUE_HINT.format(flag),
            )
        try:
            row.parse(value)
        except ValueError as error:
            raise UsageError(
                f"capsule run: {flag} is {value!r}; expected {error}",
                hint="See `capsule run --help`.",
            ) from error
        flags[row.key] = value
    environ = dict(os.environ)
    initial = read_initial_variables()
    if initial is not None and "LC_CTYPE" not in initial:  # this interpreter's own, not the user's
        environ.pop("LC_CTYPE", None)
    request = RunRequest(cmd, flags, environ, get_cwd(), keeps_terminal=tty)
    return run_command(request)
