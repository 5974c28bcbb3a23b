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
        **environment,
        # Horovod knows the older Keras only.
        "TF_USE_LEGACY_KERAS": "1",
        "PYTHONUNBUFFERED": "1",
    }
