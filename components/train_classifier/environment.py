"""The environment variables of every rank, whichever launcher starts it."""

from collections.abc import Mapping

from components.preprocessing.onednn import ONEDNN
from components.settings import ENVIRONMENT_PREFIX

# Module that each rank runs, in the trainer environment.
WORKER = "components.train_classifier.rank.worker"

# Threads of a rank: OpenMP's variable, which TensorFlow uses for oneDNN too.
THREADS = "OMP_NUM_THREADS"
# Number of GPUs of each rank. MPIJobs set it. If it is unset, ranks use the GPUs of the machine.
RANK_GPUS = f"{ENVIRONMENT_PREFIX}RANK_GPUS"


def rank_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a rank.

    Args:
        environment: Environment variables of the launcher.
    """
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **ONEDNN,
        **environment,
        # Horovod supports Keras 2 only.
        "TF_USE_LEGACY_KERAS": "1",
        # Empty means off. Unbuffered, Python writes the line break separately, and mpirun tags it as another line.
        "PYTHONUNBUFFERED": "",
        # MLflow looks for a git repository, and warns three times in an image without git.
        "GIT_PYTHON_REFRESH": "quiet",
    }


def rank_threads(environment: Mapping[str, str], cores: int, ranks: int) -> int:
    """Return the number of threads of a rank.

    The launcher can set the number. Otherwise each rank gets an equal fraction of the cores.

    Args:
        environment: Environment variables of the rank. MPIJobs set the number there, because a container without a
            CPU limit may use all cores of its node.
        cores: Number of cores that this process may use.
        ranks: Number of ranks on this machine.
    """
    configured = environment.get(THREADS, "")
    return int(configured) if configured.isdecimal() and int(configured) > 0 else max(1, cores // ranks)
