"""The doctor's rules about objects of a cluster, on objects as the Kubernetes API returns them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from components.cluster.permissions import OURS, Use
from components.cluster.pod import Pod
from components.container_images import ContainerImages
from components.settings import RENAMED, Settings, variable
from pipelines.catalogue import PipelineName
from pipelines.deployment.schedules import SCHEDULES
from pipelines.deployment.server import Server
from pipelines.doctor.checks import seconds_of
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.images import names, of_ended_pod, probe_pod, start_seconds
from pipelines.doctor.kubeflow import uploads
from pipelines.doctor.mpi_operator import deployment
from pipelines.doctor.names import CheckName
from pipelines.doctor.nodes import finding_of
from pipelines.doctor.permissions import finding_of as permission_finding
from pipelines.doctor.permissions import needed
from pipelines.doctor.planned_run import PlannedRun
from pipelines.doctor.pools import Pool, pools_of, task_images
from pipelines.doctor.queues import check_queues
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


def test_invalid_recurring_run_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    invalid = PlannedRun("wrong", PipelineName.SCORING, {"treshold": 0.9}, "")
    valid = PlannedRun("daily", PipelineName.SCORING, {"ingest_options": {"queue": "https://queue.test/new"}}, "")
    monkeypatch.setattr("pipelines.doctor.context.runs_of_file", lambda file: (invalid, valid))
    context = Context(Settings(), file=SCHEDULES)

    assert [each.is_valid for each in context.runs] == [False, True]
    assert [each.field for each in pools_of(context)] == ["daily.cpu_node_selector"]
    # The run has a queue, but the settings name no folder of unlabeled images.
    assert [each.what.partition(":")[0] for each in check_queues(context)] == ["daily"]


def levels(findings: list[Finding]) -> list[str]:
    return [each.what for each in findings if each.level is not Level.OK]


@pytest.mark.parametrize(
    ("kind", "key", "sentence"),
    [
        ("ConfigMap", "IMAGE_PIPELINES_S3_SECRET_KEY", "is a secret, so tasks ignore it here"),
        ("Secret", "IMAGE_PIPELINES_LAKE", "is not a secret, so tasks ignore it here"),
        ("ConfigMap", "IMAGE_PIPELINES_" + "LAKKE", "LAKKE', which tasks ignore"),
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


def test_missing_key_of_google_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))

    (found,) = levels(list(values_of(Settings())))
    key.touch()

    assert found == f"GOOGLE_APPLICATION_CREDENTIALS: file '{key}' not found, so gs:// URIs have no credentials."
    assert levels(list(values_of(Settings()))) == []


def test_only_permissions_that_the_settings_need_are_checked() -> None:
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
    pod = probe_pod("probe", POOL, "pipeline-runner", None)

    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert (pod["spec"]["nodeSelector"], pod["spec"]["tolerations"]) == ({"pool": "gpu"}, [*POOL.tolerations])


def test_probe_pod_is_deleted_with_the_doctor_s_pod() -> None:
    own = Pod(name="doctor", namespace="team", uid="01", ip="10.0.0.1")

    (owner,) = probe_pod("probe", POOL, "pipeline-runner", own)["metadata"]["ownerReferences"]

    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "doctor", "01")


@pytest.mark.parametrize("pools", [1, 2, 3, 40])
def test_probe_pods_of_all_pools_end_within_the_check(pools: int) -> None:
    assert pools * start_seconds(pools) < seconds_of(CheckName.IMAGES)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"phase": "Succeeded", "containerStatuses": [{"imageID": "sha256:01"}]}, "ran on node 'node-1'."),
        ({"phase": "Failed", "containerStatuses": [{"imageID": "sha256:01"}]}, "ran on node 'node-1'."),
        ({"phase": "Failed", "containerStatuses": [{"imageID": ""}], "reason": "Evicted"}, "did not start: Evicted."),
        ({"phase": "Failed", "message": "Pod was rejected."}, "did not start: Pod was rejected."),
        ({"phase": "Failed"}, "did not start: Kubernetes gives no reason."),
    ],
)
def test_ended_pod_is_ok_only_with_its_image(status: dict[str, Any], sentence: str) -> None:
    found = of_ended_pod(POOL, {"spec": {"nodeName": "node-1"} if "ran" in sentence else {}, "status": status})

    assert found is not None
    assert found.what == f"placement.gpu_node_selector: a pod with 'trainer:1-gpu' {sentence}"
    assert found.level is (Level.OK if "ran" in sentence else Level.ERROR)


def test_pod_that_has_not_ended_has_no_finding() -> None:
    assert of_ended_pod(POOL, {"spec": {}, "status": {"phase": "Pending"}}) is None


@pytest.mark.parametrize(
    ("environment", "level"),
    [
        ({}, Level.WARNING),
        ({"IMAGE_PIPELINES_POD_NAMESPACE": "team"}, Level.WARNING),
        (
            {
                "IMAGE_PIPELINES_POD_NAMESPACE": "team",
                "IMAGE_PIPELINES_SPARK_IMAGE": ContainerImages.in_registry("registry.test/team", "").spark_image,
            },
            Level.OK,
        ),
    ],
)
def test_uploads_are_compared_unless_the_pod_has_an_image_of_another_registry(
    environment: dict[str, str], level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server = SimpleNamespace(
        find_pipeline=lambda name: SimpleNamespace(pipeline_id=name), find_version=lambda pipeline_id, name: None
    )

    found = list(uploads(Context(Settings()), cast("Server", server)))

    assert {each.level for each in found} == {level}
    assert len(found) == len(PipelineName)
