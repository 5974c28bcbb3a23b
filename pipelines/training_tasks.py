"""The tasks that train, evaluate and register a model on the lake's labeled images. Two pipelines share them."""

from typing import Any

from kfp.dsl import PipelineTask

from components.build_training_set.component import build_training_set
from components.evaluate_classifier.component import evaluate_classifier
from components.register_model.component import register_model
from components.train_classifier.component import train_classifier
from pipelines import platform


def add_training_tasks(
    *,
    lake: str,
    model_name: str,
    backbone: str,
    epochs: int,
    ranks: int,
    promote: str,
    cpu_node_selector: dict[str, str],
    cpu_tolerations: list[dict[str, str]],
    training_options: dict[str, Any],
    gate_options: dict[str, Any],
    placement: dict[str, Any],
    after: PipelineTask | None = None,
) -> None:
    """Add the training tasks to the pipeline whose function calls this.

    All arguments are parameters of the pipeline, except `after`: the task after which build_training_set starts.
    """
    pool = cpu_node_selector, cpu_tolerations

    built = build_training_set(lake=lake)
    if after is not None:
        built.after(after)
    platform.configure(built, platform.SPARK, *pool)

    trained = train_classifier(
        training_set=built.outputs["training_set"],
        lake=lake,
        backbone=backbone,
        epochs=epochs,
        ranks=ranks,
        training_options=training_options,
        placement=placement,
    )
    platform.configure(trained, platform.SUBMITTER, *pool)

    model = {name: trained.outputs[name] for name in ("run_id", "model_uri", "model_digest")}
    evaluated = evaluate_classifier(
        training_set=built.outputs["training_set"],
        lake=lake,
        promote=promote,
        gate_options=gate_options,
        model_name=model_name,
        **model,
    )
    platform.configure(evaluated, platform.SPARK, *pool)

    registered = register_model(
        training_set=built.outputs["training_set"],
        promote=evaluated.outputs["promote"],
        reason=evaluated.outputs["reason"],
        accuracy=evaluated.outputs["accuracy"],
        compared_with=evaluated.outputs["compared_with"],
        lake=lake,
        model_name=model_name,
        **model,
    )
    platform.configure(registered, platform.SMALL, *pool)
