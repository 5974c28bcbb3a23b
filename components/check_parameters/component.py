"""The KFP component check_parameters."""

from kfp import dsl

from components import container_images
from components.parameters import LabelingForm, MaintenanceForm, ScoringForm, TrainingForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(TrainingForm, LabelingForm, ScoringForm, MaintenanceForm)
def check_parameters(
    pipeline: str,
    source: str = "",
    lake: str = "",
    model_name: str = "",
    minimum_new_labels: int = 1,
    label_rule: str = "unanimous",
    backbone: str = "xception",
    epochs: int = 12,
    ranks: int = 2,
    promote: str = "auto",
    rescore: bool = False,
    threshold: float = 0.95,
    destination: str = "",
    budget: int = 0,
    keep_trainings: int = 10,
    retention_days: int = 7,
    dry_run: bool = False,
    notify_to: str = "",
    cpu_node_selector: dict = {},  # noqa: B006 - KFP copies this function's source, without any constant outside
    cpu_tolerations: list = [],  # noqa: B006 - likewise
    ingest_options: dict = {},  # noqa: B006 - likewise
    training_options: dict = {},  # noqa: B006 - likewise
    gate_options: dict = {},  # noqa: B006 - likewise
    placement: dict = {},  # noqa: B006 - likewise
    export_options: dict = {},  # noqa: B006 - likewise
) -> None:
    """End a run with invalid parameters or settings before any other task starts.

    It reads neither stores nor servers. Parameters that the pipeline does not have are ignored.

    Args:
        pipeline: Name of the pipeline: `training`, `labeling`, `scoring` or `maintenance`.
        source: Source of the pipeline. If empty, the setting `labeled_source`, `annotations_source` or
            `unlabeled_source` applies.
    """
    from components.check_parameters.check import check
    from components.task import run_task

    def step() -> None:
        values = {
            "source": source,
            "lake": lake,
            "model_name": model_name,
            "minimum_new_labels": minimum_new_labels,
            "label_rule": label_rule,
            "backbone": backbone,
            "epochs": epochs,
            "ranks": ranks,
            "promote": promote,
            "rescore": rescore,
            "threshold": threshold,
            "destination": destination,
            "budget": budget,
            "keep_trainings": keep_trainings,
            "retention_days": retention_days,
            "dry_run": dry_run,
            "notify_to": notify_to,
            "cpu_node_selector": cpu_node_selector,
            "cpu_tolerations": cpu_tolerations,
            "ingest_options": ingest_options,
            "training_options": training_options,
            "gate_options": gate_options,
            "placement": placement,
            "export_options": export_options,
        }
        check(pipeline, values)

    run_task(step)
