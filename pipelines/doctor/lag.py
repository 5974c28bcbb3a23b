"""Work that is overdue. The check reads notes in the lake, and no table."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from components.export_for_labeling.status import NAME as EXPORT
from components.export_for_labeling.status import BatchStatus
from components.ingest_images.status import LABELED, UNLABELED, IngestStatus
from components.lake.ingests import PLANS_FOLDER
from components.score_images.state import NAME as SCORING
from components.score_images.state import ScoringState
from components.storage import uri
from components.storage.notes import read_note
from pipelines.catalogue import PipelineName
from pipelines.deployment.cron import latest_before, parse_cron
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, guarded, ok, warning
from pipelines.platform import SPARK

# A run may take as long as the time limit of its Spark tasks.
_ALLOWED = timedelta(seconds=SPARK.timeout_seconds)
_INGESTS = {PipelineName.TRAINING: LABELED, PipelineName.SCORING: UNLABELED}


def check_lag(context: Context) -> Iterator[Finding]:
    """Yield findings about late ingest and scoring, open batches and plans."""
    now = datetime.now(UTC)
    for pipeline, kind in _INGESTS.items():
        crons = [run.cron for run in context.runs if run.pipeline is pipeline and run.cron]
        yield from guarded(partial(ingest_of, context, kind, crons, now))
    yield from guarded(partial(scoring, context))
    yield from guarded(partial(_export, context))
    yield from guarded(partial(plans, context, now))


def ingest_of(context: Context, kind: str, crons: list[str], now: datetime) -> Iterator[Finding]:
    """Yield findings about the newest ingest.

    Args:
        context: The installation.
        kind: `LABELED` or `UNLABELED`.
        crons: Cron expressions of its recurring runs.
        now: The present time, in UTC.
    """
    status = IngestStatus.read(context.root, kind, context.files)
    dues = [due for cron in crons if (due := latest_before(parse_cron(cron), now - _ALLOWED))]
    due = max(dues, default=None)
    if status is None:
        if due is None:
            yield ok(f"lag: no ingest of {kind} images has ended yet.")
        else:
            yield warning(
                f"lag: no ingest of {kind} images has ended yet, but one was due at {_time(due)}.",
                "If the installation is older than that, look at the run in Kubeflow Pipelines' UI.",
            )
        return
    what = f"lag: the newest ingest of {kind} images ended at {_time(status.finished_at)}"
    if due is not None and status.finished_at < due:
        yield warning(f"{what}, but one was due at {_time(due)}.", "Look at the newest run in Kubeflow Pipelines' UI.")
        return
    yield ok(f"{what}.")


def scoring(context: Context) -> Iterator[Finding]:
    """Yield the finding about how far scoring is behind ingest."""
    state = read_note(context.root, SCORING, ScoringState, context.files) or ScoringState()
    model = state.models.get(context.settings.model_name)
    until = model.scored_until if model else None
    ingested = IngestStatus.read(context.root, UNLABELED, context.files)
    if until is None:
        yield ok(f"lag: '{context.settings.model_name}' has scored no images yet.")
        return
    if ingested is not None and ingested.finished_at - until.replace(tzinfo=UTC) > timedelta(days=1) + _ALLOWED:
        yield warning(
            f"lag: images that were ingested until {_time(until)} are scored, but an ingest ended at"
            f" {_time(ingested.finished_at)}.",
            "Run the scoring pipeline. If it runs, look for an open plan, which holds scoring back.",
        )
        return
    yield ok(f"lag: images that were ingested until {_time(until)} are scored.")


def plans(context: Context, now: datetime) -> Iterator[Finding]:
    """Yield a warning for each old plan of an ingest that was not completed.

    Args:
        context: The installation.
        now: The present time, in UTC.
    """
    for name, status in context.files.find(uri.join(context.root, PLANS_FOLDER)).items():
        if now - status.modification_time > _ALLOWED:
            yield warning(
                f"lag: the ingest with the plan '{PLANS_FOLDER}/{name}' of {_time(status.modification_time)} was not"
                " completed.",
                "Run ingest again for its landing folder. If you no longer ingest that folder, remove the plan.",
            )


def _export(context: Context) -> Iterator[Finding]:
    batch = read_note(context.root, EXPORT, BatchStatus, context.files)
    if batch is not None and not batch.finished:
        yield warning(
            f"lag: the batch '{batch.batch}' was not exported completely to '{batch.destination}'.",
            "Run the scoring pipeline again: the export completes it.",
        )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
