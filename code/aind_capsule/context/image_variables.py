"""What the image of a container says by its variables: of the code, and wrongly of a pipeline.

Capsules of AIND have `ENV VERSION` and `ENV CODE_URL` in their images. `PIPELINE_URL` is the
pipeline's word, set for its tasks by the engine: one that is in the image is no pipeline's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aind_capsule.context.code_addresses import strip_credentials
from aind_capsule.context.files import read_head
from aind_capsule.context.pipeline_task import PipelineTask
from aind_capsule.context.platform import CODE_OCEAN, WORKSTATION, read_variable
from aind_capsule.context.procfs import PROC

if TYPE_CHECKING:
    from pathlib import Path

CODE_VERSION = "VERSION"
CODE_URL = "CODE_URL"
PIPELINE_URL = "PIPELINE_URL"
PIPELINE_URL_HINT = "Set it in the env of the pipeline's nextflow.config, and CODE_URL in the image"
_MAX_BYTES = 1024 * 1024
#: No sentence, such as the version of an operating system.
_VERSION = re.compile(r"(?=.*\d)[\w.+-]{1,64}", re.ASCII)


def read_image_version(environ: Mapping[str, str], *, is_container: bool) -> str | None:
    """Return the version of the code that an image states.

    On a workstation the variable may be anybody's, unless that of the address is there too.
    """
    version = read_variable(environ, CODE_VERSION) or ""
    is_images = is_container or read_image_url(environ) is not None
    return version if is_images and _VERSION.fullmatch(version) else None


def read_image_url(environ: Mapping[str, str]) -> str | None:
    """Return the address of the code that an image states, without credentials."""
    return strip_credentials(read_variable(environ, CODE_URL))


def is_pipeline_url_of_image(
    environ: Mapping[str, str],
    run_mode: str,
    task: PipelineTask | None,
    *,
    proc_root: Path | str = PROC,
) -> bool:
    """Return whether `PIPELINE_URL` was set by the image, and by no pipeline.

    The engine's script exports what a pipeline sets. Where there is none to read, what process 1 of
    a container was started with is the image's. Without a pipeline a plain run on the platform has
    it of nobody else, and elsewhere a name beside it makes it somebody's statement.

    Args:
        environ: The environment.
        run_mode: The run's mode.
        task: The pipeline task that the run is, if any.
        proc_root: Where /proc is.
    """
    if run_mode == WORKSTATION or read_variable(environ, PIPELINE_URL) is None:
        return False
    if task is not None:
        scripts = [path for path in (task.engine_script, task.command_script) if path is not None]
        if task.engine_script is not None:
            return not any(PIPELINE_URL in read_head(path, _MAX_BYTES) for path in scripts)
    elif run_mode == CODE_OCEAN:
        return True
    elif read_variable(environ, "PIPELINE_NAME") is not None:
        return False
    return is_variable_of_process_1(PIPELINE_URL, environ, proc_root=proc_root)


def describe_pipeline_url_of_image(url: str | None) -> str:
    """Return what is wrong with a `PIPELINE_URL` of the image, for people."""
    return f"PIPELINE_URL does not count: the image sets it ({url}), no pipeline"


def is_variable_of_process_1(
    name: str, environ: Mapping[str, str], *, proc_root: Path | str = PROC
) -> bool:
    """Return whether a container was started with a variable's value, which nobody set later."""
    try:
        with open(os.path.join(proc_root, "1", "environ"), "rb") as file:
            variables = file.read(_MAX_BYTES).split(b"\0")
    except OSError:
        return False
    return os.fsencode(f"{name}={environ.get(name, '')}") in variables
