"""What ranks print under Open MPI's mpirun: passed on without its frames, and searched for the reason of a failure."""

from itertools import pairwise

import pytest

from components.train_classifier.mpirun import mpirun_command
from components.train_classifier.said import Said

# As `mpirun --tag-output` 4.1 prints it, when rank 1 of two ends with exit code 3.
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


def said(text: str) -> Said:
    heard = Said()
    for line in text.splitlines():
        heard.add(line)
    return heard


def test_the_rank_that_failed_first_is_told_with_its_error() -> None:
    assert said(FAILED).failure(255) == "rank 1 of the training ended with exit code 3: OSError: the disk is full"


def test_the_first_rank_with_an_error_is_told_where_mpirun_names_none() -> None:
    cut = FAILED[: FAILED.index("mpirun detected")]

    assert said(cut).failure(3) == "rank 1 of the training ended with exit code 3: OSError: the disk is full"


def test_a_failure_of_no_rank_is_told_by_what_mpirun_says() -> None:
    assert said(LOST).failure(1) == (
        "the training ended with exit code 1: ORTE has lost communication with a remote daemon."
    )


def test_rank_0_is_passed_on_as_it_is_and_the_others_with_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    said(FAILED)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "progress: epoch 1/2 loss=0.5"
    assert lines[1] == "[1]<stdout>:a line of another rank"
    assert not any(line.startswith("---") for line in lines)


def test_ranks_get_the_launcher_s_environment_but_what_is_its_own() -> None:
    own = {"HOSTNAME", "NVIDIA_VISIBLE_DEVICES", "OMPI_MCA_orte_default_hostfile", "IMAGE_PIPELINES_POD_NAME"}
    theirs = {"IMAGE_PIPELINES_S3_ENDPOINT", "LD_LIBRARY_PATH", "PATH"}

    command = mpirun_command(2, "s3a://lake/request.json", own | theirs)

    exported = [name for option, name in pairwise(command) if option == "-x"]
    assert exported == sorted(theirs)
    assert command[-1] == "s3a://lake/request.json"
