"""The doctor's rules about objects of a cluster, on objects as the Kubernetes API returns them."""

from typing import Any

import pytest

from components.cluster.permissions import OURS, Use
from components.container_images import ContainerImages
from components.settings import RENAMED, Settings, variable
from pipelines.deployment.schedules import SCHEDULES
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.images import names, probe_pod
from pipelines.doctor.mpi_operator import deployment
from pipelines.doctor.nodes import finding_of
from pipelines.doctor.permissions import finding_of as permission_finding
from pipelines.doctor.permissions import needed
from pipelines.doctor.pools import Pool, pools_of, task_images
from pipelines.doctor.secrets import keys_of, values_of
from pipelines.platform import CONFIG_MAP, SECRET

POOL = Pool(
    "placement.gpu_node_selector",
    "trainer:1-gpu",
    {"pool": "gpu"},
    ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},),
    {"cpu": "2", "memory": "6Gi", "nvidia.com/gpu": "1"},
)
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def node(labels: dict[str, str], taints: list[dict[str, str]] | None = None, **allocatable: str) -> dict[str, Any]:
    resources = {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}
    return {
        "metadata": {"name": "node-1", "labels": labels},
        "spec": {"taints": taints or []},
        "status": {"allocatable": resources | allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_node_with_labels_tolerated_taint_and_room_takes_the_pods() -> None:
    found = finding_of(POOL, [node({"pool": "gpu"}, [TAINT]), node({"pool": "cpu"})])

    assert found.what == "placement.gpu_node_selector: 1 of 1 nodes with pool=gpu take its pods."


@pytest.mark.parametrize(
    ("existing", "level", "sentence"),
    [
        (node({"pool": "cpu"}), Level.WARNING, "no node has pool=gpu"),
        (
            node({"pool": "gpu"}, [{**TAINT, "key": "sku"}]),
            Level.ERROR,
            "'node-1' has the taint sku=present:NoSchedule",
        ),
        (node({"pool": "gpu"}, cpu="1500m"), Level.ERROR, "'node-1' offers 1500m of cpu, but a pod requests 2"),
        (node({"pool": "gpu"}, None, **{"nvidia.com/gpu": "0"}), Level.ERROR, "'node-1' offers 0 of nvidia.com/gpu"),
    ],
)
def test_node_that_never_takes_the_pods_is_named(existing: dict[str, Any], level: Level, sentence: str) -> None:
    found = finding_of(POOL, [existing])

    assert found.level is level
    assert sentence in found.what


def test_node_that_is_not_ready_takes_no_pods() -> None:
    existing = node({"pool": "gpu"})
    existing["status"]["conditions"][0]["status"] = "False"

    assert "'node-1' is not ready" in finding_of(POOL, [existing]).what


def test_pools_of_a_file_are_those_of_its_recurring_runs() -> None:
    tasks, ranks = pools_of(Context(Settings(launcher="mpijob"), file=SCHEDULES))

    assert (tasks.field, tasks.node_selector) == ("image-scoring-daily.cpu_node_selector", {"pool": "cpu"})
    assert ranks.requests["nvidia.com/gpu"] == "1"
    assert ranks.image == ContainerImages().trainer_gpu_image


def levels(findings: list[Finding]) -> list[str]:
    return [each.what for each in findings if each.level is not Level.OK]


@pytest.mark.parametrize(
    ("kind", "key", "sentence"),
    [
        ("ConfigMap", "IMAGE_PIPELINES_S3_SECRET_KEY", "is a secret, so tasks ignore it here"),
        ("Secret", "IMAGE_PIPELINES_LAKE", "is not a secret, so tasks ignore it here"),
        ("ConfigMap", "IMAGE_PIPELINES_" + "LAKKE", "is no setting, so tasks ignore it"),
        ("ConfigMap", variable(next(iter(RENAMED))), "was renamed, so tasks refuse it"),
        ("ConfigMap", "team", "tasks ignore 'team'"),
    ],
)
def test_key_that_tasks_do_not_read_is_named(kind: str, key: str, sentence: str) -> None:
    (found,) = levels(list(keys_of(CONFIG_MAP if kind == "ConfigMap" else SECRET, kind, [key])))

    assert sentence in found


def test_secret_with_a_line_break_is_named_without_its_value() -> None:
    settings = Settings(s3_access_key="id", s3_secret_key="hidden\n")

    found = list(values_of(settings))

    assert levels(found) == ["s3_secret_key: begins or ends with a blank or a line break."]
    assert not any("hidden" in f"{each.what}{each.remedy}" for each in found)


def test_access_key_without_its_secret_is_an_error() -> None:
    (found,) = levels(list(values_of(Settings(s3_access_key="id"))))

    assert found == "s3_secret_key: not set, but s3_access_key is, so neither is used."


def test_permissions_are_checked_for_what_the_settings_use() -> None:
    assert {each.name for each in needed(Settings())}.isdisjoint(each.name for each in OURS)
    assert "leases.coordination.k8s.io" in {each.name for each in needed(Settings(lock="lease"))}
    assert set(OURS) <= set(needed(Settings(lock="lease", launcher="mpijob", spark_master="k8s://any")))


def test_denied_verbs_are_named_with_their_use() -> None:
    (leases,) = (each for each in OURS if Use.LOCKS in each.uses)

    found = permission_finding(leases, ["update"], "team-a")

    assert found.level is Level.ERROR
    assert found.what == (
        "leases.coordination.k8s.io: update is denied in the namespace 'team-a', but locks of the lake need it."
    )


@pytest.mark.parametrize(
    ("image", "ready", "level"),
    [
        ("mpioperator/mpi-operator:0.8.0", 1, Level.OK),
        ("mpioperator/mpi-operator:v0.10", 1, Level.OK),
        ("mpioperator/mpi-operator:0.4.0", 1, Level.WARNING),
        ("mpioperator/mpi-operator:0.8.0", 0, Level.ERROR),
    ],
)
def test_operator_that_is_old_or_not_ready_is_named(image: str, ready: int, level: Level) -> None:
    assert deployment(image, ready).level is level


def test_image_without_a_registry_is_a_warning() -> None:
    committed = ContainerImages.committed()

    assert {each.level for each in names(committed)} == {Level.WARNING}
    assert {each.level for each in names(ContainerImages.in_registry("registry.test/team", ""))} == {Level.OK}


def test_trainer_images_are_in_the_registry_of_the_doctor_s_own_image(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ContainerImages.in_registry("registry.test/team", "7")
    monkeypatch.setenv("IMAGE_PIPELINES_SPARK_IMAGE", expected.spark_image)

    assert task_images() == expected


def test_probe_pod_is_restricted_and_requests_no_gpu() -> None:
    pod = probe_pod("probe", POOL, "pipeline-runner")

    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert (pod["spec"]["nodeSelector"], pod["spec"]["tolerations"]) == ({"pool": "gpu"}, [*POOL.tolerations])
