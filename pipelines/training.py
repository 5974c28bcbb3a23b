"""The training pipeline: ingest labelled images, train on all of them, and promote the model if it is better."""

from kfp import dsl

from components.ingest_images.component import ingest_images
from components.notify.component import notify
from pipelines import platform
from pipelines.training_tasks import Training, add_training_tasks


@dsl.pipeline(name="image-training")
def training(
    source: str = "",
    glob: str = "*.jpg",
    label_pattern: str = r"^(\d{3})\.",
    lake: str = "",
    model_name: str = "",
    mlflow_tracking_uri: str = "",
    backbone: str = "xception",
    weights: str = "imagenet",
    image_size: int = 0,
    epochs: int = 0,
    batch_size: int = 32,
    learning_rate: float = 0.016,
    dropout: float = 0.5,
    patience: int = 3,
    seed: int = 0,
    ranks: int = 2,
    launcher: str = "",
    timeline: bool = False,
    promote: str = "auto",
    minimum_accuracy: float = 0.0,
    notify_to: str = "",
    cpu_node_selector: dict = platform.CPU_NODE_SELECTOR,
    cpu_tolerations: list = platform.CPU_TOLERATIONS,
    gpu_node_selector: dict = platform.GPU_NODE_SELECTOR,
    gpu_tolerations: list = platform.GPU_TOLERATIONS,
    gpus_per_rank: int = platform.GPUS_PER_RANK,
    slots_per_worker: int = 1,
    rank_cpu: str = platform.RANK_CPU,
    rank_memory: str = platform.RANK_MEMORY,
) -> None:
    r"""Ingest labelled images, train a classifier on all labelled images of the lake, evaluate and register it.

    Args:
        source: Folder with labelled images, one folder a class; empty takes labelled_source of the settings.
        glob: Which file names count, in upper or lower case.
        label_pattern: Regular expression whose one group is the class' number, searched in the folder's name.
        lake: Root URI of the lake; empty takes it from the settings.
        model_name: Name of the registered model; empty takes it from the settings.
        mlflow_tracking_uri: MLflow server; empty takes it from the settings.
        backbone: `xception`, frozen, or `small`, a small network trained from scratch.
        weights: Xception's weights: `imagenet`, the path of a file of weights, or `none` for random ones.
        image_size: Width and height in pixels that images are fitted into; 0 takes the backbone's own.
        epochs: Epochs at most; 0 means 12 divided by the number of ranks, rounded up.
        batch_size: Images a rank takes in a step.
        learning_rate: Of the Nadam optimiser.
        dropout: Before the last layer, 0..1.
        patience: Epochs without a better validation accuracy before training stops; 0 never stops it.
        seed: Of the initial weights and of shuffling.
        ranks: Horovod ranks that share the work.
        launcher: How ranks are started; empty takes it from the settings.
        timeline: Whether to record Horovod's timeline.
        promote: `auto` makes a better model the champion; `manual` leaves that to a person.
        minimum_accuracy: Accuracy on the test images that a champion has at least, 0..1.
        notify_to: E-mail address that hears of the outcome; empty for the log only.
        cpu_node_selector: Labels of the nodes that the tasks run on.
        cpu_tolerations: Tolerations of those nodes' taints.
        gpu_node_selector: Labels of the nodes that the ranks run on, with the launcher mpijob.
        gpu_tolerations: Tolerations of those nodes' taints.
        gpus_per_rank: GPUs of each rank, with the launcher mpijob; 0 for training on CPUs.
        slots_per_worker: Ranks in each worker pod, with the launcher mpijob.
        rank_cpu: Cores that each rank requests, as in `2` or `500m`, with the launcher mpijob.
        rank_memory: Memory that each rank requests and is limited to, as in `6Gi`, with the launcher mpijob.
    """
    pool = cpu_node_selector, cpu_tolerations
    notified = platform.configure(notify(to=notify_to, lake=lake, pipeline="training"), platform.SMALL, *pool)
    with dsl.ExitHandler(notified, name="training"):
        ingested = ingest_images(source=source, glob=glob, labelled=True, label_pattern=label_pattern, lake=lake)
        platform.configure(ingested, platform.SPARK, *pool)
        add_training_tasks(
            Training(
                lake=lake,
                model_name=model_name,
                mlflow_tracking_uri=mlflow_tracking_uri,
                backbone=backbone,
                weights=weights,
                image_size=image_size,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                dropout=dropout,
                patience=patience,
                seed=seed,
                ranks=ranks,
                launcher=launcher,
                timeline=timeline,
                promote=promote,
                minimum_accuracy=minimum_accuracy,
                node_selector=cpu_node_selector,
                tolerations=cpu_tolerations,
                gpu_node_selector=gpu_node_selector,
                gpu_tolerations=gpu_tolerations,
                gpus_per_rank=gpus_per_rank,
                slots_per_worker=slots_per_worker,
                rank_cpu=rank_cpu,
                rank_memory=rank_memory,
            ),
            after=ingested,
        )
