"""A lock that is a Kubernetes Lease, for tasks anywhere in a cluster.

The holder renews it. Who waits for it takes it over after its duration without a renewal, measured on its own clock
from when it saw the last one; the holder gives it up before that, also measured on its own clock. So clocks need not
agree on the time, only on how long a second is. All writes are conditional on the version that was read: of two that
take over at the same time, one is refused.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from uuid import uuid4

import urllib3
from kubernetes import client
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from components.cluster.api import api_client, is_passing
from components.cluster.pod import Pod
from components.errors import InputError
from components.storage import uri

logger = logging.getLogger(__name__)

LAKE_ANNOTATION = "image-pipelines/lake"
NAME_ANNOTATION = "image-pipelines/lock"
# To connect, and to answer: a renewal is tried some times within the deadline.
_TIMEOUTS_SECONDS = (2, 5)
_LABELS = {"app.kubernetes.io/part-of": "image-pipelines"}


class LockLost(RuntimeError):  # noqa: N818 - reads as what happened, like subprocess.TimeoutExpired
    """The writer's lock was lost: nothing may be committed any more."""


@dataclass(frozen=True)
class Timing:
    """How long things take, in seconds.

    Attributes:
        duration: Nobody takes a lock over before it was not renewed for so long.
        deadline: Without a renewal for so long, its holder gives it up: a commit that was just begun has the rest.
        renewal: Between two renewals.
        poll: Between two looks of one who waits.
    """

    duration: int = 60
    deadline: float = 40
    renewal: float = 8
    poll: float = 2


@contextmanager
def lease_lock(
    root: str, name: str, timeout_seconds: float, on_lost: Callable[[], None], timing: Timing = Timing()
) -> Iterator[Callable[[], None]]:
    """Hold the Lease of a lock in this pod's namespace; see `writer_lock`."""
    pod = Pod.current()
    lease = _Lease(client.CoordinationV1Api(api_client()), pod, root, name, timing)
    lease.acquire(timeout_seconds)
    with lease.renewing(on_lost):
        yield lease.check
        lease.check()


class _Lease:
    """One process' claim to a lock.

    Args:
        api: The cluster.
        pod: Who claims it.
        root: The lake.
        name: The lock within the lake.
        timing: How long things take.
    """

    def __init__(self, api: client.CoordinationV1Api, pod: Pod, root: str, name: str, timing: Timing) -> None:
        self._api = api
        self._pod = pod
        self._root = root
        self._lock = name
        self._timing = timing
        readable = re.sub("[^a-z0-9]+", "-", name.lower())
        self._name = f"image-pipelines-{readable}-{uri.digest(uri.join(root, name))}"
        # A pod's containers may be restarted, and then claim anew.
        self._identity = f"{pod.name}_{uuid4()}"
        self._lease: client.V1Lease | None = None
        self._seen = ("", 0.0)
        self._renewed = 0.0
        self._lost = ""
        self._released = threading.Event()

    def acquire(self, timeout_seconds: float) -> None:
        retrying = Retrying(
            retry=retry_if_result(lambda taken: not taken),
            stop=stop_after_delay(timeout_seconds),
            wait=wait_fixed(self._timing.poll),
        )
        try:
            retrying(self._try_to_take)
        except RetryError as error:
            raise TimeoutError(
                f"'{self._lock}' of the lake is held by {self._holder()} for more than {timeout_seconds:g} s. Wait for"
                " it to end, or end it, and run this step again."
            ) from error

    @contextmanager
    def renewing(self, on_lost: Callable[[], None]) -> Iterator[None]:
        thread = threading.Thread(target=self._renew, args=(on_lost,), name=self._name, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._released.set()
            thread.join()
            if not self._lost:
                self._release()

    def check(self) -> None:
        # The thread may have been held up, with all of this process.
        if not self._lost and monotonic() - self._renewed > self._timing.deadline:
            self._lost = "could not be renewed"
        if self._lost:
            raise LockLost(
                f"the lock '{self._lock}' of the lake {self._lost}, so nothing more is written. Run this step again."
            )

    def _try_to_take(self) -> bool:
        started = monotonic()
        try:
            found = self._read()
            if found is None:
                taken = self._api.create_namespaced_lease(
                    self._pod.namespace, self._claimed(None), _request_timeout=_TIMEOUTS_SECONDS
                )
            elif found.spec.holder_identity == self._identity or self._has_expired(found, started):
                taken = self._replace(self._claimed(found))
            else:
                return False
        except (client.ApiException, urllib3.exceptions.HTTPError) as error:
            return self._refused(error)
        self._lease, self._renewed = taken, started
        return True

    def _refused(self, error: Exception) -> bool:
        """Return False where it is worth to try again: someone else was faster, or the API server is away."""
        status = getattr(error, "status", None)
        if status == 403:
            raise InputError(
                f"lock: the account of pod '{self._pod.name}' may not write leases in '{self._pod.namespace}'. Bind it"
                " to the Role in manifests/."
            ) from error
        if status not in (404, 409) and not is_passing(error):
            raise error
        return False

    def _has_expired(self, found: client.V1Lease, now: float) -> bool:
        version = found.metadata.resource_version
        if self._seen[0] != version:
            self._seen = version, monotonic()
            self._lease = found
        return now - self._seen[1] > float(found.spec.lease_duration_seconds)

    def _renew(self, on_lost: Callable[[], None]) -> None:
        while not self._lost and not self._released.wait(self._timing.renewal):
            started = monotonic()
            try:
                self._lease = self._replace(self._renewed_lease())
                self._renewed = started
            except (client.ApiException, urllib3.exceptions.HTTPError) as error:
                logger.warning("the lock '%s' could not be renewed: %s", self._lock, type(error).__name__)
                if getattr(error, "status", None) in (404, 409):
                    self._look_again()
            if monotonic() - self._renewed > self._timing.deadline:
                self._lost = "could not be renewed"
        if self._lost:
            on_lost()

    def _look_again(self) -> None:
        """Take up what a renewal came to whose answer was lost, or find that the lock is someone else's."""
        try:
            found = self._read()
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return
        if found is not None and found.spec.holder_identity == self._identity:
            self._lease = found
        else:
            self._lost = "was taken over"

    def _release(self) -> None:
        assert self._lease is not None
        version = client.V1Preconditions(resource_version=self._lease.metadata.resource_version)
        try:
            self._api.delete_namespaced_lease(
                self._name,
                self._pod.namespace,
                body=client.V1DeleteOptions(preconditions=version),
                _request_timeout=_TIMEOUTS_SECONDS,
            )
        except (client.ApiException, urllib3.exceptions.HTTPError) as error:
            logger.warning("the lock '%s' could not be released (%s): others wait until it expires", self._lock, error)

    def _read(self) -> client.V1Lease | None:
        try:
            return self._api.read_namespaced_lease(self._name, self._pod.namespace, _request_timeout=_TIMEOUTS_SECONDS)
        except client.ApiException as error:
            if error.status != 404:
                raise
            return None

    def _replace(self, lease: client.V1Lease) -> client.V1Lease:
        # With the version that was read in it: another's write in between makes this one a conflict.
        return self._api.replace_namespaced_lease(
            self._name, self._pod.namespace, lease, _request_timeout=_TIMEOUTS_SECONDS
        )

    def _claimed(self, found: client.V1Lease | None) -> client.V1Lease:
        """Return the Lease as it is when this process has it."""
        now = datetime.now(UTC)
        return client.V1Lease(
            metadata=client.V1ObjectMeta(
                name=self._name,
                labels=_LABELS,
                annotations={LAKE_ANNOTATION: self._root, NAME_ANNOTATION: self._lock},
                resource_version=found.metadata.resource_version if found else None,
            ),
            spec=client.V1LeaseSpec(
                holder_identity=self._identity,
                lease_duration_seconds=self._timing.duration,
                acquire_time=now,
                renew_time=now,
                lease_transitions=(found.spec.lease_transitions or 0) + 1 if found else 0,
            ),
        )

    def _renewed_lease(self) -> client.V1Lease:
        assert self._lease is not None
        self._lease.spec.renew_time = datetime.now(UTC)
        return self._lease

    def _holder(self) -> str:
        if self._lease is None:
            return "nobody known, because the cluster does not answer,"
        pod = self._lease.spec.holder_identity.rpartition("_")[0]
        return f"pod '{pod}' since {self._lease.spec.acquire_time:%Y-%m-%d %H:%M:%S} UTC"
