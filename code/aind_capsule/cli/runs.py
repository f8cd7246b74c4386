"""`capsule runs [DIR…]`."""

from __future__ import annotations

import json
import os

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.context.folders import find_folder, get_cwd
from aind_capsule.errors import UsageError
from aind_capsule.history.runs import RunSummary, find_default_folders, find_runs
from aind_capsule.logs.console import escape_controls, format_duration
from aind_capsule.records.failure_text import describe_failure
from aind_capsule.records.simplify import CUT_MARK
from aind_capsule.settings.load import find_code_folder, load_settings

#: Of a reason so much is listed; the canonical record has more.
_REASON_CHARACTERS = 160
_COLOURS = {"success": "green", "fail": "red", "lost": "red", "stopped": "yellow"}


@click.command(
    "runs",
    cls=CapsuleCommand,
    statuses={"0": "the runs were listed, even if there are none", "2": "a folder does not exist"},
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.argument("folders", nargs=-1, metavar="[DIR…]")
def command(folders: tuple[str, ...], *, as_json: bool) -> int:
    """List runs, newest first: how each ended, when, and where its log is.

    Without DIR, the folders are scratch, the user's state folder and results. A run is `lost` when
    its wrapper was killed: it is not running and has no end.
    """
    for folder in folders:
        if not os.path.exists(folder):
            raise UsageError(
                f"capsule runs: there is no {folder}", hint="Name a folder that exists."
            )
    runs = find_runs(folders or _find_default_folders())
    if as_json:
        click.echo(json.dumps([run.describe() for run in runs], indent=2))
    elif not runs:
        click.echo("No runs were found.", err=True)
    else:
        _print(runs)
    return 0


def _find_default_folders() -> list[str]:
    loaded = load_settings({}, os.environ, find_code_folder((), get_cwd()))
    paths = {
        kind: find_folder(kind, getattr(loaded.settings, kind), "", cwd=get_cwd()).path
        for kind in ("scratch", "results")
    }
    return find_default_folders(paths["scratch"], paths["results"], os.environ)


def _print(runs: list[RunSummary]) -> None:
    width = min(40, max(len(run.process_name or "-") for run in runs))
    head = f"{'status':<8}  {'run':<24}  {'process':<{width}}  {'started (UTC)':<19}"
    click.echo(click.style(f"{head}  {'took':>12}  log", bold=True))
    for run in runs:
        status = click.style(f"{run.status:<8}", fg=_COLOURS.get(run.status))
        started = (run.started_at or "-")[:19].replace("T", " ")
        took = "-" if run.duration_s is None else format_duration(run.duration_s)
        name = (run.process_name or "-")[:width]
        row = f"{status}  {run.run_id:<24}  {name:<{width}}  {started:<19}  {took:>12}  {run.log}"
        click.echo(row)
        if run.error_type:
            click.echo(f"{'':<8}  {format_reason(run)}")


def format_reason(run: RunSummary) -> str:
    """Return the exit status and the reason behind it, on one line."""
    reason = describe_failure(run.error_type, run.error_message)
    reason = " ".join(escape_controls(reason).split())
    if isinstance(run.exit_code, int) and not reason.startswith("Ended with exit status"):
        reason = f"exit status {run.exit_code}: {reason}"
    if len(reason) <= _REASON_CHARACTERS:
        return reason
    return reason[: _REASON_CHARACTERS - len(CUT_MARK)] + CUT_MARK
