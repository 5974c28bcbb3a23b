"""The MPIJob that is made of a task's settings: its names, pools, sizes, and the operator's rules."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp.dsl import TaskConfig

from components.errors import InputError
from components.train_classifier.mpijob.manifest import Identity, Owner, build_job, worker_resources
from components.train_classifier.mpijob.naming import job_name
from components.train_classifier.mpijob.options import JobOptions, Resources
from components.train_classifier.mpijob.validation import validate
from tests.broken_jobs import BROKEN, broken

IDENTITY = Identity("here", Owner("argoproj.io/v1alpha1", "Workflow", "image-training-x7k2p", "1-2-3"), "runner")
CPU_TOLERATION = {"key": "spot", "operator": "Exists"}
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
# As KFP's driver passes it on.
TASK = TaskConfig(
    node_selector={"pool": "cpu"},
    tolerations=[CPU_TOLERATION],
    env=[
        {"name": "IMAGE_PIPELINES_LAKE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LAKE"}}},
        {"name": "IMAGE_PIPELINES_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow"},
    ],
    volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    volume_mounts=[{"name": "data", "mountPath": "/data"}],
    resources={"requests": {"cpu": "1500m", "memory": "3Gi"}, "limits": {"memory": "3Gi"}},
)


def job_of(options: JobOptions, ranks: int = 2, name: str = "a-job") -> dict[str, Any]:
    return build_job(name, "0123", "image", ["mpirun"], ranks, options, IDENTITY)


def pod_of(job: dict[str, Any], role: str) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["mpiReplicaSpecs"][role]["template"]["spec"]
    return spec


def container_of(job: dict[str, Any], role: str) -> dict[str, Any]:
    (container,) = pod_of(job, role)["containers"]
    return dict(container)


def test_workers_go_to_the_gpu_pool_and_the_launcher_stays_with_the_task() -> None:
    job = job_of(JobOptions.make(TASK, node_selector={"pool": "gpu"}, tolerations=[GPU_TOLERATION]))

    assert pod_of(job, "Worker")["nodeSelector"] == {"pool": "gpu"}
    assert pod_of(job, "Worker")["tolerations"] == [CPU_TOLERATION, GPU_TOLERATION]
    assert pod_of(job, "Launcher")["nodeSelector"] == {"pool": "cpu"}
    assert pod_of(job, "Launcher")["tolerations"] == [CPU_TOLERATION]


def test_without_a_pool_of_their_own_workers_go_where_the_task_is() -> None:
    job = job_of(JobOptions.make(TASK))

    assert pod_of(job, "Worker")["nodeSelector"] == {"pool": "cpu"}
    assert pod_of(job, "Worker")["tolerations"] == [CPU_TOLERATION]


@pytest.mark.parametrize(
    ("ranks", "slots", "gpus", "workers", "resources"),
    [
        (2, 1, 1, 2, ("1500m", "3Gi", "1")),
        (4, 2, 1, 2, ("3.000", str(6 * 2**30), "2")),
        (8, 8, 2, 1, ("12.000", str(24 * 2**30), "16")),
        (3, 1, 0, 3, ("1500m", "3Gi", None)),
    ],
)
def test_a_worker_has_what_its_ranks_need(
    ranks: int, slots: int, gpus: int, workers: int, resources: tuple[str, str, str | None]
) -> None:
    job = job_of(JobOptions.make(TASK, slots_per_worker=slots, gpus_per_rank=gpus), ranks)

    assert job["spec"]["slotsPerWorker"] == slots
    assert job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"] == workers
    cpu, memory, gpu = resources
    asked = container_of(job, "Worker")["resources"]
    assert asked["requests"] == {"cpu": cpu, "memory": memory}
    assert asked["limits"].get("nvidia.com/gpu") == gpu
    assert asked["limits"]["memory"] == memory
    assert "nvidia.com/gpu" not in container_of(job, "Launcher")["resources"]["limits"]


def test_an_accelerator_of_the_task_is_its_ranks() -> None:
    task = TaskConfig(resources={"limits": {"nvidia.com/gpu": "2"}})

    assert worker_resources(JobOptions.make(task))["limits"] == {"nvidia.com/gpu": "2"}
    assert worker_resources(JobOptions.make(task, gpus_per_rank=1))["limits"] == {"nvidia.com/gpu": "1"}


def test_slots_that_do_not_make_the_ranks_are_refused() -> None:
    with pytest.raises(InputError, match=r"^slots_per_worker: 2 does not divide 3 ranks\."):
        job_of(JobOptions.make(TASK, slots_per_worker=2), ranks=3)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"slots_per_worker": 0}, r"^slots_per_worker: .*got 0\."),
        ({"gpus_per_rank": -1}, r"^gpus_per_rank: .*got -1\."),
        ({"node_selector": {"pool": 1}}, r"^rank_pool\.node_selector\.pool: .*string.*got 1\."),
        ({"tolerations": [{"keys": "nvidia.com/gpu"}]}, r"^rank_pool\.tolerations\.1\.keys: "),
        ({"tolerations": [{"operator": "exists"}]}, r"^rank_pool\.tolerations\.1\.operator: .*'Exists' or 'Equal'"),
    ],
)
def test_options_that_make_no_sense_are_told(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        JobOptions.make(TASK, **values)


def test_a_quantity_that_is_none_is_told() -> None:
    options = JobOptions(rank_resources=Resources(requests={"cpu": "two"}))
    with pytest.raises(InputError, match=r"^cpu: 'two' is no quantity\."):
        job_of(options)


def test_on_a_laptop_the_task_s_configuration_is_empty() -> None:
    assert JobOptions.make(TaskConfig()) == JobOptions()


def test_ranks_get_the_task_s_environment_and_volumes_but_not_what_is_the_task_s_alone() -> None:
    job = job_of(JobOptions.make(TASK))

    for role in ("Launcher", "Worker"):
        container = container_of(job, role)
        assert [each["name"] for each in container["env"]] == ["IMAGE_PIPELINES_LAKE", "MLFLOW_TRACKING_URI"]
        assert TASK.volume_mounts[0] in container["volumeMounts"]
        assert TASK.volumes[0] in pod_of(job, role)["volumes"]


def test_shared_memory_is_a_quarter_of_the_worker_s() -> None:
    for slots, size in ((1, 3 * 2**28), (2, 3 * 2**29)):
        pod = pod_of(job_of(JobOptions.make(TASK, slots_per_worker=slots)), "Worker")
        volume = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}
        assert volume in pod["volumes"]
        assert {"name": "shared-memory", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]
    unlimited = pod_of(job_of(JobOptions()), "Worker")["volumes"]
    assert unlimited == [{"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]


def test_the_job_belongs_to_the_run_and_its_pods_to_our_policies() -> None:
    job = job_of(JobOptions.make(TASK))

    (owner,) = job["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "name": "image-training-x7k2p",
        "uid": "1-2-3",
    }
    for role in ("Launcher", "Worker"):
        metadata = job["spec"]["mpiReplicaSpecs"][role]["template"]["metadata"]
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "image-pipelines"
        assert metadata["annotations"] == {"sidecar.istio.io/inject": "false"}
        assert job["spec"]["mpiReplicaSpecs"][role]["restartPolicy"] == "Never"
        assert pod_of(job, role)["serviceAccountName"] == "runner"
        assert pod_of(job, role)["automountServiceAccountToken"] is False


names = st.text(max_size=120)


@given(run=names, task=names, training=names, workers=st.integers(1, 2000))
def test_any_run_and_task_make_names_that_the_operator_takes(run: str, task: str, training: str, workers: int) -> None:
    name = job_name(run, task, training, workers)

    for pod in (f"{name}-worker-{workers - 1}", f"{name}-launcher"):
        assert len(pod) <= 63
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", pod)
    validate(job_of(JobOptions(), ranks=workers, name=name))


@given(first=st.tuples(names, names, names), second=st.tuples(names, names, names))
def test_another_run_task_or_training_makes_another_name(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    assert (job_name(*first, 2) == job_name(*second, 2)) == (first == second)


def test_a_name_tells_the_run_and_the_task() -> None:
    name = job_name("image-training-x7k2p", "train-classifier", "0123", 2)

    assert re.fullmatch(r"image-training-x7k2p-train-classifier-[0-9a-f]{8}", name)


@pytest.mark.parametrize(("path", "value", "reason"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_job_that_the_operator_would_refuse_is_refused(path: list[str], value: Any, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^mpijob: .*{re.escape(reason)}"):
        validate(broken(job_of(JobOptions.make(TASK)), path, value))


def test_a_job_that_is_made_here_breaks_no_rule() -> None:
    validate(job_of(JobOptions.make(TASK, 2, 1, {"pool": "gpu"}, [GPU_TOLERATION]), ranks=4))
