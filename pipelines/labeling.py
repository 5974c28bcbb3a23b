"""The labeling pipeline: import annotations, and train again if there are enough new labels."""

from kfp import dsl

from components.check_parameters.component import check_parameters
from components.import_labels.component import import_labels
from components.notify.component import notify
from components.parameters import GateOptions, LabelingForm, Placement, TrainingOptions, describe
from pipelines import platform
from pipelines.training_tasks import add_training_tasks


@dsl.pipeline(name="image-labeling")
@describe(LabelingForm)
def labeling(
    source: str = "",
    minimum_new_labels: int = 1,
    label_rule: str = "unanimous",
    lake: str = "",
    model_name: str = "",
    backbone: str = "xception",
    epochs: int = 12,
    ranks: int = 2,
    promote: str = "auto",
    notify_to: str = "",
    cpu_node_selector: dict = platform.CPU_NODE_SELECTOR,
    cpu_tolerations: list = platform.CPU_TOLERATIONS,
    training_options: dict = TrainingOptions().model_dump(),
    gate_options: dict = GateOptions().model_dump(),
    placement: dict = Placement().model_dump(),
) -> None:
    """Import labels; if there are enough new ones, train a classifier, evaluate and register it.

    The defaults suit most installations. The ConfigMap image-pipelines-settings holds the settings.
    """
    pool = cpu_node_selector, cpu_tolerations
    notified = platform.configure(notify(to=notify_to, lake=lake, pipeline="labeling"), platform.SMALL, *pool)
    with dsl.ExitHandler(notified, name="labeling"):
        checked = check_parameters(
            pipeline="labeling",
            source=source,
            minimum_new_labels=minimum_new_labels,
            label_rule=label_rule,
            lake=lake,
            model_name=model_name,
            backbone=backbone,
            epochs=epochs,
            ranks=ranks,
            promote=promote,
            notify_to=notify_to,
            cpu_node_selector=cpu_node_selector,
            cpu_tolerations=cpu_tolerations,
            training_options=training_options,
            gate_options=gate_options,
            placement=placement,
        )
        platform.configure(checked, platform.CHECK, *pool)

        imported = import_labels(
            source=source,
            lake=lake,
            model_name=model_name,
            minimum_new_labels=minimum_new_labels,
            label_rule=label_rule,
        )
        imported.after(checked)
        platform.configure(imported, platform.SPARK, *pool)

        # kfp.local treats a condition on an output with any other name as false.
        enough = imported.outputs["Output"]
        with dsl.If(enough == True, name="retrain"):  # noqa: E712 - compiled, not evaluated
            add_training_tasks(
                lake=lake,
                model_name=model_name,
                backbone=backbone,
                epochs=epochs,
                ranks=ranks,
                promote=promote,
                cpu_node_selector=cpu_node_selector,
                cpu_tolerations=cpu_tolerations,
                training_options=training_options,
                gate_options=gate_options,
                placement=placement,
            )
