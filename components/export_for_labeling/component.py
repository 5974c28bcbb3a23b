"""The KFP component export_for_labeling."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def export_for_labeling(
    report: Output[HTML],
    lake: str = "",
    destination: str = "",
    threshold: float = 0.95,
    fraction: float = 0.1,
    budget: int = 0,
    audit_fraction: float = 0.01,
    seed: int = 0,
) -> NamedTuple("Outputs", [("batch", str), ("count", int), ("manifest", str)]):
    """Copy the images that the model doubts, and a sample of all others, to where people label them.

    No image is sent twice, nor is its content under another path. A batch that an earlier run left unfinished is
    finished first.

    Args:
        report: Page with counts by reason and some of the images.
        lake: Root URI of the lake; empty takes it from the settings.
        destination: Folder, as in file:///..., or Azure Blob container, as in
            https://account.blob.core.windows.net/container/folder; empty takes labeling_destination of the settings.
        threshold: Best score under which an image is doubtful, 0..1.
        fraction: Part of the doubtful images that people get, 0..1. One that was left out once stays out.
        budget: How many doubtful images people get, the most doubtful first; 0 takes the fraction.
        audit_fraction: Part of the images that people get whatever their score, 0..1.
        seed: Of the choice of images.

    Returns:
        batch: Name of the batch that was sent; empty if there was nothing to send.
        count: Images in it.
        manifest: URI of its manifest, a line of JSON for each image; empty if there was nothing to send.
    """
    from components.export_for_labeling.choice import Choice
    from components.export_for_labeling.export import export
    from components.export_for_labeling.report import write_report
    from components.settings import Settings

    choice = Choice(threshold, fraction, budget, audit_fraction, seed)
    result = export(Settings.load(lake=lake), destination, choice)
    write_report(result, report.path)
    return result.batch, result.count, result.manifest
