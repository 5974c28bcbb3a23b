"""The KFP component score_images."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def score_images(
    metrics: Output[Metrics],
    report: Output[HTML],
    lake: str = "",
    model_name: str = "",
    mlflow_tracking_uri: str = "",
    rescore: bool = False,
    threshold: float = 0.95,
) -> NamedTuple("Outputs", [("scored", int), ("failed", int), ("model_version", str), ("table_version", int)]):
    """Let the champion score the images of the lake that have neither a label nor a prediction.

    Each image is scored once. Without a champion it stops before it looks at any image.

    Args:
        metrics: How many images were scored, the accuracy on audited ones with its interval, and how far the classes
            part from those of the training set.
        report: Page with a histogram of the scores, the accuracy on audited images, the classes beside those of the
            training set, and the images that the model was least sure of.
        lake: Root URI of the lake; empty takes it from the settings.
        model_name: Name of the registered model; empty takes it from the settings.
        mlflow_tracking_uri: MLflow server; empty takes it from the settings.
        rescore: Whether unlabelled images that only earlier models scored are scored as well; what those models said
            is kept.
        threshold: Best score under which an image is told to be doubtful, 0..1.

    Returns:
        scored: Images that got a prediction.
        failed: Images that could not be decoded.
        model_version: Version of the model that scored.
        table_version: Version of `predictions` afterwards.
    """
    from components.score_images.report import log_metrics, write_report
    from components.score_images.score import score
    from components.settings import Settings

    settings = Settings.load(lake=lake, model_name=model_name, mlflow_tracking_uri=mlflow_tracking_uri)
    result = score(settings, rescore, threshold=threshold)
    log_metrics(result, metrics)
    write_report(result, report.path)
    return result.scored, result.failed, result.model_version, result.table_version
