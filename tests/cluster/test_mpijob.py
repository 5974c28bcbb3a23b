"""Ranks as an MPIJob on a real cluster with the real MPI operator, and the failures between them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from components.errors import InputError
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.job_record import JOB_FILE
from components.train_classifier.mpijob.launcher import MPIJobLauncher
from components.train_classifier.mpijob.manifest import Identity, Owner, build_job
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.watch import Deadlines
from tests.cluster.api_server_proxy import dropping_proxy
from tests.cluster.namespace import Namespace, eventually
from tests.support.broken_jobs import BROKEN, broken

TASK = Path(__file__).with_name("submitted_job.py")
GPU_POOL = {
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}
FEW_CORES = {"rank_cpu": "10m", "rank_memory": "256Mi"}
OPTIONS: dict[str, Any] = {
    "placement": FEW_CORES,
    "rank_pool": GPU_POOL,
    "launcher_pool": {"node_selector": {"pool": "cpu"}},
}
DEADLINES = Deadlines(created=120, scheduled=120, running=120, finished=600)
# Each rank runs the shell script `rank`; $1 is the number of ranks.
MPIRUN = "mpirun -np $1 --tag-output sh -c '{rank}'"
RUNNING_RANKS = MPIRUN.format(rank="echo progress: rank $OMPI_COMM_WORLD_RANK at work; exec sleep 3600")


@pytest.fixture
def task(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make this process a task of a run, and return the environment variables of the task."""
    environment = namespace.task_environment("image-training-x7k2p")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def request_uri(tmp_path: Path) -> str:
    """URI of a training's request, which no rank of these tests reads."""
    return (tmp_path / "request.json").as_uri()


@pytest.fixture
def launch(task: dict[str, str], trainer_image: str, request_uri: str) -> Callable[..., None]:
    """A function that runs a script as the launcher of an MPIJob, to its end."""

    def run(script: str, deadlines: Deadlines = DEADLINES, **options: Any) -> None:
        launcher = MPIJobLauncher(
            JobOptions.model_validate({**OPTIONS, **options}),
            deadlines,
            Files(),
            trainer_image,
            ["sh", "-c", script, "sh"],
        )
        launch_and_clean_up(launcher, request_uri)

    return run


def launch_and_clean_up(launcher: MPIJobLauncher, request_uri: str) -> None:
    """Run a training of two ranks to its end, and clean up like `train`."""
    try:
        launcher.launch(request_uri, 2)
    finally:
        launcher.clean_up(request_uri)


@pytest.fixture
def submitted(task: dict[str, str], trainer_image: str, request_uri: str) -> Callable[..., Any]:
    """A function that runs a script as the launcher of an MPIJob, from a process that can be killed."""

    @contextmanager
    def run(script: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
        submission = {
            "options": OPTIONS,
            "deadlines": vars(DEADLINES),
            "image": trainer_image,
            "script": script,
            "request_uri": request_uri,
            "ranks": 2,
        }
        with subprocess.Popen(
            [sys.executable, str(TASK), json.dumps(submission)],
            env={**os.environ, **task, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            yield process
            process.kill()

    return run


def workers(namespace: Namespace) -> list[client.V1Pod]:
    return namespace.pods("training.kubeflow.org/job-role=worker")


def launchers(namespace: Namespace) -> list[client.V1Pod]:
    return namespace.pods("training.kubeflow.org/job-role=launcher")


def read_until(process: "subprocess.Popen[str]", text: str) -> list[str]:
    """Return the output of a process up to the first line that contains a text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if text in line:
            return lines
    raise AssertionError("\n".join(lines))


def nothing_is_left(namespace: Namespace) -> bool:
    pods = namespace.pods("training.kubeflow.org/job-name")
    services = namespace.core.list_namespaced_service(namespace.name).items
    return not namespace.mpijobs() and not pods and not services


def test_ranks_run_on_gpu_nodes_and_each_line_is_printed_once(
    namespace: Namespace, submitted: Callable[..., Any], cluster: client.ApiClient
) -> None:
    rank = 'for i in 1 2 3 4 5 6 7 8; do echo "line $i"; sleep 1; done'
    pools = {
        node.metadata.name: node.metadata.labels.get("pool") for node in client.CoreV1Api(cluster).list_node().items
    }

    with submitted(MPIRUN.format(rank=rank)) as process:
        output = read_until(process, "line 1")
        nodes = {pod.metadata.name: pools[pod.spec.node_name] for pod in [*workers(namespace), *launchers(namespace)]}
        gpus = [pod.spec.containers[0].resources.limits["nvidia.com/gpu"] for pod in workers(namespace)]
        assert process.stdout is not None
        output += [line.rstrip("\n") for line in process.stdout]
        assert process.wait() == 0

    assert sorted(nodes.values()) == ["cpu", "gpu", "gpu"]
    assert gpus == ["1", "1"]
    assert [line for line in output if line.startswith("line")] == [f"line {i}" for i in range(1, 9)]
    assert [line for line in output if line.startswith("rank 1:")] == [f"rank 1: line {i}" for i in range(1, 9)]
    assert nothing_is_left(namespace)


def test_ranks_can_share_a_worker_and_the_job_is_recorded(
    namespace: Namespace, launch: Callable[..., None], request_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    launch(MPIRUN.format(rank="echo runs on $(hostname)"), placement=FEW_CORES | {"slots_per_worker": 2})

    hosts = re.findall(r"runs on (\S+)", capsys.readouterr().out)
    job = yaml.safe_load(Files().read_text(uri.join(request_uri.rpartition("/")[0], JOB_FILE)))
    assert len(hosts) == 2
    assert len(set(hosts)) == 1
    worker = job["spec"]["mpiReplicaSpecs"]["Worker"]
    assert (job["kind"], worker["replicas"]) == ("MPIJob", 1)
    assert worker["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert job["status"]["startTime"]
    assert nothing_is_left(namespace)


def test_failed_rank_raises_its_error_and_nothing_is_left(namespace: Namespace, launch: Callable[..., None]) -> None:
    rank = "[ $OMPI_COMM_WORLD_RANK = 1 ] && echo OSError: the disk is full >&2 && exit 3; exec sleep 3600"
    with pytest.raises(
        RuntimeError, match=r"^rank 1 of the training ended with exit code 3: OSError: the disk is full$"
    ):
        launch(MPIRUN.format(rank=rank))
    assert nothing_is_left(namespace)


def test_failed_job_is_replaced(
    namespace: Namespace, launch: Callable[..., None], trainer_image: str, request_uri: str, capsys: Any
) -> None:
    failing = MPIJobLauncher(
        JobOptions.model_validate(OPTIONS), DEADLINES, Files(), trainer_image, ["sh", "-c", "exit 1"]
    )
    with pytest.raises(RuntimeError):
        failing.launch(request_uri, 2)
    assert len(namespace.mpijobs()) == 1

    launch(MPIRUN.format(rank="echo second"))

    assert "second" in capsys.readouterr().out
    assert nothing_is_left(namespace)


def test_job_of_a_killed_task_is_adopted_by_the_next_attempt(
    namespace: Namespace, submitted: Callable[..., Any]
) -> None:
    # The ranks end when this test creates a file in their pods.
    rank = "echo at work; until [ -e /tmp/end ]; do sleep 0.2; done; echo done"
    with submitted(MPIRUN.format(rank=rank)) as first:
        read_until(first, "at work")
        (job,) = namespace.mpijobs()
        first.send_signal(signal.SIGKILL)
        first.wait()
    with submitted(MPIRUN.format(rank=rank)) as second:
        output = read_until(second, "at work")
        assert any(line.startswith("adopted MPIJob ") for line in output)
        assert [each["metadata"]["uid"] for each in namespace.mpijobs()] == [job["metadata"]["uid"]]
        for pod in workers(namespace):
            execute(namespace, pod.metadata.name, ["touch", "/tmp/end"])
        read_until(second, "done")
        assert second.wait() == 0
    assert nothing_is_left(namespace)


def execute(namespace: Namespace, pod: str, command: list[str]) -> None:
    subprocess.run(["kubectl", "exec", f"--namespace={namespace.name}", pod, "--", *command], check=True)


def test_job_of_the_same_training_in_another_run_is_replaced(
    namespace: Namespace, submitted: Callable[..., Any], launch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with submitted(RUNNING_RANKS) as first:
        read_until(first, "at work")
        first.send_signal(signal.SIGKILL)
        first.wait()
    (orphan,) = namespace.mpijobs()
    for name, value in namespace.task_environment("image-training-other").items():
        monkeypatch.setenv(name, value)

    launch(MPIRUN.format(rank="true"))

    assert orphan["metadata"]["name"].startswith("image-training-x7k2p-train-classifier-")
    assert nothing_is_left(namespace)


def test_stuck_job_raises_error_and_no_second_job_is_created(
    namespace: Namespace,
    launch: Callable[..., None],
    trainer_image: str,
    request_uri: str,
    cluster: client.ApiClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("components.train_classifier.mpijob.launcher._DELETION_SECONDS", 1)
    options = JobOptions.model_validate({**OPTIONS, "rank_pool": {"node_selector": {"pool": "nowhere"}}})
    owner = namespace.core.read_namespaced_service_account("default", namespace.name).metadata
    identity = Identity(namespace.name, Owner("v1", "ServiceAccount", "default", owner.uid), "default")
    job = build_job("stuck", uri.digest(request_uri), trainer_image, ["true"], 2, options, identity)
    job["metadata"]["finalizers"] = ["example.com/stuck"]
    custom, kind = client.CustomObjectsApi(cluster), ("kubeflow.org", "v2beta1", namespace.name, "mpijobs")
    custom.create_namespaced_custom_object(*kind, job)

    try:
        with pytest.raises(TimeoutError, match=r"^MPIJobs stuck of the same training were not deleted within 1 s\."):
            launch(RUNNING_RANKS)
        assert not MPIJobLauncher(options, DEADLINES, Files()).clean_up(request_uri)
    finally:
        custom.patch_namespaced_custom_object(*kind, "stuck", {"metadata": {"finalizers": []}})

    assert eventually(lambda: nothing_is_left(namespace))


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (
            "worker",
            r"the pod '.*-worker-[01]' of rank [01] (was deleted|no longer exists: .*)\. The next start .*\.",
        ),
        (
            "launcher",
            r"the MPIJob failed: .* Its launcher pod no longer exists: it was deleted, or its node was lost\.",
        ),
    ],
)
def test_deleted_pod_raises_error(role: str, reason: str, namespace: Namespace, submitted: Callable[..., Any]) -> None:
    with submitted(RUNNING_RANKS) as process:
        read_until(process, "at work")
        pod = namespace.pods(f"training.kubeflow.org/job-role={role}")[0].metadata.name
        namespace.core.delete_namespaced_pod(pod, namespace.name)
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait() != 0

    assert re.fullmatch(rf"[\w.]+: {reason}", output.splitlines()[-1]), output
    assert nothing_is_left(namespace)


def test_request_of_too_many_gpus_raises_error_with_what_the_nodes_lack(
    namespace: Namespace, launch: Callable[..., None]
) -> None:
    deadlines = Deadlines(created=120, scheduled=3, running=120, finished=600)
    with pytest.raises(
        InputError,
        match=r"^gpu_node_selector: the nodes with pool=gpu had no room for 2 of 2 workers within 3 s\."
        r" Each worker requests 10m cpu, 2Gi ephemeral-storage, 256Mi memory, 50 nvidia\.com/gpu\."
        r" 0/\d+ nodes are available: .*Insufficient nvidia\.com/gpu.*"
        r" Add such nodes, or request fewer resources\.$",
    ):
        launch(RUNNING_RANKS, deadlines, placement=FEW_CORES | {"gpus_per_rank": 0}, accelerator_limit="50")
    assert nothing_is_left(namespace)


def test_image_that_can_not_be_pulled_raises_error(
    namespace: Namespace, task: dict[str, str], request_uri: str
) -> None:
    launcher = MPIJobLauncher(
        JobOptions.model_validate(OPTIONS), Deadlines(120, 120, 3, 600), Files(), "localhost/no/image:here", ["true"]
    )
    with pytest.raises(
        InputError, match=r"^launcher: the pods of MPIJob '.*' did not start within 3 s: .*-worker-0: .*Pull"
    ):
        launch_and_clean_up(launcher, request_uri)
    assert nothing_is_left(namespace)


def test_launcher_without_room_raises_error(namespace: Namespace, launch: Callable[..., None]) -> None:
    with pytest.raises(
        InputError,
        match=r"^launcher: the pods of MPIJob '.*' did not start within 20 s: .*-launcher-\w+: 0/\d+ nodes are ",
    ):
        launch(
            RUNNING_RANKS,
            Deadlines(created=120, scheduled=120, running=20, finished=600),
            launcher_pool={"node_selector": {"pool": "nowhere"}},
        )
    assert nothing_is_left(namespace)


def test_training_that_takes_too_long_is_stopped(namespace: Namespace, launch: Callable[..., None]) -> None:
    with pytest.raises(TimeoutError, match=r"^the training did not finish within 1 s\."):
        launch(RUNNING_RANKS, Deadlines(created=120, scheduled=120, running=120, finished=1))
    assert nothing_is_left(namespace)


def test_training_without_progress_is_stopped(namespace: Namespace, launch: Callable[..., None]) -> None:
    with pytest.raises(
        RuntimeError, match=r"^the training made no step for 5 s, so .*rank [01] printed 'progress: rank [01] at work'"
    ):
        launch(RUNNING_RANKS, Deadlines(created=120, scheduled=120, running=120, finished=600, stalled=5))
    assert nothing_is_left(namespace)


def test_job_is_deleted_with_its_run(namespace: Namespace, submitted: Callable[..., Any]) -> None:
    with submitted(RUNNING_RANKS) as process:
        read_until(process, "at work")
        process.send_signal(signal.SIGKILL)
        process.wait()
    namespace.core.delete_namespaced_config_map("image-training-x7k2p", namespace.name)
    assert eventually(lambda: nothing_is_left(namespace))


@contextmanager
def stopped_operator(cluster: client.ApiClient) -> Iterator[Callable[[], None]]:
    """Stop the MPI operator, and restart it when the block ends or the yielded function is called.

    The restart waits until the operator is the leader: the stopped one holds its lease for some more seconds.
    """
    apps = client.AppsV1Api(cluster)
    (deployment,) = apps.list_deployment_for_all_namespaces(field_selector="metadata.name=mpi-operator").items
    name = deployment.metadata.name, deployment.metadata.namespace

    def scale(replicas: int) -> None:
        apps.patch_namespaced_deployment_scale(*name, {"spec": {"replicas": replicas}})
        eventually(lambda: (apps.read_namespaced_deployment(*name).status.ready_replicas or 0) == replicas)
        if replicas:
            eventually(lambda: leader() in pods())

    def leader() -> str:
        leases = client.CoordinationV1Api(cluster).list_lease_for_all_namespaces(
            field_selector="metadata.name=mpi-operator"
        )
        return str(leases.items[0].spec.holder_identity).partition("_")[0]

    def pods() -> set[str]:
        labels = ",".join(f"{key}={value}" for key, value in deployment.spec.selector.match_labels.items())
        found = client.CoreV1Api(cluster).list_namespaced_pod(name[1], label_selector=labels).items
        return {pod.metadata.name for pod in found if pod.metadata.deletion_timestamp is None}

    scale(0)
    try:
        yield lambda: scale(1)
    finally:
        scale(1)


@pytest.mark.slow
def test_training_succeeds_although_the_operator_is_stopped_for_a_minute(
    namespace: Namespace, submitted: Callable[..., Any], cluster: client.ApiClient
) -> None:
    rank = "echo at work; until [ -e /tmp/end ]; do sleep 0.2; done; echo done"
    with stopped_operator(cluster) as restart, submitted(MPIRUN.format(rank=rank)) as process:
        read_until(process, "created MPIJob ")
        time.sleep(60)
        restart()
        read_until(process, "at work")
        with stopped_operator(cluster):
            for pod in workers(namespace):
                execute(namespace, pod.metadata.name, ["touch", "/tmp/end"])
            read_until(process, "done")
        assert process.wait() == 0
    assert nothing_is_left(namespace)


def test_stopped_operator_raises_error(
    namespace: Namespace, launch: Callable[..., None], cluster: client.ApiClient
) -> None:
    with (
        stopped_operator(cluster),
        pytest.raises(InputError, match=r"^launcher: the MPI operator did not process MPIJob '.*' within 1 s\."),
    ):
        launch(RUNNING_RANKS, Deadlines(created=1, scheduled=1, running=1, finished=1))
    assert nothing_is_left(namespace)


def test_operator_rejects_the_jobs_that_validation_rejects(
    namespace: Namespace, cluster: client.ApiClient, trainer_image: str
) -> None:
    owner = namespace.core.read_namespaced_service_account("default", namespace.name).metadata
    identity = Identity(namespace.name, Owner("v1", "ServiceAccount", "default", owner.uid), "default")
    options = JobOptions.model_validate(OPTIONS)
    custom = client.CustomObjectsApi(cluster)
    rejected, created = set(), set()
    for number, (what, path, value, _) in enumerate(BROKEN):
        job = build_job(f"job-{number}", "training", trainer_image, ["true"], 2, options, identity)
        job = broken(job, path, value)
        try:
            custom.create_namespaced_custom_object("kubeflow.org", "v2beta1", namespace.name, "mpijobs", job)
            created.add(job["metadata"]["name"])
        except client.ApiException as error:
            rejected.add((what, error.status))

    def reported() -> set[str]:
        events = namespace.core.list_namespaced_event(namespace.name, field_selector="reason=ValidationError").items
        return {event.involved_object.name for event in events}

    assert eventually(lambda: reported() == created)
    # The API server itself rejects these: by its rules for names, and by the job's schema.
    assert rejected == {("upper case", HTTPStatus.UNPROCESSABLE_ENTITY), ("no roles", HTTPStatus.UNPROCESSABLE_ENTITY)}
    assert not namespace.pods()


@pytest.mark.slow
def test_each_line_is_printed_once_although_connections_drop(
    namespace: Namespace, submitted: Callable[..., Any], tmp_path: Path
) -> None:
    rank = 'for i in 1 2 3 4 5 6 7 8 9; do echo "line $i"; sleep 1; done'
    with (
        dropping_proxy(tmp_path) as (kubeconfig, proxy),
        submitted(MPIRUN.format(rank=rank), KUBECONFIG=str(kubeconfig)) as process,
    ):
        output = []
        for number in (1, 4, 7):
            output += read_until(process, f"line {number}")
            proxy.drop_all()
        assert process.stdout is not None
        output += [line.rstrip("\n") for line in process.stdout]
        assert process.wait() == 0

    assert [line for line in output if line.startswith("line")] == [f"line {i}" for i in range(1, 10)]
    assert nothing_is_left(namespace)


@pytest.mark.slow
def test_each_line_is_printed_once_although_the_api_server_restarts(
    namespace: Namespace, submitted: Callable[..., Any], restart_api_server: Callable[[], None]
) -> None:
    rank = 'for i in 1 2 3 4 5 6 7 8 9; do echo "line $i"; sleep 2; done'
    with submitted(MPIRUN.format(rank=rank)) as process:
        output = read_until(process, "line 2")
        restart_api_server()
        assert process.stdout is not None
        output += [line.rstrip("\n") for line in process.stdout]
        assert process.wait() == 0, "\n".join(output)

    assert [line for line in output if line.startswith("line")] == [f"line {i}" for i in range(1, 10)]
    assert nothing_is_left(namespace)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"pods": "1"}, r"^launcher: the MPI operator could not start .* exceeded quota: none-left"),
        (
            {"count/mpijobs.kubeflow.org": "0"},
            r"^launcher: the cluster rejects the MPIJob: .* exceeded quota: none-left",
        ),
    ],
    ids=["of pods", "of jobs"],
)
def test_exhausted_quota_raises_error(
    limit: dict[str, str], message: str, namespace: Namespace, launch: Callable[..., None]
) -> None:
    quota = client.V1ResourceQuota(
        metadata=client.V1ObjectMeta(name="none-left"), spec=client.V1ResourceQuotaSpec(hard=limit)
    )
    namespace.core.create_namespaced_resource_quota(namespace.name, quota)
    eventually(lambda: namespace.core.read_namespaced_resource_quota("none-left", namespace.name).status.used)

    with pytest.raises(InputError, match=message):
        launch(RUNNING_RANKS, Deadlines(created=5, scheduled=120, running=120, finished=600))
    assert nothing_is_left(namespace)


def test_cluster_without_the_mpi_operator_raises_error(
    launch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The older training-operator has MPIJobs of this version.
    monkeypatch.setattr("components.train_classifier.mpijob.cluster.API_VERSION", "v1")

    with pytest.raises(InputError, match=r"^launcher: this cluster has no MPIJob of kubeflow\.org/v2beta1\. Install "):
        launch(RUNNING_RANKS)
