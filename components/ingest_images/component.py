"""The KFP component ingest_images."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images
from components.parameters import TrainingForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(TrainingForm)
def ingest_images(
    report: Output[HTML],
    source: str = "",
    lake: str = "",
    labeled: bool = True,
    ingest_options: dict = {},  # noqa: B006 - KFP copies this function's source, without any constant outside
    continuous_interval: str = "",
) -> NamedTuple("Outputs", [("found", int), ("ingested", int), ("quarantined", int), ("table_version", int)]):
    """Load new and changed image files from a folder into the lake's table `images`.

    Each content of a file is ingested once. A file that is not a valid image goes to `quarantine` with the reason.

    Args:
        report: Page with counts, reasons for quarantine and a sample of the images.
        source: Landing folder, searched recursively: file:///..., s3a://..., abfss://... or gs://... If empty, the
            setting `labeled_source` or `unlabeled_source` applies.
        labeled: Whether folders name the classes of the images.
        continuous_interval: Time between two polls of the folder until SIGTERM, e.g. `1 minute`. If empty, the folder
            is read once.

    Returns:
        found: Files that were new or changed.
        ingested: Images added.
        quarantined: Files put into quarantine.
        table_version: Version of `images` afterwards.
    """
    from components.ingest_images.ingest import ingest
    from components.ingest_images.report import write_report
    from components.parameters import IngestOptions, parse_inputs
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[int, int, int, int]:
        options = parse_inputs(IngestOptions, ingest_options=ingest_options)
        result = ingest(Settings.load(lake=lake), source, options, labeled, continuous_interval)
        write_report(result, report.path)
        return result.found, result.ingested, result.quarantined.total(), result.table_version

    return run_task(step)
