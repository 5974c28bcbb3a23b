"""Start the ranks of a training, in an MPIJob's launcher: `python -m components.train_classifier.mpirun RANKS URI`.

Open MPI finds the workers in the hostfile that the operator mounts, and starts the ranks
there through ssh, which brings nothing of the containers' environment: it is exported from here.
"""

import os
import re
import sys
from collections.abc import Iterable

from components.train_classifier.environment import rank_environment

WORKER = "components.train_classifier.worker"

# What belongs to this pod, and not to the ranks: the operator takes the GPUs from the launcher by NVIDIA_*.
_OWN = re.compile(r"(OMPI|PMIX|K_MPI|KUBERNETES|NVIDIA|IMAGE_PIPELINES_POD)_.*|HOSTNAME|HOME|PWD|OLDPWD|SHLVL|_")


def mpirun_command(ranks: int, request_uri: str, variables: Iterable[str]) -> list[str]:
    """Return the command that starts the ranks.

    Args:
        ranks: How many.
        request_uri: What they train.
        variables: Names of this process' environment.
    """
    exported = [name for name in sorted(variables) if not _OWN.fullmatch(name)]
    return [
        "mpirun",
        "-np",
        str(ranks),
        "--tag-output",
        # TensorFlow has a thread for each core of the container: a rank must not be bound to one.
        "--bind-to",
        "none",
        "--map-by",
        "slot",
        *(argument for name in exported for argument in ("-x", name)),
        sys.executable,
        "-m",
        WORKER,
        request_uri,
    ]


if __name__ == "__main__":
    environment = rank_environment(os.environ)
    command = mpirun_command(int(sys.argv[1]), sys.argv[2], environment)
    os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is wanted
