"""Argo retries lost pods by the compiled retry strategy and the patch in manifests/, and no failed tasks.

All workflows run at the same time, because they wait most of the time.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.catalogue import REPOSITORY
from tests.slow.argo import DEFAULTS, IMAGE, Argo, Ended, Workflow, build, compiled_retries, custom_resources, running

PATCH = REPOSITORY / "manifests" / "kubeflow-pipelines" / "workflow-controller-configmap.yaml"
RETRIES = compiled_retries("scoring", "ingest-images")
# The retry window of an earlier version, in which a run failed if its pod was lost later.
OLD_WINDOW_SECONDS = 60
LATE_SECONDS = 75
WORK_SECONDS = 100

FORCED = ("--grace-period=0", "--force")
LOST = ("Error", "pod deleted")
DONE = ("Succeeded", "")


def start(argo: Argo) -> dict[str, Workflow]:
    """Start a workflow for each way to lose a pod, or to fail."""
    end = int(time.time()) + WORK_SECONDS
    # All pods of a task work until the same time.
    work = f'seconds=$(({end} - $(date +%s))); test "$seconds" -le 0 || exec sleep "$seconds"'
    deaf = f'trap "" TERM; while test "$(date +%s)" -lt {end}; do sleep 1; done'
    fill = 'test "$RETRY" != 0 || { head -c 100000000 /dev/zero >/var/tmp/full; exec sleep 600; }'
    fail = 'echo "source: (exit code 137)" >/dev/termination-log; exit 1'
    waits = {"initContainers": [{"name": "waits", "image": IMAGE, "command": ["sleep", "15"]}]}
    storage = {"resources": {"limits": {"ephemeral-storage": "20Mi"}}}
    memory = {"resources": {"limits": {"memory": "64Mi"}}}
    no_output = {"outputs": {"parameters": [{"name": "none", "valueFrom": {"path": "/none"}}]}}
    output = {"outputs": {"parameters": [{"name": "made", "valueFrom": {"path": "/made"}}]}}
    # The first pod writes no output, so Argo's own container fails it with an Error, like a lost pod.
    second = f'test "$RETRY" = 0 || {{ sleep {OLD_WINDOW_SECONDS + 5}; touch /made; }}'
    old = RETRIES | {"retry-backoff-max-duration": str(OLD_WINDOW_SECONDS)}
    workflows: dict[str, tuple[str, dict[str, str], dict[str, Any], dict[str, Any]]] = {
        "early": (work, RETRIES, waits, {}),
        "middle": (work, RETRIES, {}, {}),
        "late": (work, RETRIES, {}, {}),
        "polite": (work, RETRIES, {}, {}),
        "deaf": (deaf, RETRIES, {}, {}),
        "drained": (work, RETRIES, {}, {}),
        "window": (second, RETRIES, output, {}),
        "old-window": (second, old, output, {}),
        "full": (fill, RETRIES, {}, storage),
        "memory": ('test "$RETRY" != 0 || exec tail /dev/zero', RETRIES, {}, memory),
        "bad-input": (fail, RETRIES, {}, {}),
        "overtime": ("exec sleep 600", RETRIES, {"activeDeadlineSeconds": 15}, {}),
        "levels": ("true", RETRIES | {"retry-max-count": "0"}, no_output, {}),
    }
    return {name: argo.submit(name, *values) for name, values in workflows.items()}


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    load = os.environ.get("IMAGE_PIPELINES_TEST_LOAD")
    if "KUBECONFIG" not in os.environ or not load:
        pytest.skip("no cluster is named by KUBECONFIG and LOAD: tests/cluster/run.sh CLUSTER test-slow starts one")
    folder = build(load)
    with custom_resources(folder):
        yield folder


@pytest.fixture(scope="module", params=["as it is installed", "with the patch"])
def patched(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "with the patch")


@pytest.fixture(scope="module")
def ended(programs: Path, patched: bool, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """How each workflow ended."""
    patch: str = yaml.safe_load(PATCH.read_text())["data"]["workflowDefaults"]
    defaults = patch if patched else yaml.safe_dump(DEFAULTS)
    with running(programs, defaults, tmp_path_factory.mktemp("argo") / "log") as argo:
        started = time.monotonic()
        workflows = start(argo)
        workflows["early"].delete(workflows["early"].first_pod("Pending"), *FORCED)
        workflows["middle"].delete(workflows["middle"].first_pod("Running"), *FORCED)
        workflows["polite"].delete(workflows["polite"].first_pod("Running"))
        workflows["deaf"].delete(workflows["deaf"].first_pod("Running"), "--grace-period=5")
        workflows["drained"].evict(workflows["drained"].first_pod("Running"))
        late = workflows["late"].first_pod("Running")
        time.sleep(max(0, LATE_SECONDS - (time.monotonic() - started)))
        workflows["late"].delete(late, *FORCED)
        return {name: workflow.ended() for name, workflow in workflows.items()}


def was_continued(ended: Ended) -> bool:
    """Return whether the last pod of a task succeeded, and all pods before it were lost.

    If Argo has not seen a lost pod running, it creates another pod with the same name and counts no retry.
    """
    *lost, last = ended.pods
    return ended.phase == "Succeeded" and last[0] == "Succeeded" and all(pod == LOST for pod in lost)


@pytest.mark.parametrize("name", ["middle", "late"])
def test_task_with_a_lost_pod_continues_in_a_new_pod(ended: dict[str, Ended], name: str) -> None:
    assert was_continued(ended[name])


def test_pod_lost_before_it_runs_is_recreated_without_a_retry(ended: dict[str, Ended]) -> None:
    assert ended["early"] == Ended("Succeeded", [DONE])


def test_second_pod_has_time_in_the_compiled_window_and_not_in_the_old_one(ended: dict[str, Ended]) -> None:
    assert [phase for phase, _ in ended["window"].pods] == ["Error", "Succeeded"]
    assert ended["window"].phase == "Succeeded"
    assert [phase for phase, _ in ended["old-window"].pods] == ["Error", "Failed"]
    assert ended["old-window"].pods[1][1] == "main: Error (exit code 143)"
    assert ended["old-window"].phase == "Failed"


@pytest.mark.parametrize("name", ["polite", "deaf", "drained"])
def test_terminated_pod_never_ends_the_run_with_the_patch(ended: dict[str, Ended], patched: bool, name: str) -> None:
    # Argo sees the pod's last state, or finds the pod gone: a race.
    seen = ended[name].pods[0] in (("Failed", "main: Error (exit code 143)"), ("Failed", "main: Error (exit code 137)"))

    assert was_continued(ended[name]) or (seen and ended[name].phase == ("Succeeded" if patched else "Failed"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("full", "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. "),
        ("memory", "main: OOMKilled (exit code 137)"),
    ],
)
def test_evicted_and_oom_killed_pods_are_replaced_with_the_patch_only(
    ended: dict[str, Ended], patched: bool, name: str, message: str
) -> None:
    failed = ("Failed", message)

    assert ended[name] == (Ended("Succeeded", [failed, DONE]) if patched else Ended("Failed", [failed]))


def test_failed_task_is_not_retried_and_argo_gets_its_error(ended: dict[str, Ended]) -> None:
    message = "main: Error (exit code 1): source: (exit code 137)\n"

    assert ended["bad-input"] == Ended("Failed", [("Failed", message)])


def test_task_that_exceeds_its_time_limit_is_not_retried(ended: dict[str, Ended]) -> None:
    message = "Pod was active on the node longer than the specified deadline"

    assert ended["overtime"] == Ended("Failed", [("Failed", message)])


def test_other_error_is_retried_at_each_level_without_the_patch_and_at_none_with_it(
    ended: dict[str, Ended], patched: bool
) -> None:
    assert ended["levels"].phase == "Error"
    assert len(ended["levels"].pods) == (1 if patched else 9)
