"""The KFP component register_model."""

from typing import NamedTuple

from kfp import dsl

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
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
    mlflow_tracking_uri: str = "",
) -> NamedTuple("Outputs", [("version", str), ("promoted", bool)]):
    """Make a model a version in the registry, with the decision about it in its tags.

    The alias `challenger` always moves to it; the alias `champion` if it is to be promoted and the champion is still
    the version that it was compared with: of two trainings side by side, one replaces it. Run twice, it makes one
    version.

    Args:
        run_id: MLflow run that trained the model.
        model_uri: URI of the logged model.
        model_digest: SHA-256 of its SavedModel.
        promote: Whether it shall become the champion.
        reason: Why, or why not.
        accuracy: Its accuracy on the test images, 0..1.
        compared_with: Version of the champion that it was compared with; empty if there was none.
        training_set: URI of the training set.
        lake: Root URI of the lake, whose lock keeps two registrations apart; empty takes it from the settings.
        model_name: Name of the registered model; empty takes it from the settings.
        mlflow_tracking_uri: MLflow server; empty takes it from the settings.

    Returns:
        version: Number of the version.
        promoted: Whether it is the champion now.
    """
    from components.register_model.register import Candidate, register
    from components.settings import Settings

    settings = Settings.load(lake=lake, model_name=model_name, mlflow_tracking_uri=mlflow_tracking_uri)
    candidate = Candidate(run_id, model_uri, model_digest, training_set, accuracy, promote, reason, compared_with)
    registered = register(settings, candidate)
    return registered.version, registered.promoted
