"""The KFP component ingest_images."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def ingest_images(
    report: Output[HTML],
    source: str = "",
    lake: str = "",
    glob: str = "*.jpg",
    labelled: bool = True,
    label_pattern: str = r"^(\d{3})\.",
    continuous_interval: str = "",
) -> NamedTuple("Outputs", [("found", int), ("ingested", int), ("quarantined", int), ("table_version", int)]):
    r"""Load the image files that are new in a folder into the lake's `images` table.

    Each file comes in once; what is no image goes to `quarantine` with the reason.

    Args:
        report: Page with counts, reasons of quarantine and a sample of the images.
        source: Landing folder, searched recursively: file:///..., s3a://... or abfss://...; empty takes it from the
            settings, by whether its images are labelled.
        lake: Root URI of the lake; empty takes it from the settings.
        glob: Which file names count, in upper or lower case. Files and folders whose names begin with `_` or `.` never
            do: writers name them so until they are done.
        labelled: Whether the folder that an image is in names its class.
        label_pattern: Regular expression whose one group is the class' number, searched in the folder's name.
        continuous_interval: Time between two looks at the folder, as in `1 minute`, until SIGTERM; empty for one
            look.

    Returns:
        found: Files not seen before.
        ingested: Images added.
        quarantined: Files put into quarantine.
        table_version: Version of `images` afterwards.
    """
    from components.ingest_images.ingest import ingest
    from components.ingest_images.report import write_report
    from components.settings import Settings

    result = ingest(Settings.load(lake=lake), source, glob, labelled, label_pattern, continuous_interval)
    write_report(result, report.path)
    return result.found, result.ingested, result.quarantined.total(), result.table_version
