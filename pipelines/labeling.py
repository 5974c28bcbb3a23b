"""The labeling pipeline: take in what people answered, and train again when that is enough to learn from."""

from kfp import dsl

from components.import_labels.component import import_labels
from components.notify.component import notify
from pipelines import platform
from pipelines.training_tasks import Training, add_training_tasks


@dsl.pipeline(name="image-labeling")
def labeling(
    source: str = "",
    minimum_new_labels: int = 1,
    label_rule: str = "unanimous",
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
    minimum_gain: float = 0.0,
    gain_confidence: float = 0.8,
    minimum_class_recall: float = 0.0,
    minimum_class_images: int = 20,
    notify_to: str = "",
    cpu_node_selector: dict = platform.CPU_NODE_SELECTOR,
    cpu_tolerations: list = platform.CPU_TOLERATIONS,
    gpu_node_selector: dict = platform.GPU_NODE_SELECTOR,
    gpu_tolerations: list = platform.GPU_TOLERATIONS,
    gpus_per_rank: int = platform.GPUS_PER_RANK,
    slots_per_worker: int = 1,
) -> None:
    """Import labels; if the champion has not seen enough of them, train, evaluate and register a model.

    The defaults are meant to be left as they are. The settings are the ConfigMap image-pipelines-settings.

    Args:
        source: File, folder or Azure Blob container with what the labelling service exported; empty takes
            annotations_source of the settings.
        minimum_new_labels: Labels that the champion's training set lacks before a new model is trained; none is while
            the newest model has learned them all.
        label_rule: Which class is an image's where people disagree: the `latest` that somebody said; that of the
            `majority`; `unanimous` leaves the image without a label. So does a tie.
        lake: Root URI of the lake; empty takes it from the settings.
        model_name: Name of the registered model; empty takes it from the settings.
        mlflow_tracking_uri: MLflow server; empty takes it from the settings.
        backbone: `xception`, frozen, or `small`, a small network trained from scratch.
        weights: Xception's weights: `imagenet`, the path of a file of weights, or `none` for random ones.
        image_size: Width and height in pixels that images are fitted into; 0 takes the backbone's own.
        epochs: Epochs at most; 0 means 12 divided by the number of ranks, rounded up.
        batch_size: Images that a rank takes in a step.
        learning_rate: Learning rate of the Nadam optimiser, above 0.
        dropout: Part of the features that is dropped before the last layer, 0..1.
        patience: Epochs without a better validation accuracy before training stops; 0 never stops it.
        seed: Seed of the initial weights and of shuffling.
        ranks: Horovod ranks that share the work.
        launcher: How ranks are started; empty takes it from the settings.
        timeline: Whether Horovod's timeline is recorded, to see where the time goes.
        promote: `auto` makes a better model the champion; `manual` leaves that to a person.
        minimum_accuracy: Accuracy on the test images that a champion has at least, 0..1.
        minimum_gain: Accuracy that it has above the champion before it, -1..1; below 0, it may be a little worse.
        gain_confidence: How sure it has to be that its gain is above the minimum, 0.5 (as counted) up to, without, 1.
        minimum_class_recall: Part of a class' test images that it finds at least, 0..1, unless the champion before it
            found no more of them.
        minimum_class_images: Test images that a class has at least for its recall to count.
        notify_to: E-mail address that hears of the outcome; empty for the log only.
        cpu_node_selector: Labels of the nodes that the tasks run on; {} takes any node.
        cpu_tolerations: Tolerations of those nodes' taints; [] is for nodes without any.
        gpu_node_selector: Labels of the nodes that the ranks run on, with the launcher mpijob.
        gpu_tolerations: Tolerations of those nodes' taints.
        gpus_per_rank: GPUs of each rank, with the launcher mpijob; 0 for training on CPUs.
        slots_per_worker: Ranks in each worker pod, with the launcher mpijob.
    """
    pool = cpu_node_selector, cpu_tolerations
    notified = platform.configure(notify(to=notify_to, lake=lake, pipeline="labeling"), platform.SMALL, *pool)
    with dsl.ExitHandler(notified, name="labeling"):
        imported = import_labels(
            source=source,
            lake=lake,
            model_name=model_name,
            mlflow_tracking_uri=mlflow_tracking_uri,
            minimum_new_labels=minimum_new_labels,
            label_rule=label_rule,
        )
        platform.configure(imported, platform.SPARK, *pool)
        # kfp.local takes a condition on an output of any other name for false.
        enough = imported.outputs["Output"]
        with dsl.If(enough == True, name="retrain"):  # noqa: E712 - compiled, not evaluated
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
                    minimum_gain=minimum_gain,
                    gain_confidence=gain_confidence,
                    minimum_class_recall=minimum_class_recall,
                    minimum_class_images=minimum_class_images,
                    node_selector=cpu_node_selector,
                    tolerations=cpu_tolerations,
                    gpu_node_selector=gpu_node_selector,
                    gpu_tolerations=gpu_tolerations,
                    gpus_per_rank=gpus_per_rank,
                    slots_per_worker=slots_per_worker,
                )
            )
