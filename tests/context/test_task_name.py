"""How a pipeline calls the process of a task."""

from __future__ import annotations

from pathlib import Path

import pytest

from aind_capsule.context.task_name import find_process_of_task, read_task_name

#: As the engine writes it, version 23 and later; up to 22; with a batch system's options before it.
NEW = "#!/bin/bash\n### ---\n### name: '{}'\n### container: 'x:1'\n### ...\nset -e\n"
OLD = "#!/bin/bash\n# NEXTFLOW TASK: {}\nset -e\n"
SLURM = "#!/bin/bash\n#SBATCH -J nf-x_(1)\n#SBATCH -t 25:00:00\n#NEXTFLOW TASK: {}\nset -e\n"


@pytest.mark.parametrize(
    ("task", "process"),
    [
        ("capsule_work_2 (capsule-2222222)", "work"),
        ("capsule_aind_ephys_preprocessing_4 (capsule-0874799)", "aind_ephys_preprocessing"),
        ("capsule_aind_z_1_pipeline_dispatcher_5 (capsule-1)", "aind_z_1_pipeline_dispatcher"),
        ("capsule_aind_destripe_shadow_correction_005_5 (capsule-1)",
         "aind_destripe_shadow_correction_005"),
        ("capsule_run_capsule_1 (capsule-1)", "run_capsule"),
        ("MAIN:SUB:capsule_x_1 (a)", "x"),
        ("MAIN:sorting (s06)", "sorting"),
        ("job_dispatch", "job_dispatch"),
        ("preprocessing (12)", "preprocessing"),
        ("sorting_2 (1)", "sorting_2"),
        ("capsule (1)", "capsule"),
        ("work (it's (a) tag: x)", "work"),
        ("capsule_4 (capsule-1)", None),
        ("capsule__4 (capsule-1)", None),
        ("(3)", None),
    ],
)  # fmt: skip
def test_the_process_of_a_task(tmp_path: Path, task: str, process: str | None) -> None:
    """The process alone: no number of the instance, no tag, no scope, no number in the pipeline."""
    assert find_process_of_task(task) == process
    for number, form in enumerate((NEW, OLD, SLURM)):
        script = tmp_path / str(number)
        script.write_text(form.format(task))
        assert read_task_name(str(script)) == process


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#!/bin/bash\nset -e\n",
        "#!/bin/bash\necho '### name: x'\n",
        "### name: \n",
        "#" * 70_000 + "\n### name: 'far'\n",
    ],
)
def test_a_script_without_a_name(tmp_path: Path, text: str) -> None:
    """A script that names nothing, or too late, has no name; a missing one or a folder neither."""
    script = tmp_path / "run"
    script.write_text(text)
    assert read_task_name(str(script)) is None
    assert read_task_name(str(tmp_path)) is None
    assert read_task_name(str(tmp_path / "missing")) is None


def test_what_follows_the_name_is_not_read(tmp_path: Path) -> None:
    """A script of any length and encoding: a task with many inputs has a long one."""
    script = tmp_path / "run"
    script.write_bytes(NEW.format("work (1)").encode() + b"ln -s \xff\n" * 300_000)
    assert read_task_name(str(script)) == "work"
