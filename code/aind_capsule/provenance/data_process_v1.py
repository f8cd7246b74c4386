"""A run as one `DataProcess` of aind-data-schema 1 (1.4.0), for pipelines that still need it.

The installed aind-data-schema is the other one and cannot validate this form: `find_faults` knows
its rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aind_capsule.provenance.data_process import (
    Draft,
    choose_process_type,
    drop_unknown,
    find_code_url,
    find_code_version,
)
from aind_capsule.provenance.model.code_notes import is_changed
from aind_capsule.provenance.run_facts import (
    UNKNOWN,
    Gap,
    build_notes,
    clean_keys,
    describe_resources,
    read_list,
    read_table,
    read_text,
    read_times,
)

#: `aind_data_schema_models.process_names.ProcessName` of 0.8.0, which 1.4.0 was released with.
TYPES = (
    "Analysis", "Compression", "Denoising", "dF/F estimation", "Ephys curation",
    "Ephys postprocessing", "Ephys preprocessing", "Ephys visualization", "Fiducial segmentation",
    "File format conversion", "Fluorescence event detection", "Image atlas alignment",
    "Image background subtraction", "Image cell classification", "Image cell quantification",
    "Image cell segmentation", "Image cross-image alignment", "Image destriping",
    "Image flat-field correction", "Image importing", "Image mip visualization",
    "Image thresholding", "Image tile alignment", "Image tile fusing", "Image tile projection",
    "Image spot detection", "Image spot spectral unmixing", "Model evaluation", "Model training",
    "Neuropil subtraction", "Other", "Simulation", "Skull stripping",
    "Spatial timeseries demixing", "Spike sorting", "Video motion correction",
    "Video plane decrosstalk", "Video ROI classification", "Video ROI cross session matching",
    "Video ROI segmentation", "Video ROI timeseries extraction",
)  # fmt: skip
_REQUIRED = ("start_date_time", "end_date_time", "output_location", "code_url")


def draft_data_process_v1(run: Mapping[str, Any]) -> Draft:
    """The record of a run.

    What that form has no place for (experimenters, container, the pipeline's name) is left out, and
    is no gap.

    Raises:
        ValueError: It is not known when the run started, without which there is no record.
    """
    gaps: list[Gap] = []
    start, end = read_times(run)
    kind, kind_notes = choose_process_type(run, TYPES, gaps)
    version, commit = find_code_version(run, gaps)
    process_name = read_text(run, "process_name") or UNKNOWN
    # Where it is another process the notes say which.
    more = [process_name] if kind == "Other" else kind_notes
    dirty = version if is_changed(read_table(run, "code")) else None
    if dirty and commit:  # its only field holds the version
        more.append(f"Commit: {commit}")
    inputs = [entry["path"] for entry in read_list(run, "inputs") if _is_input(entry)]
    content = {
        "name": kind,
        "software_version": version,
        "start_date_time": start,
        "end_date_time": end or start,
        "input_location": inputs or read_text(read_table(run, "folders"), "data") or UNKNOWN,
        "output_location": read_text(read_table(run, "folders"), "results") or UNKNOWN,
        "code_url": find_code_url(run, gaps),
        "code_version": dirty or commit or version,
        "parameters": clean_keys(read_table(run, "parameters")),
        "outputs": clean_keys(read_table(run, "metrics")),
        "notes": build_notes(run, *more),
        "resources": describe_resources(run),
    }
    return Draft(drop_unknown(content), tuple(gaps))


def find_faults(content: Mapping[str, Any]) -> list[str]:
    """What that form's rules have against a record; empty where nothing."""
    faults = [f"{name} is missing" for name in _REQUIRED if not read_text(content, name)]
    if content.get("name") not in TYPES:
        faults.append(f"name {content.get('name')!r} is no process type")
    if content.get("name") == "Other" and not read_text(content, "notes"):
        faults.append("notes must tell which process it is")
    if not content.get("input_location"):
        faults.append("input_location is missing")
    resources = content.get("resources") or {}
    sizes = [name for name in ("system_memory", "ram") if name in resources]
    faults += [
        f"resources.{name}_unit is missing" for name in sizes if f"{name}_unit" not in resources
    ]
    return faults


def _is_input(entry: Any) -> bool:
    return isinstance(entry, Mapping) and bool(read_text(entry, "path"))
