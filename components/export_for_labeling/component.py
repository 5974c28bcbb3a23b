"""The KFP component export_for_labeling."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images
from components.parameters import ScoringForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(ScoringForm)
def export_for_labeling(
    report: Output[HTML],
    lake: str = "",
    model_name: str = "",
    destination: str = "",
    threshold: float = 0.95,
    budget: int = 0,
    export_options: dict = {},  # noqa: B006 - KFP copies this function's source, without any constant outside
) -> NamedTuple("Outputs", [("batch", str), ("count", int), ("manifest", str)]):
    """Copy images with uncertain predictions, and a random sample, to where people label them.

    The current prediction of an image decides: the champion's, or that of one of the two previous champions while the
    champion has none. Predictions of a withdrawn version do not count.

    Each image is exported once, and so is each content. If an earlier run left a batch unfinished, that batch is
    completed first.

    Args:
        report: Page with counts by reason and some of the images.

    Returns:
        batch: Name of the exported batch; empty if there was nothing to export.
        count: Images in it.
        manifest: URI of its manifest, one line of JSON per image; empty if there was nothing to export.
    """
    from components.export_for_labeling.export import export
    from components.export_for_labeling.report import write_report
    from components.parameters import Choice, parse_inputs
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[str, int, str]:
        choice = parse_inputs(Choice, threshold=threshold, budget=budget, export_options=export_options)
        result = export(Settings.load(lake=lake, model_name=model_name), destination, choice)
        write_report(result, report.path)
        return result.batch, result.count, result.manifest

    return run_task(step)
