"""The MPIJob of a training: names, pools, sizes, and the operator's rules."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp.dsl import TaskConfig
from kubernetes.utils.quantity import parse_quantity
from pydantic import ValidationError

from components.errors import InputError
from components.parameters import Placement, parse
from components.train_classifier.environment import THREADS
from components.train_classifier.mpijob.manifest import Identity, Owner, build_job, job_name, worker_resources
from components.train_classifier.mpijob.options import JobOptions, Pool
from components.train_classifier.mpijob.validation import validate
from tests.support.broken_jobs import BROKEN, broken

IDENTITY = Identity("here", Owner("argoproj.io/v1alpha1", "Workflow", "image-training-x7k2p", "1-2-3"), "runner")
CPU_TOLERATION = {"key": "spot", "operator": "Exists"}
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
# The configuration as KFP's driver passes it.
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
    resources={"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
)
RANK: dict[str, Any] = {"rank_cpu": "1500m", "rank_memory": "3Gi"}


# Ranks in the task's pool, without GPUs.
ON_CPUS = Placement(gpu_node_selector={}, gpu_tolerations=[], gpus_per_rank=0)


def options_of(task: TaskConfig, **placement: Any) -> JobOptions:
    return JobOptions.make(task, ON_CPUS.model_copy(update=placement))


def job_of(options: JobOptions, ranks: int = 2, name: str = "a-job") -> dict[str, Any]:
    return build_job(name, "0123", "image", ["mpirun"], ranks, options, IDENTITY)


def pod_of(job: dict[str, Any], role: str) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["mpiReplicaSpecs"][role]["template"]["spec"]
    return spec


def container_of(job: dict[str, Any], role: str) -> dict[str, Any]:
    (container,) = pod_of(job, role)["containers"]
    return dict(container)


def test_workers_get_the_gpu_pool_and_the_launcher_the_tasks_pool() -> None:
    job = job_of(JobOptions.make(TASK, Placement()))

    assert pod_of(job, "Worker")["nodeSelector"] == {"pool": "gpu"}
    assert pod_of(job, "Worker")["tolerations"] == [CPU_TOLERATION, GPU_TOLERATION]
    assert pod_of(job, "Launcher")["nodeSelector"] == {"pool": "cpu"}
    assert pod_of(job, "Launcher")["tolerations"] == [CPU_TOLERATION]


def test_workers_without_own_pool_get_the_tasks_pool() -> None:
    job = job_of(options_of(TASK))

    assert pod_of(job, "Worker")["nodeSelector"] == {"pool": "cpu"}
    assert pod_of(job, "Worker")["tolerations"] == [CPU_TOLERATION]


@pytest.mark.parametrize(
    ("ranks", "slots", "gpus", "workers", "resources"),
    [
        (2, 1, 1, 2, ("1500m", "3Gi", "1")),
        (4, 2, 1, 2, ("3000m", str(6 * 2**30), "2")),
        (8, 8, 1, 1, ("12000m", str(24 * 2**30), "8")),
        (3, 1, 0, 3, ("1500m", "3Gi", None)),
    ],
)
def test_worker_requests_the_resources_of_its_ranks(
    ranks: int, slots: int, gpus: int, workers: int, resources: tuple[str, str, str | None]
) -> None:
    job = job_of(options_of(TASK, slots_per_worker=slots, gpus_per_rank=gpus, **RANK), ranks)

    assert job["spec"]["slotsPerWorker"] == slots
    assert job["spec"]["mpiReplicaSpecs"]["Worker"]["replicas"] == workers
    cpu, memory, gpu = resources
    requested = container_of(job, "Worker")["resources"]
    assert requested["requests"] == {"cpu": cpu, "memory": memory, "ephemeral-storage": f"{2 * slots}Gi"}
    assert requested["limits"].get("nvidia.com/gpu") == gpu
    assert requested["limits"]["memory"] == memory
    assert "nvidia.com/gpu" not in container_of(job, "Launcher")["resources"]["limits"]


def test_each_rank_gets_the_accelerator_limit_of_the_task() -> None:
    task = TaskConfig(resources={"limits": {"nvidia.com/gpu": "1"}})

    assert worker_resources(options_of(task))["limits"]["nvidia.com/gpu"] == "1"
    assert worker_resources(options_of(task, slots_per_worker=4))["limits"]["nvidia.com/gpu"] == "4"
    none = TaskConfig(resources={"limits": {"nvidia.com/gpu": "0"}})
    assert worker_resources(options_of(none))["limits"].keys() == {"memory"}
    assert worker_resources(options_of(none, gpus_per_rank=1))["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize(
    ("task", "gpus", "rank_gpus"),
    [
        (TASK, 0, "0"),
        (TASK, 1, "1"),
        (TaskConfig(resources={"limits": {"nvidia.com/gpu": "1"}}), 0, "1"),
    ],
    ids=["no GPU", "gpus_per_rank", "limit of the task"],
)
def test_environment_has_the_number_of_gpus_of_a_rank(task: TaskConfig, gpus: int, rank_gpus: str) -> None:
    job = job_of(options_of(task, slots_per_worker=2, gpus_per_rank=gpus))

    for role in ("Launcher", "Worker"):
        assert {"name": "IMAGE_PIPELINES_RANK_GPUS", "value": rank_gpus} in container_of(job, role)["env"]


@pytest.mark.parametrize(("limit", "gpus"), [("2", 0), ("8", 0)])
def test_more_than_one_gpu_per_rank_raises_error(limit: str, gpus: int) -> None:
    task = TaskConfig(resources={"limits": {"nvidia.com/gpu": limit}})

    with pytest.raises(
        InputError,
        match=r"^gpus_per_rank: a rank trains on one GPU, got [28]\. Use 1, and raise ranks and slots_per_worker to",
    ):
        options_of(task, gpus_per_rank=gpus)


def test_accelerator_limit_that_is_not_a_whole_number_raises_error() -> None:
    task = TaskConfig(resources={"limits": {"nvidia.com/gpu": "half"}})

    with pytest.raises(InputError, match=r"^nvidia\.com/gpu: 'half' is not a whole number\. Correct the task's"):
        options_of(task)


def test_ranks_do_not_get_the_resources_of_the_task() -> None:
    large = TaskConfig(resources={"requests": {"cpu": "64"}, "limits": {"memory": "500Gi"}})

    assert worker_resources(options_of(large)) == {
        "requests": {"cpu": "2", "memory": "6Gi", "ephemeral-storage": "2Gi"},
        "limits": {"memory": "6Gi"},
    }


@pytest.mark.parametrize(("cpu", "threads"), [("500m", "1"), ("1", "1"), ("1500m", "2"), ("6", "6")])
def test_ranks_have_a_thread_per_requested_core(cpu: str, threads: str) -> None:
    job = job_of(options_of(TASK, slots_per_worker=2, rank_cpu=cpu))

    # ssh starts ranks without their container's environment. The launcher exports its own environment to them.
    for role in ("Launcher", "Worker"):
        assert {"name": THREADS, "value": threads} in container_of(job, role)["env"]


def test_slots_that_do_not_divide_the_ranks_raise_error() -> None:
    with pytest.raises(InputError, match=r"^slots_per_worker: 2 does not divide 3 ranks\."):
        job_of(options_of(TASK, slots_per_worker=2), ranks=3)


def test_invalid_toleration_of_the_task_raises_error() -> None:
    with pytest.raises(InputError, match=r"^rank_pool\.tolerations\.0\.operator: .*'Exists' or 'Equal'"):
        JobOptions.make(TaskConfig(tolerations=[{"key": "spot", "operator": "exists"}]), Placement())


@pytest.mark.parametrize("cpu", ["two", "", "0", "-1", "2 cores", "1e3", "nan", "6Gi", "0m", "2000000m"])
def test_invalid_rank_cpu_raises_error(cpu: str) -> None:
    with pytest.raises(InputError, match=rf"rank_cpu: '{cpu}' is not a number of cores\. Write e\.g\. 2 or 500m\.$"):
        parse(Placement, {"rank_cpu": cpu}, "placement")


@pytest.mark.parametrize("memory", ["six", "", "-6Gi", "6 Gi", "6GB", "6gi", "inf"])
def test_invalid_rank_memory_raises_error(memory: str) -> None:
    with pytest.raises(InputError, match=rf"rank_memory: '{memory}' is not an amount of memory\. Write e\.g\. 6Gi"):
        parse(Placement, {"rank_memory": memory}, "placement")


@pytest.mark.parametrize("memory", ["6", "0", "500m", "6000", "255Mi"])
def test_rank_memory_without_unit_raises_error(memory: str) -> None:
    with pytest.raises(InputError, match=rf"rank_memory: '{memory}' is less than 256Mi\. Write the unit too"):
        parse(Placement, {"rank_memory": memory}, "placement")


@given(
    cpu=st.integers(1, 1024 * 1000),
    memory=st.sampled_from(["256Mi", "0.5Gi", "6G", "6Gi", "1.5Gi", "0.25Ti", "268435456", "300000Ki", "400000k"]),
    slots=st.integers(1, 16),
)
def test_worker_requests_the_sum_of_its_ranks_by_kubernetes_arithmetic(cpu: int, memory: str, slots: int) -> None:
    options = options_of(TASK, slots_per_worker=slots, rank_cpu=f"{cpu}m", rank_memory=memory)
    requests = worker_resources(options)["requests"]

    assert parse_quantity(requests["cpu"]) == parse_quantity(f"{cpu}m") * slots
    assert parse_quantity(requests["memory"]) == parse_quantity(memory) * slots


def test_empty_task_configuration_gives_the_default_options() -> None:
    assert options_of(TaskConfig()) == JobOptions(placement=ON_CPUS)


def test_pods_get_environment_and_volumes_of_the_task_without_variables_of_its_pod() -> None:
    job = job_of(options_of(TASK))

    for role in ("Launcher", "Worker"):
        container = container_of(job, role)
        names = ["IMAGE_PIPELINES_LAKE", "MLFLOW_TRACKING_URI", THREADS, "IMAGE_PIPELINES_RANK_GPUS"]
        assert [variable["name"] for variable in container["env"]] == names
        assert TASK.volume_mounts[0] in container["volumeMounts"]
        assert TASK.volumes[0] in pod_of(job, role)["volumes"]


def test_shared_memory_is_a_quarter_of_the_workers_memory() -> None:
    for slots, size in ((1, 3 * 2**28), (2, 3 * 2**29)):
        pod = pod_of(job_of(options_of(TASK, slots_per_worker=slots, **RANK)), "Worker")
        volume = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}
        assert volume in pod["volumes"]
        assert {"name": "shared-memory", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]


def test_ranks_keep_features_in_a_volume_of_their_worker() -> None:
    pod = pod_of(job_of(options_of(TASK)), "Worker")

    assert {"name": "scratch", "emptyDir": {}} in pod["volumes"]
    assert {"name": "scratch", "mountPath": "/tmp"} in pod["containers"][0]["volumeMounts"]


def test_run_owns_the_job_and_pods_have_the_labels_of_policies() -> None:
    job = job_of(options_of(TASK))

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
def test_job_name_is_valid_for_any_run_and_task(run: str, task: str, training: str, workers: int) -> None:
    name = job_name(run, task, training, workers)

    for pod in (f"{name}-worker-{workers - 1}", f"{name}-launcher"):
        assert len(pod) <= 63
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", pod)
    validate(job_of(JobOptions(placement=ON_CPUS), ranks=workers, name=name))


@given(first=st.tuples(names, names, names), second=st.tuples(names, names, names))
def test_job_names_differ_by_run_task_and_training(first: tuple[str, str, str], second: tuple[str, str, str]) -> None:
    assert (job_name(*first, 2) == job_name(*second, 2)) == (first == second)


def test_job_name_begins_with_run_and_task() -> None:
    name = job_name("image-training-x7k2p", "train-classifier", "0123", 2)

    assert re.fullmatch(r"image-training-x7k2p-train-classifier-[0-9a-f]{8}", name)


@pytest.mark.parametrize(("path", "value", "reason"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_validation_rejects_what_the_operator_rejects(path: list[str], value: Any, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^mpijob: .*{re.escape(reason)}"):
        validate(broken(job_of(options_of(TASK)), path, value))


def test_built_job_is_valid() -> None:
    validate(job_of(JobOptions.make(TASK, Placement(slots_per_worker=2)), ranks=4))


@pytest.mark.parametrize("kind", [JobOptions, Pool])
def test_unknown_field_of_a_job_raises_error(kind: type[JobOptions | Pool]) -> None:
    with pytest.raises(ValidationError, match="slots_per_worker"):
        kind.model_validate({"slots_per_worker": 2})
