"""How a pipeline calls the process that a task is an instance of.

Called by `running`. Source: the engine's own task script `.command.run`, versions 19 to 25, and the
process names that the platform generates, `capsule_<name>_<number in the pipeline>`.
"""

from __future__ import annotations

import re

from aind_capsule.context.files import read_head

#: The engine writes the name before everything that grows with the inputs.
_MAX_BYTES = 64 * 1024
_TASK = re.compile(r"^(?:### name: *(?P<new>.+?)|# ?NEXTFLOW TASK: *(?P<old>.+?)) *$", re.MULTILINE)
_GENERATED = re.compile(r"capsule_(?P<name>.*?)_?\d+")


def read_task_name(engine_script: str) -> str | None:
    """Return the name of a task's process, as its `.command.run` says it, or None."""
    match = _TASK.search(read_head(engine_script, _MAX_BYTES))
    if match is None:
        return None
    return find_process_of_task((match["new"] or match["old"]).strip("'\""))


def find_process_of_task(task_name: str) -> str | None:
    """Return the process of a task, without what differs from one task or pipeline to the next.

    >>> find_process_of_task("capsule_aind_ephys_preprocessing_4 (capsule-0874799)")
    'aind_ephys_preprocessing'
    >>> find_process_of_task("MAIN:SUB:capsule_work_1 (3)"), find_process_of_task("job_dispatch")
    ('work', 'job_dispatch')
    >>> find_process_of_task("capsule_4 (capsule-1)"), find_process_of_task(" (3)")
    (None, None)
    """
    process = task_name.partition("(")[0].strip().rpartition(":")[2]
    generated = _GENERATED.fullmatch(process)
    return (generated["name"] if generated else process) or None
