"""What every rank's environment has, whoever starts it."""

from collections.abc import Mapping

from components.images.onednn import ONEDNN


def rank_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with what ranks need in it.

    Args:
        environment: What whoever starts them has.
    """
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **ONEDNN,
        # By default MLflow ends a training with a wait of up to a second for one more metric.
        "MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS": "1",
        **environment,
        # Horovod knows the older Keras only.
        "TF_USE_LEGACY_KERAS": "1",
        "PYTHONUNBUFFERED": "1",
    }
