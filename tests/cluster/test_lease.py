"""The writer's lock as a Lease: it has one live holder at a time, which notices the loss of the lock."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from kubernetes import client

from components.cluster.pod import POD_ENVIRONMENT_PREFIX
from components.errors import InputError
from components.lock import LEASE, LockLost, writer_lock
from components.lock.lease import Timing, lease_lock
from tests.cluster.namespace import Namespace, eventually

ROOT = "s3a://bucket/lake"
QUICK = Timing(duration=2, deadline=1.5, renewal=0.3, poll=0.1)
HOLD = f"""
import sys
from components.lock.lease import LockLost, Timing, lease_lock

with lease_lock({ROOT!r}, "images", 60, lambda: None, {QUICK!r}) as check:
    print("held", flush=True)
    sys.stdin.readline()
    try:
        check()
    except LockLost as error:
        print(error, flush=True)
        raise SystemExit(3)
"""


@pytest.fixture(autouse=True)
def _in_a_pod(namespace: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"name": "image-training-1-task", "namespace": namespace.name, "uid": str(uuid4()), "ip": "127.0.0.1"}
    for name, value in values.items():
        monkeypatch.setenv(POD_ENVIRONMENT_PREFIX + name.upper(), value)


def leases(namespace: Namespace) -> list[client.V1Lease]:
    return list(client.CoordinationV1Api(namespace.cluster).list_namespaced_lease(namespace.name).items)


@contextmanager
def holder() -> Iterator["subprocess.Popen[str]"]:
    """Start a process that holds the lock `images` until it reads a line."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def write(timeout_seconds: float) -> None:
    """Acquire and release the lock."""
    with lease_lock(ROOT, "images", timeout_seconds, lambda: None, QUICK):
        pass


def test_renewed_lock_is_kept_and_its_holder_is_named_in_the_error(namespace: Namespace) -> None:
    with holder(), pytest.raises(TimeoutError) as error:
        write(3 * QUICK.duration)

    assert str(error.value).startswith("'images' of the lake is locked by pod 'image-training-1-task' since ")
    assert str(error.value).endswith("; waited 6 s. Wait until that task ends, or end it, and run this task again.")


def test_released_lock_leaves_no_lease(namespace: Namespace) -> None:
    with writer_lock(ROOT, "training_set-1", 0, LEASE):
        (lease,) = leases(namespace)
        assert lease.metadata.annotations == {"image-pipelines/lake": ROOT, "image-pipelines/lock": "training_set-1"}
        with writer_lock(ROOT, "images", 0, LEASE), writer_lock(f"{ROOT}-2", "images", 0, LEASE):
            assert len(leases(namespace)) == 3

    assert leases(namespace) == []


def test_lock_has_one_holder_at_a_time() -> None:
    holders: list[int] = []
    counts: list[int] = []

    def claim(number: int) -> None:
        for _ in range(2):
            with lease_lock(ROOT, "images", 60, lambda: None, QUICK):
                holders.append(number)
                # Others would have time to acquire the lock.
                time.sleep(3 * QUICK.poll)
                counts.append(len(holders))
                holders.remove(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counts == [1] * 8


def test_lock_of_a_killed_holder_is_taken_over(namespace: Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    with holder() as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        write(60)

    # The message appears at once, with the time after which a lock without a live holder is free.
    assert re.fullmatch(
        r"progress: waiting for 'images' of the lake until [-\d]+ [:\d]+ UTC at most\. Held by pod"
        r" 'image-training-1-task' since [-\d]+ [:\d]+ UTC\. If that pod is gone, the lock is free in 2 s\.\n",
        capsys.readouterr().out,
    )
    assert leases(namespace) == []


def test_suspended_holder_notices_the_loss_of_the_lock() -> None:
    with holder() as process:
        os.kill(process.pid, signal.SIGSTOP)
        with lease_lock(ROOT, "images", 60, lambda: None, QUICK) as check:
            os.kill(process.pid, signal.SIGCONT)
            output, _ = process.communicate("commit\n")
            check()

    assert output.startswith("the lock 'images' of the lake ")
    assert output.endswith("so this task stops writing. Run it again.\n")
    assert process.returncode == 3


def test_loss_of_the_lock_stops_the_writer(namespace: Namespace) -> None:
    lost = threading.Event()
    api = client.CoordinationV1Api(namespace.cluster)

    def take_over() -> None:
        with lease_lock(ROOT, "images", 0, lost.set, QUICK):
            (lease,) = leases(namespace)
            api.patch_namespaced_lease(lease.metadata.name, namespace.name, {"spec": {"holderIdentity": "another_1"}})
            assert lost.wait(60)

    with pytest.raises(LockLost, match="'images' of the lake was taken over, so this task stops writing"):
        take_over()

    assert [lease.spec.holder_identity for lease in leases(namespace)] == ["another_1"]


def test_account_without_permission_for_leases_raises_error(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[]))
    token = eventually(
        lambda: namespace.core.create_namespaced_service_account_token("default", namespace.name, request)
    )
    cluster = namespace.cluster.configuration
    kubeconfig = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": cluster.host, "certificate-authority": cluster.ssl_ca_cert}}],
        "users": [{"name": "it", "user": {"token": token.status.token}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))

    with pytest.raises(InputError, match=r"^lock: the account of pod 'image-training-1-task' may not write Leases"):
        write(0)
