"""The KFP component register_model."""

from typing import NamedTuple

from kfp import dsl

from components import container_images
from components.parameters import TrainingForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(TrainingForm)
def register_model(
    run_id: str,
    model_uri: str,
    model_digest: str,
    promote: bool,
    reason: str,
    accuracy: float,
    compared_with: str,
    training_set: str,
    lake: str = "",
    model_name: str = "",
) -> NamedTuple("Outputs", [("version", str), ("promoted", bool)]):
    """Register a model as a new version, with the gate's decision in its tags.

    The alias `challenger` always moves to the new version. The alias `champion` moves if the gate promotes the version
    and the champion has not changed since the comparison. So only one of two concurrent trainings replaces the
    champion. The task is idempotent.

    Args:
        run_id: MLflow run that trained the model.
        model_uri: URI of the logged model.
        model_digest: SHA-256 of the model's SavedModel.
        promote: Whether the gate promotes the model.
        reason: Reason for the decision.
        accuracy: The model's accuracy on the test images, 0..1.
        compared_with: Version of the champion in the comparison; empty if there was none.
        training_set: URI of the training set.
        lake: Root URI of the lake, whose lock serializes registrations. If empty, the setting `lake` applies.

    Returns:
        version: Number of the version.
        promoted: Whether the version is the champion now.
    """
    from components.register_model.register import Candidate, register
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[str, bool]:
        settings = Settings.load(lake=lake, model_name=model_name)
        candidate = Candidate(run_id, model_uri, model_digest, training_set, accuracy, promote, reason, compared_with)
        registered = register(settings, candidate)
        return registered.version, registered.promoted

    return run_task(step)
