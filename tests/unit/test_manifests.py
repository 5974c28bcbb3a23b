"""The manifests agree with the code. tests/cluster applies them to a real API server."""

import re
import shutil
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from components.cluster.permissions import OURS
from components.cluster.pod import FIELD_PATHS, LABELS, POD_ENVIRONMENT_PREFIX
from components.container_images import SPARK, TRAINER_GPU
from components.settings import ENVIRONMENT_PREFIX, Settings
from pipelines.platform import CONFIG_MAP, RETRIES, SECRET
from tests.support.kustomize import COMPONENTS, MANIFESTS, OVERLAYS, installation, render

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl renders the overlays")

NAMESPACE, ACCOUNT = "team-a", "somebody"
_PART_OF = "app.kubernetes.io/part-of"
_NAME = "app.kubernetes.io/name"
_PREFIX = "image-pipelines"


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """All objects of an overlay with all components, with parameters that differ from the defaults."""
    folder = tmp_path_factory.mktemp("manifests")
    images = {SPARK: "registry.test/spark:2", TRAINER_GPU: "registry.test/trainer:2"}
    names = {image.rpartition(":")[0]: other for image, other in images.items()}
    return render(installation(folder, str(request.param), COMPONENTS, NAMESPACE, ACCOUNT, names))


def templates(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the pod templates by the name of their workload."""
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in objects if "template" in each.get("spec", {})
    }


def containers(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for template in templates(objects).values():
        yield from template["spec"].get("initContainers", [])
        yield from template["spec"]["containers"]


def find(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def test_each_component_works_without_the_others(tmp_path: Path) -> None:
    without = render(installation(tmp_path / "none", "standalone"))

    assert all(render(installation(tmp_path / name, "standalone", [name])) != without for name in COMPONENTS)


def test_every_key_of_the_config_map_is_a_setting_without_secrets(objects: list[dict[str, Any]]) -> None:
    settings = {
        ENVIRONMENT_PREFIX + name.upper()
        for name, field in Settings.model_fields.items()
        if field.annotation != SecretStr | None
    }

    assert find(objects, "ConfigMap", CONFIG_MAP)["data"].keys() <= settings


def test_every_value_of_the_config_map_is_a_valid_setting(
    objects: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = find(objects, "ConfigMap", CONFIG_MAP)["data"]
    for name, value in data.items():
        monkeypatch.setenv(name, value)

    settings = Settings.load()

    for name, value in data.items():
        assert str(getattr(settings, name.removeprefix(ENVIRONMENT_PREFIX).lower())) == value


def test_manifests_refer_to_secrets_by_the_names_of_settings_and_contain_none(objects: list[dict[str, Any]]) -> None:
    secrets = {
        ENVIRONMENT_PREFIX + name.upper()
        for name, field in Settings.model_fields.items()
        if field.annotation == SecretStr | None
    }
    references = [
        variable["valueFrom"]["secretKeyRef"]
        for container in containers(objects)
        for variable in container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]

    of_mlflow = {"name": "image-pipelines-mlflow-database", "key": "MLFLOW_BACKEND_STORE_URI"}
    assert not [each for each in objects if each["kind"] == "Secret"]
    assert all(
        reference == of_mlflow or (reference["name"] == SECRET and reference["key"] in secrets)
        for reference in references
    )


def test_the_parameters_reach_every_object(objects: list[dict[str, Any]]) -> None:
    accounts = {name: template["spec"].get("serviceAccountName") for name, template in templates(objects).items()}

    assert {each["metadata"]["namespace"] for each in objects} == {NAMESPACE}
    assert find(objects, "RoleBinding", _PREFIX)["subjects"] == [
        {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    ]
    assert accounts == {
        "image-pipelines-mlflow": "image-pipelines-mlflow",
        "image-pipelines-continuous-ingest": ACCOUNT,
        "image-pipelines-continuous-score": ACCOUNT,
        "image-pipelines-doctor": ACCOUNT,
        "image-pipelines-trainer-image": None,
    }


def test_images_are_those_of_the_compiled_pipelines_and_can_be_replaced(
    objects: list[dict[str, Any]], tmp_path: Path
) -> None:
    plain = render(installation(tmp_path, "standalone", COMPONENTS))

    assert {container["image"] for container in containers(plain)} == {SPARK, TRAINER_GPU}
    assert {container["image"] for container in containers(objects)} == {
        "registry.test/spark:2",
        "registry.test/trainer:2",
    }
    of_executors = {
        variable["value"]
        for container in containers(objects)
        for variable in container.get("env", [])
        if variable["name"] == f"{ENVIRONMENT_PREFIX}SPARK_IMAGE"
    }
    assert of_executors == {"registry.test/spark:2"}


def test_streams_and_doctor_have_the_environment_of_a_task(objects: list[dict[str, Any]]) -> None:
    for name in ("continuous-ingest", "continuous-score", "doctor"):
        (container,) = templates(objects)[f"image-pipelines-{name}"]["spec"]["containers"]
        paths = {
            variable["name"]: variable["valueFrom"]["fieldRef"]["fieldPath"]
            for variable in container["env"]
            if "valueFrom" in variable
        }

        assert paths == {f"{POD_ENVIRONMENT_PREFIX}{name.upper()}": path for name, path in FIELD_PATHS.items()}
        assert container["envFrom"] == [
            {"configMapRef": {"name": CONFIG_MAP}},
            {"secretRef": {"name": SECRET, "optional": True}},
        ]
        labels = templates(objects)[f"image-pipelines-{name}"]["metadata"]["labels"]
        assert labels.items() >= LABELS.items()


def test_every_object_has_our_name_so_that_none_overwrites_one_of_kubeflow(objects: list[dict[str, Any]]) -> None:
    assert all(each["metadata"]["name"].startswith(_PREFIX) for each in objects)
    assert all(each["metadata"]["labels"][_PART_OF] == _PREFIX for each in objects)


def test_every_selector_selects_our_pods_only(objects: list[dict[str, Any]]) -> None:
    for each in objects:
        specification = each.get("spec", {})
        if each["kind"] in ("Deployment", "DaemonSet"):
            selected = specification["selector"]["matchLabels"]
        elif each["kind"] == "NetworkPolicy":
            selected = specification["podSelector"]["matchLabels"]
        elif each["kind"] == "Service":
            selected = specification["selector"]
        else:
            continue
        assert selected.get(_PART_OF) == _PREFIX or selected[_NAME] == each["metadata"]["name"], each


def test_every_pod_meets_the_restricted_standard_and_has_requests_and_a_memory_limit(
    objects: list[dict[str, Any]],
) -> None:
    for template in templates(objects).values():
        context = template["spec"]["securityContext"]
        assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    for container in containers(objects):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}


def test_doctor_has_the_pool_of_the_streams_and_only_reads(objects: list[dict[str, Any]]) -> None:
    doctor = find(objects, "Job", "image-pipelines-doctor")["spec"]["template"]["spec"]
    stream = templates(objects)["image-pipelines-continuous-ingest"]["spec"]

    assert doctor["nodeSelector"] == stream["nodeSelector"]
    assert doctor["containers"][0]["args"] == ["python", "-m", "pipelines", "doctor"]


def test_permissions_that_the_doctor_checks_are_those_of_the_role(objects: list[dict[str, Any]]) -> None:
    granted = {
        (rule["apiGroups"][0], rule["resources"][0]): tuple(rule["verbs"])
        for rule in find(objects, "Role", _PREFIX)["rules"]
    }

    assert {(each.group, each.resource): each.verbs for each in OURS} == granted


def test_every_pod_is_outside_of_the_mesh_of_a_kubeflow_profile(objects: list[dict[str, Any]]) -> None:
    for template in templates(objects).values():
        assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_mlflow_on_postgresql_upgrades_the_schema_first_and_has_no_volume(tmp_path: Path) -> None:
    objects = render(installation(tmp_path, "standalone", ["mlflow-postgresql"]))

    pod = templates(objects)["image-pipelines-mlflow"]["spec"]
    (upgrade,), (server,) = pod["initContainers"], pod["containers"]
    assert upgrade["args"][-1] == 'exec mlflow db upgrade "$MLFLOW_BACKEND_STORE_URI"'
    assert upgrade["image"] == server["image"]
    reference = {"secretKeyRef": {"name": "image-pipelines-mlflow-database", "key": "MLFLOW_BACKEND_STORE_URI"}}
    for container in (upgrade, server):
        assert {"name": "MLFLOW_BACKEND_STORE_URI", "valueFrom": reference} in container["env"]
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert find(objects, "Deployment", "image-pipelines-mlflow")["spec"]["strategy"] == {"type": "Recreate"}
    assert not [each for each in objects if each["kind"] == "PersistentVolumeClaim"]


def test_openshift_chooses_the_users_of_pods_without_files_of_their_own(tmp_path: Path) -> None:
    objects = render(installation(tmp_path, "standalone", COMPONENTS, NAMESPACE, ACCOUNT))

    for name in ("image-pipelines-mlflow", "image-pipelines-trainer-image"):
        context = templates(objects)[name]["spec"]["securityContext"]
        assert not context.keys() & {"runAsUser", "runAsGroup", "fsGroup"}
    binding = find(objects, "RoleBinding", "image-pipelines-openshift")
    assert binding["roleRef"]["name"] == "system:openshift:scc:nonroot-v2"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}]


def test_no_internet_allows_private_addresses_only(tmp_path: Path) -> None:
    objects = render(installation(tmp_path, "standalone", ["no-internet"]))

    policy = find(objects, "NetworkPolicy", "image-pipelines-no-internet")["spec"]
    allowed = [ip_network(target["ipBlock"]["cidr"]) for rule in policy["egress"] for target in rule["to"]]
    assert policy["policyTypes"] == ["Egress"]
    assert not any(network.is_global for network in allowed)


@pytest.mark.parametrize(
    ("overlay", "annotation"),
    [
        ("aws", "eks.amazonaws.com/role-arn"),
        ("azure", "azure.workload.identity/client-id"),
        ("google", "iam.gke.io/gcp-service-account"),
    ],
)
def test_mlflow_has_the_cloud_identity_of_the_overlay(overlay: str, annotation: str, tmp_path: Path) -> None:
    folder = installation(tmp_path, overlay)
    path = folder / "kustomization.yaml"
    path.write_text(re.sub(r"(mlflow_\w+)=\w+", r"\1=an-identity", path.read_text()))

    account = find(render(folder), "ServiceAccount", "image-pipelines-mlflow")

    assert account["metadata"]["annotations"] == {annotation: "an-identity"}


def test_the_patch_of_kubeflow_pipelines_changes_the_workflow_defaults_only(tmp_path: Path) -> None:
    installed = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "workflow-controller-configmap", "namespace": "kubeflow"},
        "data": {"artifactRepository": "archiveLogs: true\n", "workflowDefaults": "spec: {}\n"},
    }
    (tmp_path / "installed.yaml").write_text(yaml.safe_dump(installed))
    shutil.copytree(MANIFESTS / "kubeflow-pipelines", tmp_path / "patch")
    kustomization = {"resources": ["installed.yaml"], "components": ["patch"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    (patched,) = render(tmp_path)

    defaults = yaml.safe_load(patched["data"].pop("workflowDefaults"))
    del installed["data"]["workflowDefaults"]  # type: ignore[attr-defined]
    assert patched == installed
    strategy = defaults["spec"]["templateDefaults"]["retryStrategy"]
    assert (strategy["retryPolicy"], strategy["limit"]) == ("Always", str(RETRIES))
    assert defaults["spec"]["ttlStrategy"] == {"secondsAfterCompletion": 3600}


MESSAGES = {
    # Status and message of a pod by Argo 4.0.5 and the kubelet, and whether Argo should retry the pod.
    ("Error", "pod deleted"): True,
    ("Error", "wait: Error (exit code 64): failed to save outputs"): True,
    ("Failed", "main: Error (exit code 143)"): True,
    ("Failed", "main: OOMKilled (exit code 137)"): True,
    ("Failed", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "): True,
    ("Failed", "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. "): True,
    ("Failed", 'Container main exceeded its local ephemeral storage limit "1Gi". '): True,
    ("Failed", 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". '): True,
    ("Failed", "Pod was terminated in response to imminent node shutdown."): True,
    ("Failed", "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000"): True,
    ("Failed", "Preempted in order to admit critical pod"): True,
    ("Failed", "main: Error (exit code 1): source: no folder 's3a://a (exit code 137)'."): False,
    ("Failed", "main: Error (exit code 1): lake: the lock was lost. Pod was rejected."): False,
    ("Failed", "main: Error (exit code 1): launcher: exceeded quota: limited: requests.ephemeral-storage=8Gi"): False,
    ("Failed", "main: Error (exit code 1): launcher: no node: 3 Insufficient ephemeral-storage."): False,
    ("Failed", "Pod was active on the node longer than the specified deadline"): False,
    # A group of tasks.
    ("Error", ""): False,
    ("Failed", ""): False,
}


@pytest.mark.parametrize(("status", "message"), MESSAGES, ids=str)
def test_the_patch_retries_lost_pods_but_not_failed_tasks(status: str, message: str) -> None:
    patch = yaml.safe_load((MANIFESTS / "kubeflow-pipelines" / "workflow-controller-configmap.yaml").read_text())
    strategy = yaml.safe_load(patch["data"]["workflowDefaults"])["spec"]["templateDefaults"]["retryStrategy"]
    of_status, *of_message = strategy["expression"].split("||")

    assert of_status.strip() == '(lastRetry.status == "Error" && lastRetry.message != "")'
    patterns = [re.fullmatch(r'\s*lastRetry\.message matches "([^"]+)"\s*', each) for each in of_message]
    repeated = any(re.search(pattern[1], message) for pattern in patterns if pattern)
    assert all(patterns)
    assert ((status == "Error" and message != "") or repeated) is MESSAGES[status, message]
