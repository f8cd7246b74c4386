"""The end of a run under the wrapper: canonical record, copies, last `run.json`, delivery.

The order is part of the product (see the documentation, "How a run ends"). Called by `run` when
nothing of the processing is left, or when it may not be started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aind_capsule.frozen import frozen
from aind_capsule.records.timestamps import read_clock_us
from aind_capsule.running import banners
from aind_capsule.running.canonical import build_canonical
from aind_capsule.running.carried import carry_metadata
from aind_capsule.running.delivery import RunDelivery
from aind_capsule.running.files import RunFiles
from aind_capsule.running.finishing.code_warnings import warn_of_code
from aind_capsule.running.finishing.end_wait import EndWait
from aind_capsule.running.inputs import count_results
from aind_capsule.running.journal import Journal, format_line
from aind_capsule.running.outcome import Ended, Outcome
from aind_capsule.running.outlet import Outlet
from aind_capsule.running.prepare import Prepared
from aind_capsule.running.views import ConsoleView

if TYPE_CHECKING:
    from aind_capsule.running.uploading import RunUpload

EXIT_DELIVERY = 74


@frozen
class RunParts:
    """What a run is made of.

    Attributes:
        outlets: Our stdout and stderr.
        upload: The upload of its results, or None.
    """

    prepared: Prepared
    journal: Journal
    files: RunFiles
    console: ConsoleView
    outlets: tuple[Outlet, Outlet]
    delivery: RunDelivery
    upload: RunUpload | None
    wait: EndWait


@frozen
class RunEnding:
    """What is known of a run when its processing has ended.

    Attributes:
        outcome: How it ended.
        ended: What was seen of the end; None where the processing was not started.
        found: What is known of the inputs.
        processing: What the processing's own Python has said about itself.
        resources: What it used, where that was sampled.
        count_oom_kills: Counts processes that the kernel has killed since the start.
    """

    outcome: Outcome
    ended: Ended | None
    found: Mapping[str, Any]
    processing: Mapping[str, Any]
    resources: Mapping[str, Any]
    count_oom_kills: Callable[[], int]


def finish_run(run: RunParts, ending: RunEnding) -> int:
    """Finish a run; returns the wrapper's exit status."""
    prepared, journal, files, upload = run.prepared, run.journal, run.files, run.upload
    outcome = ending.outcome
    results = count_results(prepared.facts.folders["results"])  # before anything of ours
    carried: dict[str, Any] = {}
    if ending.ended is not None and outcome.status != "stopped":
        carried = carry_metadata(prepared, run.wait.wait, journal.log)
    warn_of_code(ending.found, journal.log)
    if upload is not None and ending.ended is not None:
        run.delivery.keep_files(journal, is_over=True)
        more = {**carried, **journal.additions.describe_lists()}

        def describe_end(ended_so: Outcome = outcome) -> dict[str, Any]:
            """What the run's files say of the end, but for the upload."""
            record = journal.build_canonical(_build_canonical(run, ending, ended_so, results))
            content = files.run_json.build(record, ending.found, ending.processing, more=more)
            return {"record": record, "run_json": content}

        outcome = upload.send(outcome, ending.found, describe_end)
    run.delivery.keep_files(journal, is_over=True)
    if files.folder is None:  # it was removed, and nothing takes its place
        run.console.keeps_canonical = True
    canonical = _write_canonical(run, ending, outcome, results)
    files.seal_log()
    log = files.find_log()
    banners.show_end(prepared, outcome, canonical, run.console, files.session, log)
    if ending.ended is None and outcome.status == "fail":
        run.console.show_refusal(canonical)
    _publish(run, ending, canonical, {**carried, **journal.additions.describe_lists()})
    in_task = prepared.task is not None
    if in_task:
        files.finish()
    if run.console.keeps_canonical:
        run.console.write(format_line(canonical, "json"))
    if not in_task:  # what cannot be kept is the last line, but where others read the record
        files.finish()
    run.wait.flush(run.outlets[1])
    return _find_exit_status(run, outcome)


def _write_canonical(
    run: RunParts, ending: RunEnding, outcome: Outcome, results: Mapping[str, int]
) -> dict[str, Any]:
    canonical = run.journal.write_canonical(_build_canonical(run, ending, outcome, results))
    if "canonical_record" in run.journal.lost:  # then it is nowhere else
        run.console.keeps_canonical = True
    return canonical


def _build_canonical(
    run: RunParts, ending: RunEnding, outcome: Outcome, results: Mapping[str, int]
) -> dict[str, Any]:
    prepared, journal = run.prepared, run.journal
    return build_canonical(
        prepared.facts.rename(journal.stated_name),
        outcome,
        ending.ended,
        now_us=read_clock_us(),
        found=ending.found,
        results=results,
        counts=journal.counts,
        lost=journal.get_lost(),
        cut=journal.cut,
        undelivered=run.delivery.count_undelivered(run.files.writer.records),
        oom_kills=ending.count_oom_kills(),
        resources=ending.resources,
        additions=journal.additions,
        taken=journal.fields,
        upload={} if run.upload is None else run.upload.describe(),
        lost_output={out.name: out.lost_bytes for out in run.outlets if out.lost_bytes},
    )


def _publish(
    run: RunParts, ending: RunEnding, canonical: Mapping[str, Any], more: dict[str, Any]
) -> None:
    """Write `run.json` and copy the run files into results, then finish upload and delivery.

    Args:
        more: What `run.json` says beyond the canonical record.
    """
    files, upload, found, processing = run.files, run.upload, ending.found, ending.processing
    is_last = not run.delivery.is_on and upload is None
    if files.has_data_process:
        files.run_json.write(canonical, found, processing, more=more)
        more |= files.make_data_process(
            run.wait.wait, run.console.advise, stopped_s_ago=run.wait.count_stopped_s()
        )
    files.run_json.write(canonical, found, processing, is_last=is_last, more=more)
    files.publish()
    if upload is not None:
        more = {**more, "upload": upload.commit() or None}
    if run.delivery.is_on:
        run.delivery.start()  # where the processing could not be started there is none yet
        report = run.delivery.finish(run.wait.count_stopped_s(), run.wait.wait)
        more = {**more, "delivery": report}
    files.keep_after_end()
    if not is_last:
        files.run_json.write(canonical, found, processing, is_last=True, more=more)
        files.publish(("run",))
    files.remove_old_runs()


def _find_exit_status(run: RunParts, outcome: Outcome) -> int:
    if run.upload is not None and run.upload.has_failed and not outcome.wrapper_status:
        return EXIT_DELIVERY
    is_whole = not run.journal.get_lost() and not run.files.failures
    if run.prepared.settings.strict and outcome.wrapper_status == 0 and not is_whole:
        return EXIT_DELIVERY
    return outcome.wrapper_status
