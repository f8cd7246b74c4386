"""`capsule push [PATH…]`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from aind_capsule.cli.help import CapsuleCommand
from aind_capsule.context.folders import find_folder, get_cwd
from aind_capsule.errors import CapsuleError, LogFileError, SettingsError, UsageError
from aind_capsule.history.runs import find_default_folders, find_logs
from aind_capsule.logs.convert import convert_log, is_own_log
from aind_capsule.logs.foreign_file import find_stem
from aind_capsule.logs.place import find_bases, open_base
from aind_capsule.logs.screen import Screen, find_screen
from aind_capsule.logs.stderr import find_stderr
from aind_capsule.records.redaction.redactor import Redactor
from aind_capsule.settings.load import find_code_folder, load_settings
from aind_capsule.settings.model import Settings
from aind_capsule.settings.values import parse_fields
from aind_capsule.shipping.catch_up import catch_up, update_run_json
from aind_capsule.shipping.delivery import Delivery
from aind_capsule.shipping.places import find_original, find_run_id, find_state_folder
from aind_capsule.shipping.registry import find_kinds
from aind_capsule.shipping.report import count_owed

EXIT_OWED = 74
_SHOW_EVERY_S = 0.2


@click.command(
    "push",
    cls=CapsuleCommand,
    groups={
        "Logs of other programs": ("--process-name", "--pipeline-name", "--field", "--timezone")
    },
    statuses={
        "0": "every record was delivered",
        "2": "the command line cannot be understood",
        "74": "some records are still to be delivered",
        "78": "no destination is configured, or capsule.toml cannot be read",
    },
    examples=("capsule push --all", "capsule push results/"),
)
@click.option("--all", "takes_all", is_flag=True, help="Push every run of this machine.")
@click.option("--process-name", metavar="NAME", help="Process that they are logs of.")
@click.option("--pipeline-name", metavar="NAME", help="Pipeline of that process.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="Add a field to every record. Repeatable.",
)
@click.option(
    "--timezone",
    default="UTC",
    show_default=True,
    metavar="ZONE",
    help="Zone of times that name none, such as US/Pacific or -08:00.",
)
@click.option(
    "--wait",
    "give_up_s",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up on a server that has accepted nothing for this long.",
)
@click.argument("paths", nargs=-1, metavar="[PATH…]")
def command(
    paths: tuple[str, ...],
    *,
    takes_all: bool,
    process_name: str | None,
    pipeline_name: str | None,
    fields: tuple[str, ...],
    timezone: str,
    give_up_s: float,
) -> int:
    """Send the records of logs that the configured servers do not have yet.

    PATH is a log or a folder of runs. Records that have arrived are not sent again; if one is, the
    server stores it once. Logs of other programs are converted first.
    """
    if bool(paths) == takes_all:
        raise UsageError(
            "capsule push: name logs or folders, or give --all",
            hint="For example: capsule push results/",
        )
    cwd = get_cwd()
    loaded = load_settings({}, os.environ, find_code_folder((), cwd))
    settings = loaded.settings
    redactor = Redactor.from_settings(settings, os.environ)
    for problem in loaded.problems:
        text = redactor.redact_text(f"{problem.message}. {problem.hint}")
        click.echo(f"capsule push: {text}", err=True)
    if not find_kinds(settings):
        raise SettingsError(
            "capsule push: no destination is configured",
            hint="Set one, such as CAPSULE_LOKI__URL=http://host:3100.",
        )
    scratch = find_folder("scratch", settings.scratch, loaded.sources["scratch"], cwd=cwd).path
    push = Push(settings, scratch, give_up_s)
    if takes_all:
        folders = find_default_folders(scratch, "", os.environ)
        return push.push(find_logs(folder for folder in folders if folder))
    try:
        given = parse_fields(fields)
    except ValueError as error:
        raise UsageError(
            f"capsule push: --field {' '.join(fields)} cannot be understood",
            hint=f"Give {error}, such as --field subject_id=123456.",
        ) from error
    given |= {"process_name": process_name, "pipeline_name": pipeline_name}
    given = {name: value for name, value in given.items() if value is not None}
    converter = Converter(settings, given, timezone, redactor)
    status = push.push(_find_named(paths, converter))
    return EXIT_OWED if converter.failed else status


def _find_named(paths: Iterable[str], converter: Converter) -> Iterator[str]:
    """The logs that the paths name; others' are converted."""
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(f"capsule push: there is no {path}", hint="Name a log or a folder.")
    for path in paths:
        if os.path.isdir(path):
            logs = list(find_logs([path]))
            if not logs:
                click.echo(
                    f"{path}: no log of a run is in it; name other programs' logs file by file",
                    err=True,
                )
            yield from logs
        elif is_own_log(path):
            yield os.path.abspath(path)
        else:
            log = converter.convert(path)
            if log is not None:
                yield log


@dataclass(slots=True)
class Converter:
    """Makes logs of ours out of other programs'.

    Attributes:
        settings: What the records bear where neither the log nor `fields` tells it.
        fields: What every record bears.
        timezone: Of times that name none.
        redactor: Hides secrets.
        failed: Logs that could not be converted; people have been told.
    """

    settings: Settings
    fields: dict[str, Any]
    timezone: str
    redactor: Redactor
    failed: int = 0

    def convert(self, path: str) -> str | None:
        """The path of the converted log, or None."""
        usual = {
            "process_name": self.settings.process_name or find_stem(path),
            "pipeline_name": self.settings.pipeline_name,
        }
        usual = {name: value for name, value in usual.items() if value is not None}
        base = find_writable_base()
        try:
            converted = convert_log(
                path, base, self.fields, self.redactor, usual=usual, timezone=self.timezone
            )
        except LogFileError as error:
            self.failed += 1
            click.echo(f"capsule push: {error.message}. {error.hint}", err=True)
            return None
        click.echo(f"{path}: {converted.records:,} records, as {converted.path}", err=True)
        return converted.path


def find_writable_base() -> str:
    """The folder in which converted logs get their folders.

    Raises:
        UsageError: There is none.
    """
    for base in find_bases(None, os.environ):
        with contextlib.suppress(OSError):
            open_base(base).close()
            return base
    raise UsageError(
        "capsule push: there is no folder for converted logs", hint="Set XDG_STATE_HOME."
    )


@dataclass(slots=True)
class Push:
    """Delivers logs, oldest first, and shows how it goes.

    Attributes:
        settings: Where to.
        scratch: Where run folders may be.
        give_up_s: When a server is given up.
    """

    settings: Settings
    scratch: str | None
    give_up_s: float
    _given_up: set[str] = field(default_factory=set)
    _shown_at: float = 0.0
    _screen: Screen = field(default_factory=lambda: find_screen(find_stderr(), os.environ))

    def push(self, logs: Iterable[str]) -> int:
        """Deliver; returns the exit status."""
        by_run: dict[str, str] = {}
        for log in logs:
            original = find_original(log, self.scratch, os.environ)
            by_run.setdefault(find_run_id(original) or original, original)
        if not by_run:
            click.echo("No logs were found.", err=True)
        is_all_there = True
        for _, log in sorted(by_run.items()):
            is_all_there = self._push_one(log) and is_all_there
        return 0 if is_all_there else EXIT_OWED

    def _push_one(self, log: str) -> bool:
        rows: dict[str, dict[str, Any]] = {}
        folder = find_state_folder(log, os.environ)
        for kind in find_kinds(self.settings):
            if kind.name in self._given_up:
                rows[kind.name] = {"problem": "given up, see above"}
                continue
            try:
                rows[kind.name], is_down = catch_up(
                    log,
                    folder,
                    kind,
                    self.settings,
                    os.environ,
                    give_up_s=self.give_up_s,
                    tell=self._show,
                )
                if is_down:
                    self._given_up.add(kind.name)
            except CapsuleError as error:
                rows[kind.name] = {"problem": f"{error.message}. {error.hint}"}
            except OSError as error:
                rows[kind.name] = {"problem": str(error)}
        self._clear()
        told = {name: row for name, row in rows.items() if "address" in row and "owed" in row}
        try:
            update_run_json(log, told)
        except OSError as error:
            click.echo(f"capsule push: {error}", err=True)
        for name, row in rows.items():
            click.echo(f"{os.path.basename(log)}  {name}: {_describe(row)}")
        return all(row.get("owed", 1) == 0 for row in rows.values())

    def _show(self, delivery: Delivery) -> None:
        """A line that is written over, on a terminal."""
        if not self._screen.moves_cursor or time.monotonic() - self._shown_at < _SHOW_EVERY_S:
            return
        self._shown_at = time.monotonic()
        settled = delivery.progress.settled
        total = settled + count_owed(delivery.place.log, delivery.progress)
        state = f"  {delivery.problem}" if delivery.problem else ""
        text = f"{delivery.destination.name}: {settled:,} of {total:,} records{state}"
        sys.stderr.write(f"\r\x1b[K{text[: (self._screen.count_columns() or 100) - 1]}")
        sys.stderr.flush()

    def _clear(self) -> None:
        if self._screen.moves_cursor:
            sys.stderr.write("\r\x1b[K")


def _describe(row: dict[str, Any]) -> str:
    if row.get("in_use"):
        return "another process is delivering it"
    if "owed" not in row:
        return str(row["problem"])
    parts = [f"{row['delivered']:,} delivered", f"{row['owed']:,} owed"]
    if row["set_aside"]:
        why = row["set_aside_reason"]
        parts.append(f"{row['set_aside']:,} set aside ({why}) in {row['set_aside_file']}")
    if row.get("maybe_double"):
        parts.append(f"{row['maybe_double']:,} perhaps twice")
    if row.get("problem") and row["owed"]:
        parts.append(row["problem"])
    return ", ".join(parts)
