"""Start ranks from the launcher of an MPIJob.

Usage: `python -m components.train_classifier.rank.mpirun RANKS URI`.

Open MPI reads the workers from the hostfile that the MPI operator mounts, and starts the ranks there through ssh. An
ssh session lacks the container's environment variables, so mpirun exports the launcher's variables.
"""

import os
import re
import sys
from collections.abc import Iterable

from components.train_classifier.environment import WORKER, rank_environment

# Variables of the launcher's pod that the ranks must not get. The launcher has no GPUs, so its NVIDIA_* and CUDA_*
# variables would hide the GPUs of the ranks.
_LAUNCHER_ONLY = re.compile(
    r"(OMPI|PMIX|K_MPI|KUBERNETES|NVIDIA|CUDA|IMAGE_PIPELINES_POD)_.*|HOSTNAME|HOME|PWD|OLDPWD|SHLVL|_"
)


def mpirun_command(ranks: int, request_uri: str, variables: Iterable[str]) -> list[str]:
    """Return the command that starts the ranks.

    Args:
        ranks: Number of ranks.
        request_uri: URI of the `TrainingRequest`.
        variables: Names of the launcher's environment variables.
    """
    exported = [name for name in sorted(variables) if not _LAUNCHER_ONLY.fullmatch(name)]
    return [
        "mpirun",
        "-np",
        str(ranks),
        "--tag-output",
        # A rank has several threads, so it must not be bound to one core.
        "--bind-to",
        "none",
        "--map-by",
        "slot",
        # By default, Open MPI copies data by reading another rank's memory, which pods do not permit.
        "--mca",
        "btl_vader_single_copy_mechanism",
        "none",
        *(argument for name in exported for argument in ("-x", name)),
        sys.executable,
        "-m",
        WORKER,
        request_uri,
    ]


if __name__ == "__main__":
    environment = rank_environment(os.environ)
    command = mpirun_command(int(sys.argv[1]), sys.argv[2], environment)
    os.execvpe(command[0], command, environment)  # noqa: S606 - without a shell on purpose
