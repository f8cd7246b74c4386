"""Contents of `run.json`, whole and damaged, for the tests of provenance."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

RUN: dict[str, Any] = {
    "format": 1,
    "run_id": "20260101T000000-0123abcd",
    "status": "success",
    "process_name": "spike-sorting",
    "pipeline": {"name": "ephys", "version": "2.0", "url": "https://example.org/ephys"},
    "provenance": {
        "experimenters": ["Ada Lovelace"],
        "container": "registry.example.org:5000/aind/ephys:1.2",
        "schema_version": 2,
    },
    "started_at": "2026-01-01T00:00:00.000000Z",
    "ended_at": "2026-01-01T00:01:40.000000Z",
    "command": ["python", "-u", "run_capsule.py", "--threshold", "5"],
    "parameters": {"threshold": "5", "filter.low": 300},
    "folders": {"data": "/data", "results": "/results", "scratch": "/scratch"},
    "exit_code": 0,
    "duration_s": 100.0,
    "input_assets": ["ecephys_123456_2026-01-01_00-00-00"],
    "inputs": [{"name": "ecephys_123456_2026-01-01_00-00-00", "path": "/data/ecephys"}],
    "code": {"url": "https://example.org/sorter", "commit": "0123abcdef", "version": "v1.0"},
    "max_rss_bytes": 2_000_000_000,
    "cpu_s": 100.0,
    "metrics": {"units": 42, "snr": {"median": 5.5}},
    "environment": {
        "machine": {
            "os": "Linux 6.1",
            "architecture": "x86_64",
            "cpu_model": "AMD EPYC",
            "gpu": "NVIDIA A10G",
            "usable_cores": 4,
            "memory_total_bytes": 32_000_000_000,
            "usable_memory_bytes": 16_000_000_000,
        },
        "processing": {"python": "3.11.7"},
    },
}

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def damaged_runs(draw: st.DrawFn) -> dict[str, Any]:
    """A run whose fields are missing or anything, but for its start."""
    run = dict(RUN)
    for name in draw(st.sets(st.sampled_from(sorted(RUN)), max_size=8)) - {"started_at"}:
        if draw(st.booleans()):
            del run[name]
        else:
            run[name] = draw(_VALUES)
    for name in draw(st.sets(st.sampled_from(["provenance", "environment", "code"]), max_size=2)):
        table = run.get(name)
        if isinstance(table, dict) and table:
            key = draw(st.sampled_from(sorted(table)))
            run[name] = {**table, key: draw(_VALUES)}
    return run
