"""The output of ranks under mpirun: printed without tags and frames, and searched for the reason of a failure."""

import os
import socket
import subprocess
import sys
from itertools import pairwise

import pytest

from components.train_classifier.environment import rank_environment
from components.train_classifier.rank.mpirun import mpirun_command
from components.train_classifier.rank_output import RankOutput

# Output of `mpirun --tag-output` 4.1 when rank 1 of two ends with exit code 3.
FAILED = """\
[1,0]<stdout>:progress: epoch 1/2 loss=0.5
[1,1]<stdout>:a line of another rank
[1,1]<stderr>:Traceback (most recent call last):
[1,1]<stderr>:OSError: the disk is full
--------------------------------------------------------------------------
Primary job  terminated normally, but 1 process returned
a non-zero exit code. Per user-direction, the job has been aborted.
--------------------------------------------------------------------------
--------------------------------------------------------------------------
mpirun detected that one or more processes exited with non-zero status, thus causing
the job to be terminated. The first process to do so was:

  Process name: [[7407,1],1]
  Exit code:    3
--------------------------------------------------------------------------
"""
LOST = """\
[1,0]<stdout>:progress: epoch 1/2 loss=0.5
[1,0]<stderr>:horovod.common.exceptions.HorovodInternalError: Horovod has been shut down
--------------------------------------------------------------------------
ORTE has lost communication with a remote daemon.

This is usually due to either a failure of the TCP network
connection to the node, or possibly an internal failure of
the daemon itself. We cannot recover from this failure, and
therefore will terminate the job.
--------------------------------------------------------------------------
"""


def read_output(text: str) -> RankOutput:
    output = RankOutput()
    for line in text.splitlines():
        output.add(line)
    return output


def test_failure_names_the_first_failed_rank_and_its_error() -> None:
    assert (
        read_output(FAILED).failure(255) == "rank 1 of the training ended with exit code 3: OSError: the disk is full"
    )


def test_failure_names_the_first_rank_with_an_error_if_mpirun_names_no_rank() -> None:
    cut = FAILED[: FAILED.index("mpirun detected")]

    assert read_output(cut).failure(3) == "rank 1 of the training ended with exit code 3: OSError: the disk is full"


def test_failure_is_mpiruns_message_if_no_rank_failed() -> None:
    assert read_output(LOST).failure(1) == (
        "the training ended with exit code 1: ORTE has lost communication with a remote daemon."
    )


def test_lines_of_other_ranks_are_printed_with_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    read_output(FAILED)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "progress: epoch 1/2 loss=0.5"
    assert lines[1] == "rank 1: a line of another rank"
    assert not any(line.startswith("---") for line in lines)


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        # mpirun tags each chunk that it reads. An unbuffered rank writes the line break as a chunk of its own.
        ("[1,0]<stdout>:progress: epoch 1/2[1,0]<stdout>:", ["progress: epoch 1/2"]),
        ("[1,0]<stdout>:progress: [1,0]<stdout>:epoch 1/2", ["progress: epoch 1/2"]),
        (
            "[1,0]<stdout>:progress: epoch 1/2[1,1]<stderr>:a warning[1,0]<stdout>:",
            ["progress: epoch 1/2", "rank 1: a warning"],
        ),
        ("[1,12]<stderr>:a line[1,12]<stderr>:", ["rank 12: a line"]),
        ("[1,0]<stdout>:", []),
        # Tags of horovodrun.
        ("[0]<stdout>:progress: epoch 1/2", ["progress: epoch 1/2"]),
        ("[1]<stderr>:a line", ["rank 1: a line"]),
        ("created MPIJob 'a' with 2 workers", ["created MPIJob 'a' with 2 workers"]),
    ],
)
def test_lines_are_printed_without_tags(printed: str, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    RankOutput().add(printed)

    assert capsys.readouterr().out.splitlines() == lines


def test_rank_writes_each_line_in_one_call() -> None:
    """The socket preserves the boundaries of writes. mpirun would tag two writes of a line twice."""
    test_end, rank_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = "import sys; print('progress: epoch 1/2', flush=True); raise SystemExit('an error')"
    with test_end, rank_end:
        subprocess.run(
            [sys.executable, "-c", program],
            env=rank_environment({**os.environ, "PYTHONUNBUFFERED": "1"}),
            stdout=rank_end.fileno(),
            stderr=rank_end.fileno(),
            check=False,
        )
        rank_end.close()
        writes = list(iter(lambda: test_end.recv(1024), b""))

    assert writes == [b"progress: epoch 1/2\n", b"an error\n"]


def test_ranks_get_the_launchers_environment_without_variables_of_its_pod() -> None:
    of_launcher = {"HOSTNAME", "OMPI_MCA_orte_default_hostfile", "IMAGE_PIPELINES_POD_NAME"}
    of_launcher |= {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"}
    of_ranks = {"IMAGE_PIPELINES_S3_ENDPOINT", "IMAGE_PIPELINES_RANK_GPUS", "LD_LIBRARY_PATH", "PATH"}
    of_ranks |= {"HOROVOD_FUSION_THRESHOLD", "NCCL_DEBUG", "TF_NUM_INTEROP_THREADS"}

    command = mpirun_command(2, "s3a://lake/request.json", of_launcher | of_ranks)

    exported = [name for option, name in pairwise(command) if option == "-x"]
    assert exported == sorted(of_ranks)
    assert command[-1] == "s3a://lake/request.json"


def test_ranks_of_a_pod_do_not_use_single_copy_of_memory() -> None:
    command = mpirun_command(2, "s3a://lake/request.json", [])

    assert ("btl_vader_single_copy_mechanism", "none") in pairwise(command)
    assert ("--mca", "btl_vader_single_copy_mechanism") in pairwise(command)
