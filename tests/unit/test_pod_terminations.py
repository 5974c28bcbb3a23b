"""Why Kubernetes ended a pod of a training: one sentence, before what the launcher's log says.

The pods are objects of the Kubernetes client, with statuses as API servers of version 1.34 write them.
"""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from kubernetes import client

from components.errors import InputError
from components.train_classifier.launcher import RankKilled
from components.train_classifier.mpijob import watch
from components.train_classifier.mpijob.manifest import Identity, Owner, build_job
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.termination import find_cause
from components.train_classifier.mpijob.watch import Deadlines, follow

NAME = "image-training-0123"
RUNNING = client.V1ContainerState(running=client.V1ContainerStateRunning(started_at=datetime(2026, 1, 1, tzinfo=UTC)))
FAILED = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached it"}
SUCCEEDED = {"type": "Succeeded", "status": "True"}
# The end of the launcher's log after a worker's pod is lost.
LOST = "2026-01-01T00:00:01Z Connection to image-training-0123-worker-1 closed by remote host.\n"
DEADLINES = Deadlines(created=60, scheduled=60, running=60, finished=60)


def training_job(slots: int = 1, **status: Any) -> dict[str, Any]:
    """Return an MPIJob of two workers with ranks of 6 GiB."""
    options = JobOptions.model_validate({"placement": {"slots_per_worker": slots, "gpus_per_rank": 0}})
    identity = Identity("here", Owner("v1", "ConfigMap", "run", "1-2-3"), "default")
    job = build_job(NAME, "0123", "image", ["mpirun"], 2 * slots, options, identity)
    return job | {"status": status}


def container(state: client.V1ContainerState, last: client.V1ContainerState | None = None) -> client.V1ContainerStatus:
    return client.V1ContainerStatus(
        name="rank", image="image", image_id="", ready=True, restart_count=0, state=state, last_state=last
    )


def ended(code: int, reason: str = "Error", message: str | None = None) -> client.V1ContainerState:
    return client.V1ContainerState(
        terminated=client.V1ContainerStateTerminated(exit_code=code, reason=reason, message=message)
    )


def pod(name: str, *, uid: str = "1", deleted: bool = False, **status: Any) -> dict[str, Any]:
    """Return a pod as a dictionary, as the API client returns it."""
    made = client.V1Pod(
        metadata=client.V1ObjectMeta(
            name=f"{NAME}-{name}",
            uid=uid,
            deletion_timestamp=datetime(2026, 1, 1, tzinfo=UTC) if deleted else None,
        ),
        spec=client.V1PodSpec(node_name="node-b", containers=[]),
        status=client.V1PodStatus(**{"phase": "Running", "container_statuses": [container(RUNNING)], **status}),
    )
    serialized: dict[str, Any] = client.ApiClient().sanitize_for_serialization(made)
    return serialized


def disruption(reason: str, message: str) -> list[client.V1PodCondition]:
    return [client.V1PodCondition(type="DisruptionTarget", status="True", reason=reason, message=message)]


OOM: dict[str, Any] = {"phase": "Failed", "container_statuses": [container(ended(137, "OOMKilled"))]}
EVICTED_MESSAGE = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
EVICTED: dict[str, Any] = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": EVICTED_MESSAGE,
    "container_statuses": None,
}
RESUMES = r" Its node: 'node-b'\. The next start of the training resumes from the last checkpoint\.$"


def test_worker_out_of_memory_names_rank_limit_and_parameter() -> None:
    error = find_cause(training_job(), pod("worker-1", **OOM))

    assert isinstance(error, InputError)
    assert str(error) == (
        f"rank_memory: the pod '{NAME}-worker-1' of rank 1 exceeded its memory limit of 6 GiB (OOMKilled). Raise"
        " rank_memory of the parameter placement, or lower batch_size."
    )


def test_worker_of_several_ranks_out_of_memory_names_all_of_them() -> None:
    error = find_cause(training_job(slots=4), pod("worker-1", **OOM))

    assert "of ranks 4 to 7 exceeded its memory limit of 24 GiB for 4 ranks (OOMKilled)" in str(error)


def test_restarted_container_out_of_memory_is_found_in_its_last_state() -> None:
    restarted: dict[str, Any] = {"container_statuses": [container(RUNNING, ended(137, "OOMKilled"))]}

    assert isinstance(find_cause(training_job(), pod("worker-0", **restarted)), InputError)


def test_launcher_out_of_memory_is_not_the_ranks_memory() -> None:
    error = find_cause(training_job(), pod("launcher-abcde", **OOM))

    assert str(error).startswith(f"the launcher's pod '{NAME}-launcher-abcde' exceeded its memory limit of 1 GiB (OOM")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (EVICTED, r"was evicted by its node: The node was low on resource: memory\..* available: 90Mi\."),
        ({"phase": "Failed", "reason": "NodeLost"}, r"is lost, because its node does not respond\."),
        (
            {"phase": "Failed", "reason": "Terminated", "message": "Pod was terminated in response to imminent node."},
            r"was ended because its node shuts down: Pod was terminated in response to imminent node\.",
        ),
        (
            {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "Allocate failed"},
            r"failed \(UnexpectedAdmissionError\): Allocate failed\.",
        ),
        (
            {"conditions": disruption("PreemptionByScheduler", "default-scheduler: preempting to accommodate a pod")},
            r"was preempted by a pod of a higher priority: default-scheduler: .*\.",
        ),
        (
            {"conditions": disruption("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")},
            r"was deleted because its node got a taint, e\.g\. because the node is lost: Taint manager: .*\.",
        ),
        (
            {"conditions": disruption("EvictionByEvictionAPI", "Eviction API: evicting")},
            r"was evicted, e\.g\. because its node is drained: Eviction API: evicting\.",
        ),
        (
            {"conditions": disruption("DeletionByPodGC", "PodGC: node no longer exists")},
            r"was deleted because its node no longer exists: PodGC: node no longer exists\.",
        ),
        (
            {"phase": "Failed", "container_statuses": [container(ended(137))]},
            r"was ended by SIGKILL \(exit code 137\), e\.g\. because its node ran out of memory\.",
        ),
        (
            {"phase": "Failed", "container_statuses": [container(ended(143))]},
            r"was ended by SIGTERM \(exit code 143\), e\.g\. because its node shuts down\.",
        ),
    ],
    ids=[
        "evicted", "node lost", "node shut down", "not admitted", "preempted", "tainted", "drained", "collected",
        "exit code 137", "exit code 143",
    ],
)  # fmt: skip
def test_worker_that_its_node_or_the_cluster_ends_is_transient_and_named(status: dict[str, Any], message: str) -> None:
    error = find_cause(training_job(), pod("worker-1", **status))

    assert isinstance(error, RankKilled)
    assert error.transient
    assert re.match(rf"the pod '{NAME}-worker-1' of rank 1 {message}{RESUMES}", str(error)), error


def test_worker_whose_program_can_not_start_is_not_transient() -> None:
    start_error = ended(128, "StartError", 'exec: "/usr/sbin/sshd": stat /usr/sbin/sshd: no such file or directory')

    error = find_cause(training_job(), pod("worker-0", phase="Failed", container_statuses=[container(start_error)]))

    assert isinstance(error, RankKilled)
    assert not error.transient
    assert "of rank 0 ended by itself (StartError, exit code 128): exec: " in str(error)


@pytest.mark.parametrize(
    "calm",
    [
        pod("worker-0"),
        # The operator deletes the workers of a job that has ended.
        pod("worker-0", deleted=True, container_statuses=[container(ended(143))]),
        # The exit code of mpirun is that of a rank.
        pod("launcher-abcde", phase="Failed", container_statuses=[container(ended(137))]),
        pod("worker-0", phase="Pending", container_statuses=None),
    ],
    ids=["running", "deleted by the operator", "launcher", "pending"],
)
def test_pod_that_nothing_ended_from_outside_has_no_cause(calm: dict[str, Any]) -> None:
    assert find_cause(training_job(), calm) is None


class RecordedJobs:
    """The answers of a cluster, one for each poll; the last one is repeated.

    Args:
        polls: For each poll the status of the job, the workers, the launchers and the launcher's log.
    """

    def __init__(self, *polls: tuple[dict[str, Any], list[Any], list[Any], str | None]) -> None:
        self._polls = iter([*polls, *[polls[-1]] * 1000])
        self._poll = polls[0]

    def get(self, name: str) -> dict[str, Any]:
        self._poll = next(self._polls)
        return training_job(conditions=[{"type": "Created", "status": "True"}, self._poll[0]])

    def pods(self, name: str, role: str) -> list[dict[str, Any]]:
        return self._poll[1] if role == "worker" else self._poll[2]

    def read_log(self, pod: str, since_seconds: int | None) -> str | None:
        return self._poll[3]

    def warnings(self, name: str) -> list[str]:
        return []


@pytest.fixture(autouse=True)
def _polls_follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)


NONE: dict[str, Any] = {"type": "Running", "status": "True"}
WORKERS = [pod("worker-0", uid="a"), pod("worker-1", uid="b")]
LAUNCHER = [pod("launcher-abcde")]
FAILED_LAUNCHER = [pod("launcher-abcde", phase="Failed", container_statuses=[container(ended(255))])]


def failure_of(*polls: tuple[dict[str, Any], list[Any], list[Any], str | None], stalled: float = 60) -> Exception:
    """Return the error of a job whose polls are given."""
    deadlines = Deadlines(created=60, scheduled=60, running=60, finished=60, stalled=stalled)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the caller checks it
        follow(RecordedJobs(*polls), NAME, deadlines)  # type: ignore[arg-type]
    return raised.value


def test_evicted_worker_comes_before_the_launchers_log() -> None:
    evicted = [WORKERS[0], pod("worker-1", uid="b", **EVICTED)]

    error = failure_of((NONE, WORKERS, LAUNCHER, ""), (FAILED, evicted, FAILED_LAUNCHER, LOST))

    assert "of rank 1 was evicted by its node" in str(error)


def test_end_of_a_worker_is_remembered_when_the_operator_has_deleted_the_pod() -> None:
    evicted = [WORKERS[0], pod("worker-1", uid="b", deleted=True)]
    evicted[1]["status"]["conditions"] = client.ApiClient().sanitize_for_serialization(
        disruption("EvictionByEvictionAPI", "Eviction API: evicting")
    )

    # In the first poll, the job has not failed yet: the launcher may not notice that a worker is lost.
    assert "of rank 1 was evicted" in str(failure_of((NONE, evicted, LAUNCHER, ""), (FAILED, [], [], None)))


def test_worker_that_is_deleted_while_the_launcher_runs_is_the_reason() -> None:
    deleted = [WORKERS[0], pod("worker-1", uid="b", deleted=True)]

    error = failure_of((NONE, WORKERS, LAUNCHER, ""), (NONE, deleted, LAUNCHER, LOST), (FAILED, [], [], None))

    assert str(error).startswith(f"the pod '{NAME}-worker-1' of rank 1 was deleted. ")


@pytest.mark.parametrize(
    "workers", [[WORKERS[0]], [WORKERS[0], pod("worker-1", uid="other")]], ids=["missing", "replaced"]
)
def test_worker_that_is_gone_while_the_launcher_runs_is_the_reason(workers: list[dict[str, Any]]) -> None:
    error = failure_of((NONE, WORKERS, LAUNCHER, ""), (NONE, workers, LAUNCHER, LOST), (FAILED, [], [], None))

    assert str(error).startswith(f"the pod '{NAME}-worker-1' of rank 1 no longer exists: it was deleted, or its node ")


def test_workers_that_the_operator_deletes_are_not_the_reason() -> None:
    deleted = [pod("worker-0", uid="a", deleted=True), pod("worker-1", uid="b", deleted=True)]
    log = "2026-01-01T00:00:01Z [1,1]<stderr>:OSError: the disk is full\n"

    error = failure_of((NONE, WORKERS, LAUNCHER, log), (FAILED, deleted, FAILED_LAUNCHER, log))

    assert "OSError: the disk is full" in str(error)


def test_rank_that_sigkill_ended_in_a_running_pod_is_most_likely_out_of_memory() -> None:
    log = "2026-01-01T00:00:01Z mpirun noticed that process rank 1 with PID 0 on node vm exited on signal 9 (Killed).\n"
    launcher = [pod("launcher-abcde", phase="Failed", container_statuses=[container(ended(137))])]

    error = failure_of((NONE, WORKERS, LAUNCHER, ""), (FAILED, WORKERS, launcher, log))

    assert isinstance(error, InputError)
    assert str(error) == (
        "rank_memory: rank 1 was killed (SIGKILL), most likely because its pod exceeded its memory limit of 6 GiB."
        " Raise rank_memory of the parameter placement, or lower batch_size."
    )


def test_image_that_can_not_be_pulled_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = client.V1ContainerState(
        waiting=client.V1ContainerStateWaiting(reason="ImagePullBackOff", message='Back-off pulling image "image"')
    )
    pending = [pod("worker-0", phase="Pending", container_statuses=[container(waiting)]), WORKERS[1]]
    monkeypatch.setattr(Deadlines, "for_phase", lambda self, phase: 0.05)

    error = failure_of((NONE, pending, [], None))

    assert isinstance(error, InputError)
    assert f"{NAME}-worker-0: image 'image' could not be pulled: ImagePullBackOff (Back-off pulling" in str(error)


def test_lost_worker_comes_before_the_stall_that_follows_from_it() -> None:
    error = failure_of((NONE, WORKERS, LAUNCHER, ""), (NONE, [WORKERS[0]], LAUNCHER, ""), stalled=0.1)

    assert isinstance(error, RankKilled)
    assert error.transient
    assert str(error).startswith(f"the pod '{NAME}-worker-1' of rank 1 no longer exists")


def test_job_without_progress_ends_with_the_last_lines_of_its_ranks() -> None:
    log = "2026-01-01T00:00:01Z [1,0]<stdout>:liveness: epoch 1, step 3\n2026-01-01T00:00:01Z [1,1]<stdout>:at work\n"

    error = failure_of((NONE, WORKERS, LAUNCHER, log), stalled=0.1)

    assert isinstance(error, RankKilled)
    assert not error.transient
    assert str(error).startswith(
        "the training made no step for 0.1 s, so its ranks were ended. rank 0 at epoch 1, step 3; rank 1 printed 'at"
        " work'. Run this step again to resume"
    )


def test_job_with_an_unavailable_log_is_not_stalled() -> None:
    unavailable = [(NONE, WORKERS, LAUNCHER, None)] * 30

    follow(  # it returns
        RecordedJobs(*unavailable, (SUCCEEDED, [], LAUNCHER, "")),  # type: ignore[arg-type]
        NAME,
        Deadlines(created=60, scheduled=60, running=60, finished=60, stalled=0.05),
    )
