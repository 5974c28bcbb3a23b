"""The training pipeline: ingest labeled images, train on all of them, and promote the model if it is better."""

from kfp import dsl

from components.check_parameters.component import check_parameters
from components.ingest_images.component import ingest_images
from components.notify.component import notify
from components.parameters import GateOptions, IngestOptions, Placement, TrainingForm, TrainingOptions, describe
from pipelines import platform
from pipelines.training_tasks import add_training_tasks


@dsl.pipeline(name="image-training")
@describe(TrainingForm)
def training(
    source: str = "",
    lake: str = "",
    model_name: str = "",
    backbone: str = "xception",
    epochs: int = 12,
    ranks: int = 2,
    promote: str = "auto",
    notify_to: str = "",
    cpu_node_selector: dict = platform.CPU_NODE_SELECTOR,
    cpu_tolerations: list = platform.CPU_TOLERATIONS,
    ingest_options: dict = IngestOptions().model_dump(),
    training_options: dict = TrainingOptions().model_dump(),
    gate_options: dict = GateOptions().model_dump(),
    placement: dict = Placement().model_dump(),
) -> None:
    """Ingest labeled images, train a classifier on all labeled images of the lake, evaluate and register it.

    The defaults suit most installations. The ConfigMap image-pipelines-settings holds the settings.
    """
    pool = cpu_node_selector, cpu_tolerations
    notified = platform.configure(notify(to=notify_to, lake=lake, pipeline="training"), platform.SMALL, *pool)
    with dsl.ExitHandler(notified, name="training"):
        checked = check_parameters(
            pipeline="training",
            source=source,
            lake=lake,
            model_name=model_name,
            backbone=backbone,
            epochs=epochs,
            ranks=ranks,
            promote=promote,
            notify_to=notify_to,
            cpu_node_selector=cpu_node_selector,
            cpu_tolerations=cpu_tolerations,
            ingest_options=ingest_options,
            training_options=training_options,
            gate_options=gate_options,
            placement=placement,
        )
        platform.configure(checked, platform.CHECK, *pool)

        ingested = ingest_images(source=source, labeled=True, ingest_options=ingest_options, lake=lake)
        ingested.after(checked)
        platform.configure(ingested, platform.SPARK, *pool)

        add_training_tasks(
            after=ingested,
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
