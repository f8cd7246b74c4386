"""Whether `PIPELINE_URL` is a pipeline's or the image's."""

from __future__ import annotations

from pathlib import Path

import pytest

from aind_capsule.context.image_variables import is_pipeline_url_of_image
from aind_capsule.context.pipeline_task import PipelineTask
from aind_capsule.context.platform import CODE_OCEAN, CONTAINER, PIPELINE_TASK, WORKSTATION
from tests.context.trees import write_tree

URL = {"PIPELINE_URL": "https://h/x"}
NAMED = {**URL, "PIPELINE_NAME": "ephys"}
FIRST = "PATH=/bin\0PIPELINE_URL=https://h/x\0"


@pytest.mark.parametrize(
    ("environ", "mode", "first", "expected"),
    [
        (URL, WORKSTATION, FIRST, False),
        (URL, CODE_OCEAN, "", True),
        (NAMED, CODE_OCEAN, "", True),
        ({}, CODE_OCEAN, FIRST, False),
        ({"PIPELINE_URL": "undefined"}, CODE_OCEAN, FIRST, False),
        (URL, CONTAINER, FIRST, True),
        (URL, CONTAINER, "PIPELINE_URL=https://h/xy\0", False),
        (URL, CONTAINER, None, False),
        (NAMED, CONTAINER, FIRST, False),
    ],
)
def test_outside_of_pipelines(
    tmp_path: Path, environ: dict[str, str], mode: str, first: str | None, expected: bool
) -> None:
    """The platform's plain runs have it of the image alone; in a container process 1 shows it."""
    write_tree(tmp_path, {} if first is None else {"1/environ": first})
    assert is_pipeline_url_of_image(environ, mode, None, proc_root=tmp_path) is expected


@pytest.mark.parametrize(
    ("engine", "command", "first", "expected"),
    [
        ('export PIPELINE_URL="https://h/x"', "./run", FIRST, False),
        ("export PIPELINE_NAME=x", "export PIPELINE_URL=https://h/x", FIRST, False),
        ("export PIPELINE_NAME=x", "./run", "", True),
        (None, "./run", FIRST, True),
        (None, "./run", "", False),
    ],
)
def test_in_a_task(
    tmp_path: Path, engine: str | None, command: str, first: str, expected: bool
) -> None:
    """The scripts say what the pipeline sets; where the engine's is not there, process 1 does."""
    write_tree(tmp_path, {"1/environ": first, ".command.sh": command})
    if engine is not None:
        write_tree(tmp_path, {".command.run": engine})
    task = PipelineTask(
        "test",
        str(tmp_path),
        str(tmp_path / ".command.sh"),
        None if engine is None else str(tmp_path / ".command.run"),
    )
    answer = is_pipeline_url_of_image(NAMED, PIPELINE_TASK, task, proc_root=tmp_path)
    assert answer is expected
