"""What is said of pipelines: their names, versions and urls, and what nobody has said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aind_capsule.provenance.gather import Gathered
from aind_capsule.provenance.known_runs import KnownRun
from aind_capsule.provenance.model.processing_file import find_old_pipeline
from aind_capsule.provenance.run_facts import UNKNOWN, read_list, read_table, read_text

_VALUES = ("version", "commit_hash", "url")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the environment of the one who collects says of the pipeline (`PIPELINE_NAME`, …)."""

    name: str | None = None
    version: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """All that is said of pipelines.

    Attributes:
        named: Entries with `name`; one pipeline may be there several times.
        nameless: Entries that tell a version or a url of nobody knows which pipeline.
    """

    named: tuple[Mapping[str, Any], ...]
    nameless: tuple[Mapping[str, Any], ...]


def find_pipelines(found: Gathered, runs: Iterable[KnownRun], pipeline: Pipeline) -> Told:
    """All that is said of pipelines anywhere, the word of the one who collects first.

    Name, version and url may be said by different ones: what has no name is of the one pipeline
    that is collected. What upstream assets say is of theirs.
    """
    told: list[Mapping[str, Any]] = [
        {"name": pipeline.name, "version": pipeline.version, "url": pipeline.url}
    ]
    told += [read_table(run.content, "pipeline") for run in runs]
    for source in found.envelopes:
        entry = read_table(source.content, "pipeline")
        told.append({**read_table(entry, "code"), "name": read_text(entry, "name")})
    names = {name for entry in told if (name := read_text(entry, "name"))}
    nameless = [entry for entry in told if not read_text(entry, "name") and _says_something(entry)]
    named = [entry for entry in told if read_text(entry, "name")]
    if len(names) == 1:
        (name,) = names
        named += [{**entry, "name": name} for entry in nameless]
        nameless = []
    for source in found.processings:
        listed = read_list(source.content, "pipelines")
        named += [entry for entry in listed if isinstance(entry, Mapping)]
        named += filter(None, [find_old_pipeline(source.content)])
    return Told(tuple(map(_drop_none, named)), tuple(nameless))


def describe_missing(processing: Mapping[str, Any], told: Told) -> list[str]:
    """What a record does not say of the pipeline, with the variables that would say it."""
    listed = read_list(processing, "pipelines")
    entries = [*listed, *told.nameless]
    known = {
        "PIPELINE_NAME": bool(listed) and not told.nameless,
        "PIPELINE_VERSION": any(
            read_text(entry, "version") or read_text(entry, "commit_hash") for entry in entries
        ),
        "PIPELINE_URL": any(read_text(entry, "url") not in (None, UNKNOWN) for entry in entries),
    }
    missing = [name for name, is_known in known.items() if not is_known]
    if not missing or not processing.get("data_processes"):
        return []
    words = _list_words(missing)
    names = ", ".join(missing)
    return [f"processing.json does not say the pipeline's {words}: set {names} where it runs"]


def _says_something(entry: Mapping[str, Any]) -> bool:
    return any(read_text(entry, name) for name in _VALUES)


def _drop_none(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


def _list_words(variables: Iterable[str]) -> str:
    words = [name.removeprefix("PIPELINE_").lower() for name in variables]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
