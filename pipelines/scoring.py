"""The scoring pipeline: ingest new images, score them with the champion, and export the uncertain ones for labeling."""

from kfp import dsl

from components.check_parameters.component import check_parameters
from components.export_for_labeling.component import export_for_labeling
from components.ingest_images.component import ingest_images
from components.notify.component import notify
from components.parameters import ExportOptions, IngestOptions, ScoringForm, describe
from components.score_images.component import score_images
from pipelines import platform


@dsl.pipeline(name="image-scoring")
@describe(ScoringForm)
def scoring(
    source: str = "",
    lake: str = "",
    model_name: str = "",
    rescore: bool = False,
    threshold: float = 0.95,
    destination: str = "",
    budget: int = 0,
    notify_to: str = "",
    cpu_node_selector: dict = platform.CPU_NODE_SELECTOR,
    cpu_tolerations: list = platform.CPU_TOLERATIONS,
    ingest_options: dict = IngestOptions().model_dump(),
    export_options: dict = ExportOptions().model_dump(),
) -> None:
    """Ingest new images, score them with the champion, and export the uncertain ones for labeling.

    The defaults suit most installations. The ConfigMap image-pipelines-settings holds the settings.
    """
    pool = cpu_node_selector, cpu_tolerations
    notified = platform.configure(notify(to=notify_to, lake=lake, pipeline="scoring"), platform.SMALL, *pool)
    with dsl.ExitHandler(notified, name="scoring"):
        checked = check_parameters(
            pipeline="scoring",
            source=source,
            lake=lake,
            model_name=model_name,
            rescore=rescore,
            threshold=threshold,
            destination=destination,
            budget=budget,
            notify_to=notify_to,
            cpu_node_selector=cpu_node_selector,
            cpu_tolerations=cpu_tolerations,
            ingest_options=ingest_options,
            export_options=export_options,
        )
        platform.configure(checked, platform.CHECK, *pool)

        ingested = ingest_images(source=source, labeled=False, ingest_options=ingest_options, lake=lake)
        ingested.after(checked)
        platform.configure(ingested, platform.SPARK, *pool)

        scored = score_images(lake=lake, model_name=model_name, rescore=rescore, threshold=threshold)
        scored.after(ingested)
        platform.configure(scored, platform.SPARK, *pool)

        exported = export_for_labeling(
            lake=lake,
            model_name=model_name,
            destination=destination,
            threshold=threshold,
            budget=budget,
            export_options=export_options,
        )
        exported.after(scored)
        platform.configure(exported, platform.SPARK, *pool)
