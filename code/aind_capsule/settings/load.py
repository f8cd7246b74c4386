"""Read the settings: flag > environment > `capsule.toml` > the user's file > default.

Called by the command line and by `configure_logging`. Never prints: what is wrong comes back as
problems, and the caller decides whether they stop anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aind_capsule.errors import SettingsError
from aind_capsule.frozen import frozen
from aind_capsule.settings.model import ROWS, Row, Settings, build_settings
from aind_capsule.settings.names import find_nearest, find_suspicious_variables

FILE_NAME = "capsule.toml"
#: Where docker and others put secrets.
_SECRETS_FOLDER = "/run/secrets"
_MAX_SECRET_CHARACTERS = 64 * 1024
_URL_USER = r"//[^/@\s]*@"


@frozen
class Problem:
    """Something in the settings that is not as it should be, and what to do about it.

    Attributes:
        key: The setting that has a wrong value, where it is one.
    """

    message: str
    hint: str
    is_error: bool
    is_fatal: bool = False
    key: str | None = None


@frozen
class LoadedSettings:
    """The settings with where each value comes from, and what was wrong on the way."""

    settings: Settings
    sources: Mapping[str, str]
    problems: tuple[Problem, ...] = ()
    code_folder: str | None = None


class _Collected:
    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.wrong: dict[str, Row] = {}


def find_code_folder(scripts: Iterable[str], cwd: str, platform_code: str = "/code") -> str | None:
    """Return the folder of `capsule.toml`, or None.

    It counts where the processing's own program lies in that folder, where it is the working
    directory, and where it is the platform's. A program in a folder below `code` lies in `code`.

    Args:
        scripts: The program's file, and the same without links; empty for a command that has none.
        cwd: The working directory.
        platform_code: The platform's code folder, which holds one capsule and no other.
    """
    beside: list[str] = []
    for script in scripts:
        folder = os.path.dirname(os.path.normpath(os.path.join(cwd, script)))
        above = folder
        while os.path.basename(above) not in ("", "code"):
            above = os.path.dirname(above)
        beside += [folder, above] if os.path.basename(above) else [folder]
    for folder in (*beside, cwd, platform_code):
        if os.path.lexists(os.path.join(folder, FILE_NAME)):
            return folder
    return None


def find_user_file(environ: Mapping[str, str]) -> str | None:
    """The user's own settings: `~/.config/aind-capsule/capsule.toml`, or below XDG_CONFIG_HOME."""
    base = environ.get("XDG_CONFIG_HOME")
    if not base:
        home = environ.get("HOME")
        base = os.path.join(home, ".config") if home else None
    return os.path.join(base, "aind-capsule", FILE_NAME) if base else None


def load_settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    code_folder: str | None,
) -> LoadedSettings:
    """Read all sources.

    Args:
        flags: Values by key (`log.level`) that the command line gave.
        environ: The environment.
        code_folder: Where `capsule.toml` is, if anywhere.

    Raises:
        SettingsError: `capsule.toml` is there and cannot be read.
    """
    found = _Collected()
    user_file = find_user_file(environ)
    if user_file is not None and os.path.isfile(user_file):
        try:
            _take_file(found, user_file, is_capsules=False)
        except SettingsError as error:
            found.problems.append(Problem(error.message, error.hint, is_error=True))
    if code_folder is not None:
        _take_file(found, os.path.join(code_folder, FILE_NAME), is_capsules=True)
    for row in ROWS:
        name = next((name for name in row.env if environ.get(name, "") != ""), None)
        if name is not None:
            _take(found, row, environ[name], name)
    _take_secrets(found)
    for row in ROWS:
        if flags.get(row.key) is not None:
            _take(found, row, flags[row.key], row.flag)
    for row in found.wrong.values():
        if row.switch is not None:  # half-configured, it would go elsewhere or without protection
            found.given.pop(row.switch, None)
            found.sources.pop(row.switch, None)
    found.problems += _find_variable_problems(environ)
    sources = {row.key: found.sources.get(row.key, "default") for row in ROWS}
    return LoadedSettings(build_settings(found.given), sources, tuple(found.problems), code_folder)


def _take(found: _Collected, row: Row, value: Any, source: str) -> None:
    try:
        parsed = row.parse(value)
    except (ValueError, TypeError, OverflowError) as error:
        found.wrong[row.key] = row
        before = found.given.get(row.key, row.default)
        kept = f"{row.key} is {'not set' if before is None else repr(before)}"
        if row.switch is not None:
            kept = f"nothing goes to {row.switch}"
        shown = (
            "not shown" if row.is_secret else re.sub(_URL_USER, "//[redacted]@", f"{value!r:.200}")
        )
        found.problems.append(
            Problem(
                f"{source}: {row.key} is {shown}; expected {error}",
                f"Correct or remove it. Until then {kept}.",
                is_error=True,
                is_fatal=row.is_fatal,
                key=row.key,
            )
        )
        return
    if isinstance(row.default, dict):
        parsed = {**found.given.get(row.key, {}), **parsed}
    found.wrong.pop(row.key, None)
    found.given[row.key] = parsed
    found.sources[row.key] = source


def _take_file(found: _Collected, path: str, *, is_capsules: bool) -> None:
    rows = {row.key: row for row in ROWS}
    for key, value in _flatten(_read_toml(path), rows):
        row = rows.get(key)
        if row is None:
            meant = find_nearest(key, rows)
            hint = f"Did you mean {meant!r}?" if meant else "`capsule settings` lists the names."
            problem = Problem(f"{path}: there is no setting {key!r}", hint, is_error=False)
            found.problems.append(problem)
        elif row.file_only and not is_capsules:
            message = f"{path}: {key!r} is read from the capsule's own {FILE_NAME} only"
            found.problems.append(
                Problem(message, f"Put it into code/{FILE_NAME}.", is_error=False)
            )
        elif row.is_secret:
            found.problems.append(
                Problem(
                    f"{path}: {key!r} is secret and is not read from a file that is shared",
                    f"Give it by {row.env[0]}, or as a file of that name in a folder of secrets.",
                    is_error=True,
                )
            )
        else:
            _take(found, row, value, path)


def _take_secrets(found: _Collected) -> None:
    """Secrets that no variable gives, from files that are named like the variables."""
    folder = found.given.get("secrets_folder")
    if folder is None:
        if not os.path.isdir(_SECRETS_FOLDER):
            return
        folder = _SECRETS_FOLDER
    for row in ROWS:
        if not row.is_secret or row.key in found.given:
            continue
        for name in (row.env[0], row.env[0].lower()):
            path = os.path.join(folder, name)
            try:
                with open(path, encoding="utf-8") as file:
                    text = file.read(_MAX_SECRET_CHARACTERS + 1)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                found.problems.append(
                    Problem(f"{path} cannot be read: {reason}", "Make it readable, or remove it.",
                            is_error=True)
                )  # fmt: skip
                break
            if len(text) > _MAX_SECRET_CHARACTERS:
                hint = "Put the secret alone into it."
                found.problems.append(Problem(f"{path} is too long", hint, is_error=True))
            else:
                _take(found, row, text, path)
            break


def _flatten(
    table: Mapping[str, Any], rows: Mapping[str, Row], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in rows:
            yield from _flatten(value, rows, f"{key}.")
        else:
            yield key, value


def _read_toml(path: str) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        try:
            import tomli as tomllib
        except ImportError as error:
            raise SettingsError(
                f"{path} cannot be read: tomli is not installed", hint="Run `pip install tomli`."
            ) from error
    try:
        with open(path, "rb") as file:
            table: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}", hint="Make it readable, or remove it."
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"{path} is not valid TOML: {error}", hint="Correct the line that it names."
        ) from error
    return table


def _find_variable_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    for name, meant in find_suspicious_variables(environ):
        hint = f"Did you mean {meant}?" if meant else "`capsule settings` lists the variables."
        yield Problem(f"Unknown environment variable {name}", hint, is_error=False)
