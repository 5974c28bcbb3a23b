"""The queues of events about new files."""

from collections.abc import Iterator
from functools import partial

from components.check_parameters.check import given_addresses
from components.ingest_images.discovery.events import poison_folder
from components.ingest_images.discovery.open_queue import open_queue
from components.parameters.forms import ImageForm
from components.storage import uri
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, guarded, ok, warning
from pipelines.doctor.planned_run import PlannedRun


def check_queues(context: Context) -> Iterator[Finding]:
    """Yield findings about the queue of each valid recurring run.

    No message is received.
    """
    runs = [run for run in context.runs if run.is_valid and (options := run.ingest_options) and options.queue]
    for run in runs:
        yield from guarded(partial(_of_run, context, run), run.name)
    if not runs:
        yield ok("no recurring run reads a queue.")


def _of_run(context: Context, run: PlannedRun) -> Iterator[Finding]:
    options = run.ingest_options
    assert options is not None
    yield from queue_of(context, _source(context, run), options.queue, f"{run.name}.ingest_options.queue")


def queue_of(context: Context, source: str, url: str, field: str) -> Iterator[Finding]:
    """Yield findings about a queue and the messages that ingest set aside.

    Args:
        context: The installation.
        source: Normalized URI of the landing folder.
        url: URL of the queue.
        field: Parameter with the URL.
    """
    waiting = open_queue(url, source, context.files.access).count()
    if waiting is None:
        yield ok(f"{field}: its messages can be received. The service does not count them.")
    else:
        yield ok(f"{field}: about {waiting:,} messages are waiting.")
    folder = poison_folder(context.root, source)
    if poison := context.files.list_names(folder):
        yield warning(
            f"{field}: ingest set aside messages that are not events of '{source}', in {len(poison)} files below"
            f" '{folder}'.",
            "Read one, correct what sends it, then delete the files.",
        )


def _source(context: Context, run: PlannedRun) -> str:
    form = run.form
    # Only pipelines that read a source have a queue.
    assert isinstance(form, ImageForm)
    kind = next(each for each in given_addresses(run.pipeline, form) if each.endswith("_source"))
    return uri.normalize(form.source or context.settings.required(kind), "source")
