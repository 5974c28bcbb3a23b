"""The KFP component score_images."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components import container_images
from components.parameters import ScoringForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(ScoringForm)
def score_images(
    metrics: Output[Metrics],
    report: Output[HTML],
    lake: str = "",
    model_name: str = "",
    rescore: bool = False,
    threshold: float = 0.95,
) -> NamedTuple("Outputs", [("scored", int), ("failed", int), ("model_version", str), ("table_version", int)]):
    """Score the images that have neither a label nor a current prediction, with the champion.

    The champion scores each image once, and skips images that one of the two previous champions has scored. After a
    promotion, it also scores these if they were ingested in the last 30 days (setting `rescore_days`). Predictions of a
    withdrawn version do not count, so its images are scored again. Without a champion, the task ends before it reads
    any image.

    Args:
        metrics: Number of scored images, accuracy on audited images with its interval, and divergence of the predicted
            classes from those of the training set.
        report: Page with a histogram of the scores, the accuracy on audited images, the predicted classes beside those
            of the training set, and the images with the lowest scores.

    Returns:
        scored: Images that got a prediction.
        failed: Images that could not be decoded.
        model_version: Version of the model that scored.
        table_version: Version of `predictions` afterwards.
    """
    from components.parameters import ScoringFields, parse_inputs
    from components.score_images.report import log_metrics, write_report
    from components.score_images.score import score
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[int, int, str, int]:
        fields = parse_inputs(ScoringFields, rescore=rescore, threshold=threshold)
        settings = Settings.load(lake=lake, model_name=model_name)
        result = score(settings, fields.rescore, threshold=fields.threshold)
        log_metrics(result, metrics)
        write_report(result, report.path)
        return result.scored, result.failed, result.model_version, result.table_version

    return run_task(step)
