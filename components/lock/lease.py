"""A lock that is a Kubernetes Lease, for tasks anywhere in a cluster.

The holder renews the Lease. If a waiting task sees no renewal for the Lease's duration, it takes the Lease over. A
holder that can't renew the Lease gives the lock up before that. Both measure durations with their own clocks. So the
clocks have to run at the same speed, but may show different times. All writes are compare-and-set by resource version:
of two takeovers at the same time, one fails.
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

from components.cluster.api import api_client, is_transient_error
from components.cluster.pod import Pod
from components.errors import InputError, TransientError
from components.lock.waiting import WaitingNotice
from components.storage import uri

logger = logging.getLogger(__name__)

LAKE_ANNOTATION = "image-pipelines/lake"
NAME_ANNOTATION = "image-pipelines/lock"
# Timeouts of connecting and of reading. They are short, so that several renewals fit into the deadline.
_TIMEOUTS_SECONDS = (2, 5)
_LABELS = {"app.kubernetes.io/part-of": "image-pipelines"}


class LockLost(TransientError):  # noqa: N818 - reads as what happened, like subprocess.TimeoutExpired
    """The writer lock was lost: the task must not commit."""


@dataclass(frozen=True)
class Timing:
    """The times of a Lease, in seconds.

    Attributes:
        duration: Time without a renewal after which a waiting task takes the lock over.
        deadline: Time without a renewal after which the holder gives the lock up. The difference to `duration` leaves
            time for a commit that has just started.
        renewal: Interval of renewals.
        poll: Interval at which waiting tasks read the Lease.
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
    """A process's claim to a lock.

    Args:
        api: The cluster.
        pod: The pod of the process.
        root: Root URI of the lake.
        name: The lock within the lake.
        timing: The times of the Lease.
    """

    def __init__(self, api: client.CoordinationV1Api, pod: Pod, root: str, name: str, timing: Timing) -> None:
        self._api = api
        self._pod = pod
        self._root = root
        self._lock = name
        self._timing = timing
        self._name = lease_name(root, name)
        # A restarted container of the same pod is another holder.
        self._identity = f"{pod.name}_{uuid4()}"
        self._lease: client.V1Lease | None = None
        # Resource version of another holder's Lease, and when this process first read it.
        self._seen = ("", 0.0)
        self._renewed = 0.0
        # Why the lock was lost; empty while it is held.
        self._lost = ""
        self._released = threading.Event()

    def acquire(self, timeout_seconds: float) -> None:
        notice = WaitingNotice(self._lock, timeout_seconds)
        retrying = Retrying(
            retry=retry_if_result(lambda taken: not taken),
            stop=stop_after_delay(timeout_seconds),
            wait=wait_fixed(self._timing.poll),
            before_sleep=lambda attempt: notice.show(self._holder_sentences()),
        )
        try:
            retrying(self._try_to_take)
        except RetryError as error:
            raise TimeoutError(self._timeout_sentences(timeout_seconds)) from error

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
        # The whole process may have been suspended, and with it the thread that renews the Lease.
        if not self._lost and monotonic() - self._renewed > self._timing.deadline:
            self._lost = "could not be renewed"
        if self._lost:
            raise LockLost(
                f"the lock '{self._lock}' of the lake {self._lost}, so this task stops writing. Run it again."
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
            self._check_retryable(error)
            return False
        self._lease, self._renewed = taken, started
        return True

    def _check_retryable(self, error: Exception) -> None:
        """Raise an error, unless a retry can succeed.

        It can if another task was faster, or if the API server is unavailable.
        """
        status = getattr(error, "status", None)
        if status == 403:
            raise InputError(
                f"lock: the account of pod '{self._pod.name}' may not write Leases in '{self._pod.namespace}'. Bind it"
                " to the Role in manifests/."
            ) from error
        if status not in (404, 409) and not is_transient_error(error):
            raise error

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
                    self._read_again()
            if monotonic() - self._renewed > self._timing.deadline:
                self._lost = "could not be renewed"
        if self._lost:
            on_lost()

    def _read_again(self) -> None:
        """Read the Lease after a conflict: a response was lost, or another task took over."""
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
            logger.warning(
                "the lock '%s' could not be released (%s): waiting tasks take it over when it expires",
                self._lock,
                error,
            )

    def _read(self) -> client.V1Lease | None:
        try:
            return self._api.read_namespaced_lease(self._name, self._pod.namespace, _request_timeout=_TIMEOUTS_SECONDS)
        except client.ApiException as error:
            if error.status != 404:
                raise
            return None

    def _replace(self, lease: client.V1Lease) -> client.V1Lease:
        # The Lease contains the resource version that was read. If another write came in between, this one conflicts.
        return self._api.replace_namespaced_lease(
            self._name, self._pod.namespace, lease, _request_timeout=_TIMEOUTS_SECONDS
        )

    def _claimed(self, found: client.V1Lease | None) -> client.V1Lease:
        """Return the Lease with this process as its holder."""
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

    def _holder_sentences(self) -> str:
        if self._lease is None:
            return "The cluster's API server does not respond."
        left = self._lease.spec.lease_duration_seconds - (monotonic() - self._seen[1])
        return f"Held by {lease_holder(self._lease)}. If that pod is gone, the lock is free in {max(0, left):.0f} s."

    def _timeout_sentences(self, timeout_seconds: float) -> str:
        if self._lease is None:
            return (
                f"'{self._lock}' of the lake could not be locked, because the cluster's API server did not respond for"
                f" {timeout_seconds:g} s. Run this task again when it does."
            )
        return (
            f"'{self._lock}' of the lake is locked by {lease_holder(self._lease)}; waited {timeout_seconds:g} s. Wait"
            " until that task ends, or end it, and run this task again."
        )


def lease_name(root: str, name: str) -> str:
    """Return the name of the Lease of a lock.

    Args:
        root: Root URI of the lake.
        name: The lock within the lake.
    """
    readable = re.sub("[^a-z0-9]+", "-", name.lower())
    return f"image-pipelines-{readable}-{uri.digest(uri.join(root, name))}"


def lease_holder(lease: client.V1Lease) -> str:
    """Return the holder of a Lease, as a phrase."""
    pod = lease.spec.holder_identity.rpartition("_")[0]
    return f"pod '{pod}' since {lease.spec.acquire_time:%Y-%m-%d %H:%M:%S} UTC"
