"""The KFP component import_labels."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def import_labels(
    report: Output[HTML],
    source: str = "",
    lake: str = "",
    model_name: str = "",
    mlflow_tracking_uri: str = "",
    minimum_new_labels: int = 1,
    label_rule: str = "unanimous",
) -> NamedTuple(
    "Outputs", [("imported", int), ("rejected", int), ("new_labels", int), ("table_version", int), ("Output", bool)]
):
    """Take in what people answered, and tell whether that is enough to train again.

    Each export is read once, and each answer comes in once. A class that nobody knew is a new class of the lake. What
    can't be read, speaks of unknown images or contradicts itself is reported and left out.

    Args:
        report: Page with what came back, how far people and model agree, and what was left out.
        source: CSV, JSON lines or COCO file with the answers, or a folder of such files at any depth; a path, a URI, or
            the URL of an Azure Blob container as in https://account.blob.core.windows.net/container/folder; empty
            takes annotations_source of the settings.
        lake: Root URI of the lake; empty takes it from the settings.
        model_name: Name of the registered model; empty takes it from the settings.
        mlflow_tracking_uri: MLflow server; empty takes it from the settings.
        minimum_new_labels: Labels that the champion's training set lacks before training again is worth it.
        label_rule: Which class is an image's where people disagree: the `latest` that somebody said; that of the
            `majority`; `unanimous` leaves the image without a label. So does a tie.

    Returns:
        imported: Answers that are new.
        rejected: Answers that were left out.
        new_labels: Labelled images that the champion's training set lacks by now.
        table_version: Version of `labels` afterwards.
        Output: Whether the new labels are enough to train again.
    """
    from components.import_labels.import_answers import import_answers
    from components.import_labels.report import write_report
    from components.settings import Settings

    settings = Settings.load(lake=lake, model_name=model_name, mlflow_tracking_uri=mlflow_tracking_uri)
    result = import_answers(settings, source, minimum_new_labels, label_rule)
    write_report(result, report.path)
    left_out = len(result.rejected) + len(result.conflicts)
    return result.imported, left_out, result.new_labels, result.table_version, result.retrain
