"""Ranks as an MPIJob: a real cluster, the real MPI operator, and everything that can go wrong between them."""

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
from components.storage import files, uri
from components.train_classifier.job_file import JOB_FILE
from components.train_classifier.mpijob.launcher import MPIJobLauncher
from components.train_classifier.mpijob.manifest import Identity, Owner, build_job
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.watch import Deadlines
from tests.broken_jobs import BROKEN, broken
from tests.cluster.dropping_proxy import dropping_proxy
from tests.cluster.namespace import Namespace, eventually

TASK = Path(__file__).with_name("submitted_job.py")
GPU_POOL = {
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
}
OPTIONS: dict[str, Any] = {
    "gpus_per_rank": 1,
    "rank_resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
    "rank_pool": GPU_POOL,
    "launcher_pool": {"node_selector": {"pool": "cpu"}},
}
DEADLINES = Deadlines(created=120, scheduled=120, running=120, finished=600)
# Each rank does `RANK`, a shell's script; $1 is the number of ranks.
MPIRUN = "mpirun -np $1 --tag-output sh -c '{rank}'"
RANKS_AT_WORK = MPIRUN.format(rank="echo progress: rank $OMPI_COMM_WORLD_RANK at work; exec sleep 3600")


@pytest.fixture
def task(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Make this process a task of a run, and return the environment that tells it so."""
    environment = namespace.task_environment("image-training-x7k2p")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture
def request_uri(tmp_path: Path) -> str:
    """The request of a training, that no rank of these tests reads."""
    return (tmp_path / "request.json").as_uri()


@pytest.fixture
def launch(task: dict[str, str], trainer_image: str, request_uri: str) -> Callable[..., None]:
    """Run a script as a job's launcher, to its end."""

    def run(script: str, deadlines: Deadlines = DEADLINES, **options: Any) -> None:
        launcher = MPIJobLauncher(
            JobOptions.model_validate({**OPTIONS, **options}), deadlines, trainer_image, ["sh", "-c", script, "sh"]
        )
        launcher.launch(request_uri, 2)

    return run


@pytest.fixture
def submitted(task: dict[str, str], trainer_image: str, request_uri: str) -> Callable[..., Any]:
    """Run a script as a job's launcher, from a process that can be killed."""

    @contextmanager
    def run(script: str, **environment: str) -> Iterator["subprocess.Popen[str]"]:
        asked = {
            "options": OPTIONS,
            "deadlines": vars(DEADLINES),
            "image": trainer_image,
            "script": script,
            "request_uri": request_uri,
            "ranks": 2,
        }
        with subprocess.Popen(
            [sys.executable, str(TASK), json.dumps(asked)],
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
    """Return what a process printed up to the first line that has a text."""
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


def test_ranks_run_on_gpu_nodes_and_each_line_is_told_once(
    namespace: Namespace, submitted: Callable[..., Any], cluster: client.ApiClient
) -> None:
    rank = 'for i in 1 2 3 4 5 6 7 8; do echo "line $i"; sleep 1; done'
    pools = {
        node.metadata.name: node.metadata.labels.get("pool") for node in client.CoreV1Api(cluster).list_node().items
    }

    with submitted(MPIRUN.format(rank=rank)) as process:
        said = read_until(process, "line 1")
        nodes = {pod.metadata.name: pools[pod.spec.node_name] for pod in [*workers(namespace), *launchers(namespace)]}
        gpus = [pod.spec.containers[0].resources.limits["nvidia.com/gpu"] for pod in workers(namespace)]
        assert process.stdout is not None
        said += [line.rstrip("\n") for line in process.stdout]
        assert process.wait() == 0

    assert sorted(nodes.values()) == ["cpu", "gpu", "gpu"]
    assert gpus == ["1", "1"]
    assert [line for line in said if line.startswith("line")] == [f"line {i}" for i in range(1, 9)]
    assert [line for line in said if line.startswith("[1]")] == [f"[1]<stdout>:line {i}" for i in range(1, 9)]
    assert nothing_is_left(namespace)


def test_ranks_may_share_a_worker_and_what_ran_is_kept_as_the_job_s_yaml(
    namespace: Namespace, launch: Callable[..., None], request_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    launch(MPIRUN.format(rank="echo runs on $(hostname)"), slots_per_worker=2)

    hosts = re.findall(r"runs on (\S+)", capsys.readouterr().out)
    job = yaml.safe_load(files.read_text(uri.join(request_uri.rpartition("/")[0], JOB_FILE)))
    assert len(hosts) == 2
    assert len(set(hosts)) == 1
    worker = job["spec"]["mpiReplicaSpecs"]["Worker"]
    assert (job["kind"], worker["replicas"]) == ("MPIJob", 1)
    assert worker["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert job["status"]["startTime"]
    assert nothing_is_left(namespace)


def test_a_rank_that_fails_is_told_with_its_last_words_and_nothing_is_left(
    namespace: Namespace, launch: Callable[..., None]
) -> None:
    rank = "[ $OMPI_COMM_WORLD_RANK = 1 ] && echo OSError: the disk is full >&2 && exit 3; exec sleep 3600"
    with pytest.raises(
        RuntimeError, match=r"^rank 1 of the training ended with exit code 3: OSError: the disk is full$"
    ):
        launch(MPIRUN.format(rank=rank))
    assert nothing_is_left(namespace)


def test_a_failed_job_is_started_again(namespace: Namespace, launch: Callable[..., None], capsys: Any) -> None:
    with pytest.raises(RuntimeError):
        launch("exit 1")
    launch(MPIRUN.format(rank="echo second"))
    assert "second" in capsys.readouterr().out


def test_a_killed_task_s_job_goes_on_and_the_next_try_adopts_it(
    namespace: Namespace, submitted: Callable[..., Any]
) -> None:
    # The ranks end when they are told to by a file that this test makes.
    rank = "echo at work; until [ -e /tmp/end ]; do sleep 0.2; done; echo done"
    with submitted(MPIRUN.format(rank=rank)) as first:
        read_until(first, "at work")
        (job,) = namespace.mpijobs()
        first.send_signal(signal.SIGKILL)
        first.wait()
    with submitted(MPIRUN.format(rank=rank)) as second:
        said = read_until(second, "at work")
        assert any("is adopted" in line for line in said)
        assert [each["metadata"]["uid"] for each in namespace.mpijobs()] == [job["metadata"]["uid"]]
        for pod in workers(namespace):
            execute(namespace, pod.metadata.name, ["touch", "/tmp/end"])
        read_until(second, "done")
        assert second.wait() == 0
    assert nothing_is_left(namespace)


def execute(namespace: Namespace, pod: str, command: list[str]) -> None:
    subprocess.run(["kubectl", "exec", f"--namespace={namespace.name}", pod, "--", *command], check=True)


def test_a_job_of_the_same_training_whose_run_is_another_gives_way(
    namespace: Namespace, submitted: Callable[..., Any], launch: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with submitted(RANKS_AT_WORK) as first:
        read_until(first, "at work")
        first.send_signal(signal.SIGKILL)
        first.wait()
    (orphan,) = namespace.mpijobs()
    for name, value in namespace.task_environment("image-training-other").items():
        monkeypatch.setenv(name, value)

    launch(MPIRUN.format(rank="true"))

    assert orphan["metadata"]["name"].startswith("image-training-x7k2p-train-classifier-")
    assert nothing_is_left(namespace)


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        ("worker", r"the training ended with exit code \d+: .*(closed by remote host|lost communication .*)\."),
        ("launcher", r"the job failed: .* Its launcher pod is gone: it was deleted, or its node was lost\."),
    ],
)
def test_a_pod_that_is_deleted_while_ranks_train_is_one_clear_error(
    role: str, reason: str, namespace: Namespace, submitted: Callable[..., Any]
) -> None:
    with submitted(RANKS_AT_WORK) as process:
        read_until(process, "at work")
        pod = namespace.pods(f"training.kubeflow.org/job-role={role}")[0].metadata.name
        namespace.core.delete_namespaced_pod(pod, namespace.name)
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait() != 0

    assert re.fullmatch(f"RuntimeError: {reason}", said.splitlines()[-1]), said
    assert nothing_is_left(namespace)


def test_too_many_gpus_name_the_pool_and_what_it_lacks_and_leave_nothing(
    namespace: Namespace, launch: Callable[..., None]
) -> None:
    deadlines = Deadlines(created=120, scheduled=3, running=120, finished=600)
    with pytest.raises(
        InputError,
        match=r"^gpu_node_selector: the nodes with pool=gpu had no room for 2 of 2 workers, which ask for 10m cpu, 32Mi"
        r" memory, 50 nvidia\.com/gpu each, within 3 s\. 0/\d+ nodes are available: .*Insufficient nvidia\.com/gpu.*"
        r" Add such nodes, or ask for less\.$",
    ):
        launch(RANKS_AT_WORK, deadlines, gpus_per_rank=50)
    assert nothing_is_left(namespace)


def test_an_image_that_can_not_be_pulled_is_told(namespace: Namespace, task: dict[str, str], request_uri: str) -> None:
    launcher = MPIJobLauncher(
        JobOptions.model_validate(OPTIONS), Deadlines(120, 120, 3, 600), "localhost/no/image:here", ["true"]
    )
    with pytest.raises(
        InputError, match=r"^launcher: the pods of job '.*' did not run within 3 s: .*-worker-0: .*Pull"
    ):
        launcher.launch(request_uri, 2)
    assert nothing_is_left(namespace)


def test_a_launcher_that_finds_no_room_is_told(namespace: Namespace, launch: Callable[..., None]) -> None:
    with pytest.raises(
        InputError, match=r"^launcher: the pods of job '.*' did not run within 20 s: .*-launcher-\w+: 0/\d+ nodes are "
    ):
        launch(
            RANKS_AT_WORK,
            Deadlines(created=120, scheduled=120, running=20, finished=600),
            launcher_pool={"node_selector": {"pool": "nowhere"}},
        )
    assert nothing_is_left(namespace)


def test_a_training_that_takes_too_long_is_ended(namespace: Namespace, launch: Callable[..., None]) -> None:
    with pytest.raises(TimeoutError, match=r"^the training did not finish within 1 s\."):
        launch(RANKS_AT_WORK, Deadlines(created=120, scheduled=120, running=120, finished=1))
    assert nothing_is_left(namespace)


def test_a_job_goes_when_its_run_goes(namespace: Namespace, submitted: Callable[..., Any]) -> None:
    with submitted(RANKS_AT_WORK) as process:
        read_until(process, "at work")
        process.send_signal(signal.SIGKILL)
        process.wait()
    namespace.core.delete_namespaced_config_map("image-training-x7k2p", namespace.name)
    assert eventually(lambda: nothing_is_left(namespace))


@contextmanager
def operator_away(cluster: client.ApiClient) -> Iterator[Callable[[], None]]:
    """Stop the MPI operator, and start it again at the end, or when what is yielded is called.

    It is back when it leads: the one before it keeps its lease for some seconds more.
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


def test_the_operator_may_be_away_for_a_minute_when_a_job_is_made_and_when_it_ends(
    namespace: Namespace, submitted: Callable[..., Any], cluster: client.ApiClient
) -> None:
    rank = "echo at work; until [ -e /tmp/end ]; do sleep 0.2; done; echo done"
    with operator_away(cluster) as back, submitted(MPIRUN.format(rank=rank)) as process:
        read_until(process, "is created")
        time.sleep(60)
        back()
        read_until(process, "at work")
        with operator_away(cluster):
            for pod in workers(namespace):
                execute(namespace, pod.metadata.name, ["touch", "/tmp/end"])
            read_until(process, "done")
        assert process.wait() == 0
    assert nothing_is_left(namespace)


def test_an_operator_that_is_not_there_is_told(
    namespace: Namespace, launch: Callable[..., None], cluster: client.ApiClient
) -> None:
    with (
        operator_away(cluster),
        pytest.raises(InputError, match=r"^launcher: the MPI operator did not take up job '.*' within 1 s\."),
    ):
        launch(RANKS_AT_WORK, Deadlines(created=1, scheduled=1, running=1, finished=1))
    assert nothing_is_left(namespace)


def test_the_operator_refuses_what_is_refused_before_it_is_sent(
    namespace: Namespace, cluster: client.ApiClient, trainer_image: str
) -> None:
    owner = namespace.core.read_namespaced_service_account("default", namespace.name).metadata
    identity = Identity(namespace.name, Owner("v1", "ServiceAccount", "default", owner.uid), "default")
    options = JobOptions.model_validate(OPTIONS)
    custom = client.CustomObjectsApi(cluster)
    refused, sent = set(), set()
    for number, (what, path, value, _) in enumerate(BROKEN):
        job = build_job(f"job-{number}", "training", trainer_image, ["true"], 2, options, identity)
        job = broken(job, path, value)
        try:
            custom.create_namespaced_custom_object("kubeflow.org", "v2beta1", namespace.name, "mpijobs", job)
            sent.add(job["metadata"]["name"])
        except client.ApiException as error:
            refused.add((what, error.status))

    def reported() -> set[str]:
        events = namespace.core.list_namespaced_event(namespace.name, field_selector="reason=ValidationError").items
        return {event.involved_object.name for event in events}

    assert eventually(lambda: reported() == sent)
    # These the API server refuses itself: by its rules for names, and by the job's schema.
    assert refused == {("upper case", HTTPStatus.UNPROCESSABLE_ENTITY), ("no roles", HTTPStatus.UNPROCESSABLE_ENTITY)}
    assert not namespace.pods()


def test_a_connection_that_drops_costs_no_line_and_doubles_none(
    namespace: Namespace, submitted: Callable[..., Any], tmp_path: Path
) -> None:
    rank = 'for i in 1 2 3 4 5 6 7 8 9; do echo "line $i"; sleep 1; done'
    with (
        dropping_proxy(tmp_path) as (kubeconfig, proxy),
        submitted(MPIRUN.format(rank=rank), KUBECONFIG=str(kubeconfig)) as process,
    ):
        said = []
        for number in (1, 4, 7):
            said += read_until(process, f"line {number}")
            proxy.drop_all()
        assert process.stdout is not None
        said += [line.rstrip("\n") for line in process.stdout]
        assert process.wait() == 0

    assert [line for line in said if line.startswith("line")] == [f"line {i}" for i in range(1, 10)]
    assert nothing_is_left(namespace)


def test_a_restarted_api_server_costs_no_line_and_doubles_none(
    namespace: Namespace, submitted: Callable[..., Any], restart_api_server: Callable[[], None]
) -> None:
    rank = 'for i in 1 2 3 4 5 6 7 8 9; do echo "line $i"; sleep 2; done'
    with submitted(MPIRUN.format(rank=rank)) as process:
        said = read_until(process, "line 2")
        restart_api_server()
        assert process.stdout is not None
        said += [line.rstrip("\n") for line in process.stdout]
        assert process.wait() == 0, "\n".join(said)

    assert [line for line in said if line.startswith("line")] == [f"line {i}" for i in range(1, 10)]
    assert nothing_is_left(namespace)


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"pods": "1"}, r"^launcher: the MPI operator could not start .* exceeded quota: none-left"),
        ({"count/mpijobs.kubeflow.org": "0"}, r"^launcher: the cluster refuses the job: .* exceeded quota: none-left"),
    ],
    ids=["of pods", "of jobs"],
)
def test_a_quota_that_leaves_no_room_is_told(
    limit: dict[str, str], sentence: str, namespace: Namespace, launch: Callable[..., None]
) -> None:
    quota = client.V1ResourceQuota(
        metadata=client.V1ObjectMeta(name="none-left"), spec=client.V1ResourceQuotaSpec(hard=limit)
    )
    namespace.core.create_namespaced_resource_quota(namespace.name, quota)
    eventually(lambda: namespace.core.read_namespaced_resource_quota("none-left", namespace.name).status.used)

    with pytest.raises(InputError, match=sentence):
        launch(RANKS_AT_WORK, Deadlines(created=5, scheduled=120, running=120, finished=600))
    assert nothing_is_left(namespace)


def test_a_cluster_without_these_jobs_is_told(launch: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    # As where the training-operator is installed instead: its jobs are of another version.
    monkeypatch.setattr("components.train_classifier.mpijob.cluster.API_VERSION", "v1")

    with pytest.raises(InputError, match=r"^launcher: this cluster has no MPIJob of kubeflow\.org/v1\. Install "):
        launch(RANKS_AT_WORK)
