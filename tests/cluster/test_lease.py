"""The writer's lock as a Lease: one holder at a time, none that is dead, and none that does not know it lost it."""

import json
import os
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
from components.lake.lock import LEASE, LockLost, writer_lock
from components.lake.lock.lease import Timing, lease_lock
from tests.cluster.namespace import Namespace, eventually

ROOT = "s3a://bucket/lake"
QUICK = Timing(duration=2, deadline=1.5, renewal=0.3, poll=0.1)
HOLD = f"""
import sys
from components.lake.lock.lease import LockLost, Timing, lease_lock

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
    """Let another process hold the lock `images` until it gets a line."""
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
    """Hold the lock for a moment."""
    with lease_lock(ROOT, "images", timeout_seconds, lambda: None, QUICK):
        pass


def test_a_holder_that_renews_keeps_the_lock_and_is_named_to_who_waits(namespace: Namespace) -> None:
    with holder(), pytest.raises(TimeoutError) as error:
        write(3 * QUICK.duration)

    assert str(error.value).startswith("'images' of the lake is held by pod 'image-training-1-task' since ")
    assert str(error.value).endswith(" for more than 6 s. Wait for it to end, or end it, and run this step again.")


def test_nothing_is_left_of_a_lock_that_was_released(namespace: Namespace) -> None:
    with writer_lock(ROOT, "training_set-1", 0, LEASE):
        (lease,) = leases(namespace)
        assert lease.metadata.annotations == {"image-pipelines/lake": ROOT, "image-pipelines/lock": "training_set-1"}
        with writer_lock(ROOT, "images", 0, LEASE), writer_lock(f"{ROOT}-2", "images", 0, LEASE):
            assert len(leases(namespace)) == 3

    assert leases(namespace) == []


def test_of_many_that_claim_the_lock_at_once_one_has_it_at_a_time() -> None:
    inside: list[int] = []
    most: list[int] = []

    def claim(number: int) -> None:
        for _ in range(2):
            with lease_lock(ROOT, "images", 60, lambda: None, QUICK):
                inside.append(number)
                # Time enough for others to come in, if they could.
                time.sleep(3 * QUICK.poll)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1] * 8


def test_a_holder_that_was_killed_is_followed_by_one_of_those_who_wait(namespace: Namespace) -> None:
    with holder() as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        write(60)

    assert leases(namespace) == []


def test_a_holder_that_was_held_up_learns_that_the_lock_is_lost() -> None:
    with holder() as process:
        os.kill(process.pid, signal.SIGSTOP)
        with lease_lock(ROOT, "images", 60, lambda: None, QUICK) as check:
            os.kill(process.pid, signal.SIGCONT)
            said, _ = process.communicate("commit\n")
            check()

    assert said.startswith("the lock 'images' of the lake ")
    assert said.endswith("so nothing more is written. Run this step again.\n")
    assert process.returncode == 3


def test_a_lock_that_someone_took_ends_what_could_still_commit(namespace: Namespace) -> None:
    lost = threading.Event()
    api = client.CoordinationV1Api(namespace.cluster)

    def take_over() -> None:
        with lease_lock(ROOT, "images", 0, lost.set, QUICK):
            (lease,) = leases(namespace)
            api.patch_namespaced_lease(lease.metadata.name, namespace.name, {"spec": {"holderIdentity": "another_1"}})
            assert lost.wait(60)

    with pytest.raises(LockLost, match="'images' of the lake was taken over, so nothing more is written"):
        take_over()

    assert [lease.spec.holder_identity for lease in leases(namespace)] == ["another_1"]


def test_an_account_that_may_not_write_leases_is_told_so(
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

    with pytest.raises(InputError, match=r"^lock: the account of pod 'image-training-1-task' may not write leases"):
        write(0)
