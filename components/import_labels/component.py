"""The KFP component import_labels."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images
from components.parameters import LabelingForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(LabelingForm)
def import_labels(
    report: Output[HTML],
    source: str = "",
    lake: str = "",
    model_name: str = "",
    minimum_new_labels: int = 1,
    label_rule: str = "unanimous",
) -> NamedTuple(
    "Outputs", [("imported", int), ("rejected", int), ("new_labels", int), ("table_version", int), ("Output", bool)]
):
    """Import people's annotations, and decide whether there are enough new labels to train again.

    Each file and each annotation is imported once. A class that the lake lacks is reported, and counts from the next
    import on. What is unreadable, contradictory or about unknown images is reported and left out.

    Args:
        report: Page with the annotations, the agreement of people and model, and what was left out.

    Returns:
        imported: Annotations that are new.
        rejected: Annotations that were left out.
        new_labels: Labeled images that the champion's training set lacks.
        table_version: Version of `labels` afterwards.
        Output: Whether the new labels are enough to train again.
    """
    from components.import_labels.import_annotations import import_annotations
    from components.import_labels.report import write_report
    from components.parameters import LabelingFields, parse_inputs
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[int, int, int, int, bool]:
        fields = parse_inputs(LabelingFields, minimum_new_labels=minimum_new_labels, label_rule=label_rule)
        settings = Settings.load(lake=lake, model_name=model_name)
        result = import_annotations(settings, source, fields.minimum_new_labels, fields.label_rule)
        write_report(result, report.path)
        return result.imported, result.left_out, result.new_labels, result.table_version, result.retrain

    return run_task(step)
