"""`capsule run [OPTIONS] -- CMD ARG…`."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from aind_capsule.errors import UsageError


@click.command("run", context_settings={"ignore_unknown_options": False})
@click.option("--process-name", metavar="NAME", help="Name of the process (capsule).")
@click.option("--pipeline-name", metavar="NAME", help="Name of the pipeline.")
@click.option("--data", metavar="DIR", help="Folder of the input data assets.")
@click.option("--results", metavar="DIR", help="Folder of the results.")
@click.option("--scratch", metavar="DIR", help="Folder for scratch; run folders are in it.")
@click.option(
    "--run-files", metavar="KINDS", help="Run files to copy into results: all, none, or a list."
)
@click.option(
    "--field", "fields", metavar="K=V", multiple=True, help="A field of every record; repeatable."
)
@click.option("--timeout", metavar="TIME", help="End the processing after this: 30, 90m, 2h.")
@click.option(
    "--resources", metavar="TIME", help="Sample what the processing uses, so often: 5s, 1m."
)
@click.option("--grace", metavar="TIME", help="Between a stop and the kill; 5 s by default.")
@click.option(
    "--merge-streams", is_flag=True, default=None, help="One pipe for both streams: exact order."
)
@click.option("--tty", is_flag=True, help="Leave stdout and stderr on the terminal, uncaptured.")
@click.option(
    "--console",
    type=click.Choice(["pretty", "plain", "json", "off"]),
    help="What the wrapper itself prints on stderr.",
)
@click.option("--session", is_flag=True, default=None, help="Also write the log for people.")
@click.option(
    "--strict",
    is_flag=True,
    default=None,
    help="End with 74 where logging failed in a run that succeeded.",
)
@click.option("--upload", metavar="URL", help="Upload results to s3://bucket/prefix.")
@click.option("--asset-name", metavar="NAME", help="Name of the asset that they become.")
@click.option(
    "--redact-output",
    is_flag=True,
    default=None,
    help="Hide secrets in the processing's own output too, line by line.",
)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED)
def command(cmd: tuple[str, ...], *, tty: bool, **options: Any) -> int:
    """Wrap one processing command, whatever it is.

    Its output goes through as it is, its exit status is the wrapper's, and its log, with one
    canonical record at the end, is in the results folder (inside a pipeline: in the run folder).
    """
    if sys.platform != "linux":
        raise UsageError("capsule run needs Linux", hint="Run it in a container: docker run …")
    from aind_capsule.context.folders import get_cwd
    from aind_capsule.context.procfs import read_initial_variables
    from aind_capsule.running.prepare import RunRequest
    from aind_capsule.running.wrap import run_command
    from aind_capsule.settings.model import ROWS

    if not cmd:
        raise UsageError(
            "capsule run: there is no command", hint="Give it behind --: capsule run -- ./run"
        )
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
        try:
            row.parse(value)
        except ValueError as error:
            raise UsageError(
                f"capsule run: {flag} is {value!r}; expected {error}", hint=f"{row.description}"
            ) from error
        flags[row.key] = value
    environ = dict(os.environ)
    initial = read_initial_variables()
    if initial is not None and "LC_CTYPE" not in initial:  # this interpreter's own, not the user's
        environ.pop("LC_CTYPE", None)
    request = RunRequest(cmd, flags, environ, get_cwd(), keeps_terminal=tty)
    return run_command(request)
