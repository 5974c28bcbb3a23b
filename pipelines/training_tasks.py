"""The tasks that make a new model of the lake's labelled images; two pipelines have them."""

from typing import Any, NamedTuple

from kfp.dsl import PipelineTask

from components.build_training_set.component import build_training_set
from components.evaluate_classifier.component import evaluate_classifier
from components.register_model.component import register_model
from components.train_classifier.component import train_classifier
from pipelines import platform


class Training(NamedTuple):
    """The pipeline parameters of a training, as the pipelines pass them on."""

    lake: Any
    model_name: Any
    mlflow_tracking_uri: Any
    backbone: Any
    weights: Any
    image_size: Any
    epochs: Any
    batch_size: Any
    learning_rate: Any
    dropout: Any
    patience: Any
    seed: Any
    ranks: Any
    launcher: Any
    timeline: Any
    promote: Any
    minimum_accuracy: Any
    minimum_gain: Any
    gain_confidence: Any
    minimum_class_recall: Any
    minimum_class_images: Any
    node_selector: Any
    tolerations: Any
    gpu_node_selector: Any
    gpu_tolerations: Any
    gpus_per_rank: Any
    slots_per_worker: Any


def add_training_tasks(training: Training, after: PipelineTask | None = None) -> None:
    """Add build_training_set, train_classifier, evaluate_classifier and register_model to the pipeline being defined.

    Args:
        training: Pipeline parameters.
        after: The task that the first of them waits for.
    """
    pool = training.node_selector, training.tolerations
    registry = {"model_name": training.model_name, "mlflow_tracking_uri": training.mlflow_tracking_uri}

    built = build_training_set(lake=training.lake)
    if after is not None:
        built.after(after)
    platform.configure(built, platform.SPARK, *pool)

    trained = train_classifier(
        training_set=built.outputs["training_set"],
        lake=training.lake,
        backbone=training.backbone,
        weights=training.weights,
        image_size=training.image_size,
        dropout=training.dropout,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        epochs=training.epochs,
        patience=training.patience,
        seed=training.seed,
        ranks=training.ranks,
        launcher=training.launcher,
        slots_per_worker=training.slots_per_worker,
        gpus_per_rank=training.gpus_per_rank,
        gpu_node_selector=training.gpu_node_selector,
        gpu_tolerations=training.gpu_tolerations,
        mlflow_tracking_uri=training.mlflow_tracking_uri,
        timeline=training.timeline,
    )
    platform.configure(trained, platform.RANK, *pool)

    model = {name: trained.outputs[name] for name in ("run_id", "model_uri", "model_digest")}
    evaluated = evaluate_classifier(
        training_set=built.outputs["training_set"],
        promote=training.promote,
        minimum_accuracy=training.minimum_accuracy,
        minimum_gain=training.minimum_gain,
        gain_confidence=training.gain_confidence,
        minimum_class_recall=training.minimum_class_recall,
        minimum_class_images=training.minimum_class_images,
        **model,
        **registry,
    )
    platform.configure(evaluated, platform.MODEL, *pool)

    registered = register_model(
        training_set=built.outputs["training_set"],
        promote=evaluated.outputs["promote"],
        reason=evaluated.outputs["reason"],
        accuracy=evaluated.outputs["accuracy"],
        compared_with=evaluated.outputs["compared_with"],
        lake=training.lake,
        **model,
        **registry,
    )
    platform.configure(registered, platform.SMALL, *pool)
