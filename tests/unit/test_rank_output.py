"""The output of ranks under mpirun: printed without tags and frames, and searched for the reason of a failure."""

import os
import signal
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


# Output of `mpirun --tag-output` 4.1 when SIGKILL ends rank 1 of two.
KILLED = """\
[1,0]<stdout>:progress: rank 0 at work
[1,1]<stdout>:progress: rank 1 at work
--------------------------------------------------------------------------
Primary job  terminated normally, but 1 process returned
a non-zero exit code. Per user-direction, the job has been aborted.
--------------------------------------------------------------------------
--------------------------------------------------------------------------
mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).
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


def test_failure_names_the_signal_that_ended_a_rank() -> None:
    output = read_output(KILLED)

    assert output.killed(137) == (1, signal.SIGKILL)
    assert output.failure(137) == (
        "rank 1 of the training was ended by SIGKILL. Its last line: progress: rank 1 at work"
    )


@pytest.mark.parametrize(
    ("text", "code", "killed"),
    [
        # mpirun does not always print which rank a signal ended.
        (KILLED[: KILLED.index("mpirun noticed")], 137, (None, signal.SIGKILL)),
        # A rank that is alone, as a child of the launcher.
        ("progress: epoch 1/2", -11, (None, signal.SIGSEGV)),
        # horovodrun adds 128 to the signal's number.
        ("RuntimeError: Horovod detected\nProcess name: 1\nExit code: 137\n", 1, (1, signal.SIGKILL)),
        (FAILED, 255, None),
        ("", 1, None),
        ("", 0, None),
    ],
)
def test_rank_that_a_signal_ended_is_recognized(text: str, code: int, killed: object) -> None:
    assert read_output(text).killed(code) == killed


def test_liveness_is_progress_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    output = RankOutput()
    started = output._moved_at
    output.add("[1,0]<stdout>:progress: epoch 1/2")
    assert output._moved_at == started

    output.add("[1,1]<stdout>:liveness: epoch 1, step 3")

    assert output._moved_at > started
    assert capsys.readouterr().out == "progress: epoch 1/2\n"


def test_liveness_after_a_progress_bar_without_line_break_counts(capsys: pytest.CaptureFixture[str]) -> None:
    output = RankOutput()

    output.add("83 MB of 83 MB\rliveness: data")

    assert "rank 0 at data" in output.stall(60)
    assert capsys.readouterr().out == "83 MB of 83 MB\r\n"


def test_stall_shows_the_last_lines_of_each_rank_first_those_that_stopped_first() -> None:
    output = read_output(
        "[1,0]<stdout>:liveness: epoch 1, step 3\n"
        "[1,1]<stdout>:liveness: epoch 1, step 3\n"
        "[1,0]<stdout>:liveness: epoch 1, step 4\n"
        "[1,0]<stderr>:one\n[1,0]<stderr>:two\n[1,0]<stderr>:three\n"
    )

    assert output.stall(1800) == (
        "the training made no step for 1800 s, so its ranks were ended. rank 1 at epoch 1, step 3; rank 0 at epoch 1,"
        " step 4, printed 'two', printed 'three'. Run this step again to resume from the last checkpoint. If a step"
        " takes longer, raise IMAGE_PIPELINES_STALL_TIMEOUT_SECONDS."
    )


def test_stall_shows_eight_ranks_at_most() -> None:
    output = read_output("".join(f"[1,{rank}]<stdout>:liveness: data\n" for rank in range(64)))

    assert output.stall(1800).count("at data") == 8
    assert "; and 56 more ranks. Run" in output.stall(1800)


def test_stall_of_silent_ranks_says_so() -> None:
    assert RankOutput().stall(60).startswith("the training made no step for 60 s, so its ranks were ended. No rank ")


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
