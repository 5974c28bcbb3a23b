"""The KFP component train_classifier."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def train_classifier(
    training_set: str,
    metrics: Output[Metrics],
    report: Output[HTML],
    lake: str = "",
    backbone: str = "xception",
    weights: str = "imagenet",
    image_size: int = 0,
    dropout: float = 0.5,
    learning_rate: float = 0.016,
    batch_size: int = 32,
    epochs: int = 0,
    patience: int = 3,
    seed: int = 0,
    ranks: int = 1,
    launcher: str = "",
    mlflow_tracking_uri: str = "",
    experiment: str = "",
    timeline: bool = False,
) -> NamedTuple("Outputs", [("run_id", str), ("model_uri", str), ("model_digest", str)]):
    """Train a classifier on a training set with Horovod, and log it to MLflow.

    A retry goes on from the last checkpoint; a training that was finished before returns its model. Where KFP's backend
    made an MLflow run for the task (MLFLOW_RUN_ID), that run is the parent of the training's own.

    Args:
        training_set: URI of the training set, from build_training_set.
        metrics: Losses and accuracies of the trained model, and images/s.
        report: Page with the curves.
        lake: Root URI of the lake; empty takes it from the settings.
        backbone: `xception`, frozen, or `small`, a small network trained from scratch.
        weights: Xception's weights: `imagenet`, the path of a file of weights, or `none` for random ones.
        image_size: Side of the model's input in pixels; 0 is the backbone's own (299 or 32).
        dropout: Fraction of the features dropped in training, from 0 to below 1.
        learning_rate: Nadam's. 0.016 suits a frozen backbone; the small network wants about 0.002.
        batch_size: Images of each rank in a step.
        epochs: Epochs at most; 0 is 12 divided by the ranks, rounded up.
        patience: Epochs without a better validation accuracy before training stops; 0 never stops it.
        seed: Seed of weights, order and dropout.
        ranks: Processes that train together.
        launcher: How they are started: `local`; empty takes it from the settings.
        mlflow_tracking_uri: MLflow's tracking URI; empty takes it from the settings.
        experiment: MLflow experiment; empty takes it from the settings.
        timeline: Whether to log Horovod's timeline.

    Returns:
        run_id: MLflow's id of the run.
        model_uri: URI of the logged model.
        model_digest: SHA-256 of its SavedModel.
    """
    from components.settings import Settings
    from components.train_classifier.report import write_report
    from components.train_classifier.train import train

    settings = Settings.load(
        lake=lake, launcher=launcher, mlflow_tracking_uri=mlflow_tracking_uri, experiment=experiment
    )
    request, result = train(
        settings, training_set, backbone=backbone, weights=weights, image_size=image_size, dropout=dropout,
        learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, patience=patience, seed=seed, ranks=ranks,
        timeline=timeline,
    )  # fmt: skip
    for name, value in result.metrics.items():
        metrics.log_metric(name, value)
    write_report(request, result, report.path)
    return result.run_id, result.model_uri, result.model_digest
