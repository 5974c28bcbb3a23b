"""The scoring pipeline: ingest new images, score them with the champion, and send the doubtful ones to people."""

from kfp import dsl

from components.export_for_labeling.component import export_for_labeling
from components.ingest_images.component import ingest_images
from components.notify.component import notify
from components.score_images.component import score_images
from pipelines import platform


@dsl.pipeline(name="image-scoring")
def scoring(
    source: str = "",
    glob: str = "*.jpg",
    lake: str = "",
    model_name: str = "",
    mlflow_tracking_uri: str = "",
    rescore: bool = False,
    destination: str = "",
    threshold: float = 0.95,
    fraction: float = 0.1,
    budget: int = 0,
    audit_fraction: float = 0.01,
    seed: int = 0,
    notify_to: str = "",
    cpu_node_selector: dict = platform.CPU_NODE_SELECTOR,
    cpu_tolerations: list = platform.CPU_TOLERATIONS,
) -> None:
    """Ingest new images, score them with the champion, and export the doubtful ones for labelling.

    The defaults are meant to be left as they are. The settings are the ConfigMap image-pipelines-settings.

    Args:
        source: Folder with images without labels; empty takes unlabelled_source of the settings.
        glob: Pattern of the file names that count, in upper or lower case. Files and folders whose names begin with
            `_` or `.` never do: writers name them so until they are done.
        lake: Root URI of the lake; empty takes it from the settings.
        model_name: Name of the registered model; empty takes it from the settings.
        mlflow_tracking_uri: MLflow server; empty takes it from the settings.
        rescore: Whether unlabelled images that an earlier model scored are scored again.
        destination: Folder or Azure Blob container for the images to label; empty takes it from the settings.
        threshold: Best score under which an image is doubtful, 0..1.
        fraction: Part of the doubtful images that people get, 0..1.
        budget: How many doubtful images people get, the most doubtful first; 0 takes the fraction.
        audit_fraction: Part of all scored images that people get whatever their score, 0..1.
        seed: Seed of the choice of images.
        notify_to: E-mail address that hears of the outcome; empty for the log only.
        cpu_node_selector: Labels of the nodes that the tasks run on; {} takes any node.
        cpu_tolerations: Tolerations of those nodes' taints; [] is for nodes without any.
    """
    pool = cpu_node_selector, cpu_tolerations
    notified = platform.configure(
        notify(to=notify_to, lake=lake, pipeline="scoring", ingests="unlabelled"), platform.SMALL, *pool
    )
    with dsl.ExitHandler(notified, name="scoring"):
        ingested = ingest_images(source=source, glob=glob, labelled=False, lake=lake)
        platform.configure(ingested, platform.SPARK, *pool)

        scored = score_images(
            lake=lake,
            model_name=model_name,
            mlflow_tracking_uri=mlflow_tracking_uri,
            rescore=rescore,
            threshold=threshold,
        )
        scored.after(ingested)
        platform.configure(scored, platform.SPARK, *pool)

        exported = export_for_labeling(
            lake=lake,
            destination=destination,
            threshold=threshold,
            fraction=fraction,
            budget=budget,
            audit_fraction=audit_fraction,
            seed=seed,
        )
        exported.after(scored)
        platform.configure(exported, platform.SPARK, *pool)
