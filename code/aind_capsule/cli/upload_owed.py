"""Uploads that ended early: go on with them, or forget them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import click

from aind_capsule.context.folders import find_folder, get_cwd
from aind_capsule.errors import CapsuleError
from aind_capsule.settings.model import Settings
from aind_capsule.storage.addresses import S3Url
from aind_capsule.upload.open_job import Job, OpenJob, find_job_folders
from aind_capsule.upload.progress import show_bytes


def resume(
    folder: str | None,
    name: str | None,
    settings: Settings,
    do: Callable[[OpenJob, Job], object],
) -> bool:
    """Resume uploads that ended early, and return whether all of them are complete now.

    Args:
        folder: That they are of; None for all.
        name: For those whose name nobody knew.
        settings: They tell where run folders may be.
        do: Does one, and closes it.
    """
    is_whole, found = True, 0
    for path in list(find_job_folders(find_scratch(settings), os.environ)):
        opened = _open_owed(path)
        if opened is None:
            is_whole = False
            continue
        job = opened.job
        if job is None or not _concerns(job, folder):
            opened.close(is_done=job is None)
            continue
        found += 1
        if not job.asset:
            if name is None:
                is_whole = False
                message = (
                    f"capsule upload: {job.source or job.run_folder}: the asset's name is not known"
                )
                hint = f"capsule upload --resume {job.run_folder} --asset-name NAME"
                click.echo(f"{message}\n         {hint}", err=True)
                opened.close(is_done=False)
                continue
            job = dataclasses.replace(job, asset=name)
        click.echo(f"{job.source or job.run_folder} to {job.place}", err=True)
        try:
            do(opened, job)
        except CapsuleError as error:
            is_whole = False
            click.echo(f"capsule upload: {error.message}\n         {error.hint}", err=True)
    if not found and is_whole:
        click.echo("Nothing is owed.", err=True)
    return is_whole


def drop(folder: str, place: S3Url | None, settings: Settings) -> bool:
    """Forget the uploads of a folder, and return whether there were any that could be opened.

    Args:
        folder: It, or a run's folder; it need not be there any more.
        place: Where they go to; None for all.
        settings: They tell where run folders may be.
    """
    is_whole, found = True, 0
    for path in list(find_job_folders(find_scratch(settings), os.environ)):
        opened = _open_owed(path)
        if opened is None:
            is_whole = False
            continue
        job = opened.job
        is_it = (
            job is not None and _concerns(job, folder) and (place is None or job.url == str(place))
        )
        try:
            if job is not None and is_it:
                found += 1
                click.echo(f"{job.source or job.run_folder}: {_describe_dropped(opened, job)}")
        finally:
            opened.close(is_done=is_it or job is None)
    if not found:
        click.echo(f"capsule upload: no upload of {folder} is remembered.", err=True)
    return bool(found) and is_whole


def _describe_dropped(opened: OpenJob, job: Job) -> str:
    """Describe what is forgotten, and what stays on the server."""
    target = opened.journal.target
    if target is None:
        return f"the upload to {job.place if job.asset else job.url} is forgotten; it sent nothing."
    total, begun = opened.journal.count(), opened.journal.find_abandoned()
    text = (
        f"the upload to {job.place} is forgotten. What it wrote stays there: .claim"
        f" and {total.done_files:,} files ({show_bytes(total.done_size)})"
    )
    if begun:
        text += f", and parts of {len(begun):,} objects, such as {begun[0][0]!r}"
    return text + "."


def _open_owed(path: str) -> OpenJob | None:
    """Open a remembered upload. Print why and return None where that is not possible."""
    try:
        return OpenJob(path)
    except CapsuleError as error:
        click.echo(f"capsule upload: {path}: {error.message}. {error.hint}", err=True)
        return None


def _concerns(job: Job, folder: str | None) -> bool:
    """Return whether a job belongs to a folder of results or of a run. None stands for any."""
    if folder is None:
        return True
    places = [place for place in (job.source, job.run_folder) if place is not None]
    return os.path.realpath(folder) in map(os.path.realpath, places)


def find_unnamed(folder: str, place: S3Url, settings: Settings) -> tuple[OpenJob, Job] | None:
    """Return the newest upload of a folder to a place that waits for a name."""
    wanted = os.path.realpath(folder)
    for path in reversed(list(find_job_folders(find_scratch(settings), os.environ))):
        try:
            opened = OpenJob(path)
        except CapsuleError:  # another process does it
            continue
        job = opened.job
        if (
            job is not None
            and job.source is not None
            and (job.asset, job.url, os.path.realpath(job.source)) == ("", str(place), wanted)
        ):
            return opened, job
        opened.close(is_done=job is None)
    return None


def find_scratch(settings: Settings) -> str:
    """Return where run folders may be."""
    source = "--scratch" if settings.scratch else "default"
    return find_folder("scratch", settings.scratch, source, cwd=get_cwd()).path
