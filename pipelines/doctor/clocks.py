"""Differences between the clock of this machine and those of the servers."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import urlsplit

import requests

from components.errors import TransientError
from components.storage import uri
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, guarded, ok, warning

# S3 and Azure refuse requests that are signed 15 minutes early or late.
_REFUSED_SECONDS = 15 * 60
_UNUSUAL_SECONDS = 60
_TIMEOUTS_SECONDS = (5, 10)
_GOOGLE = "https://storage.googleapis.com"


def check_clocks(context: Context) -> Iterator[Finding]:
    """Yield the difference of each server's clock."""
    for url in servers(context):
        yield from guarded(partial(_of_server, url), url)
    if context.uses_cluster:
        yield from guarded(_of_cluster, "API server")
    if not servers(context) and not context.uses_cluster:
        yield ok("no server is used.")


def servers(context: Context) -> list[str]:
    """Return the URLs of the servers whose clocks matter, each once."""
    urls = []
    for place in context.places:
        if uri.is_http_url(place.address):
            urls.append("{0.scheme}://{0.netloc}".format(urlsplit(place.address)))
        elif place.address.startswith(("s3a:", "s3:")):
            urls.append(context.settings.s3_endpoint or _amazon(context.settings.s3_region))
        elif place.address.startswith("abfss:"):
            host = (urlsplit(place.address).hostname or "").replace(".dfs.", ".blob.", 1)
            urls.append(f"https://{host}")
        elif place.address.startswith("gs:"):
            urls.append(context.settings.gcs_endpoint or _GOOGLE)
    if uri.is_http_url(context.settings.mlflow_tracking_uri):
        urls.append(context.settings.mlflow_tracking_uri)
    return list(dict.fromkeys(urls))


def difference(subject: str, seconds: float) -> Finding:
    """Return the finding about a difference of clocks.

    Args:
        subject: The other clock.
        seconds: Seconds by which it is ahead of the clock of this machine; negative if it is behind.
    """
    direction = "ahead of" if seconds > 0 else "behind"
    what = f"{subject}: its clock is {abs(seconds):.0f} s {direction} the clock of this machine."
    if abs(seconds) >= _REFUSED_SECONDS:
        return error(what, "Synchronize both clocks by NTP: stores refuse requests that are 15 minutes early or late.")
    if abs(seconds) >= _UNUSUAL_SECONDS:
        return warning(what, "Synchronize both clocks by NTP.")
    # HTTP gives whole seconds.
    return ok(f"{subject}: its clock agrees within {max(1.0, abs(seconds)):.0f} s.")


def _amazon(region: str) -> str:
    """Return the URL of S3 in a region. A private network may reach only this one."""
    if not region:
        return "https://s3.amazonaws.com"
    suffix = ".cn" if region.startswith("cn-") else ""
    return f"https://s3.{region}.amazonaws.com{suffix}"


def _of_server(url: str) -> Iterator[Finding]:
    before = datetime.now(UTC)
    # Any response has a date, even one that refuses access.
    try:
        response = requests.head(url, timeout=_TIMEOUTS_SECONDS, allow_redirects=False)
    except requests.exceptions.RequestException as exception:
        raise TransientError(
            f"does not respond ({type(exception).__name__}). Check that the server is up, the URL and the network."
        ) from exception
    yield from _of_date(url, response.headers.get("Date"), before)


def _of_cluster() -> Iterator[Finding]:
    from kubernetes import client

    from components.cluster.api import TIMEOUTS_SECONDS, api_client
    from pipelines.doctor.cluster_errors import cluster_errors

    before = datetime.now(UTC)
    with cluster_errors("API server"):
        _, _, headers = client.VersionApi(api_client()).get_code_with_http_info(_request_timeout=TIMEOUTS_SECONDS)
    yield from _of_date("the cluster's API server", headers.get("Date"), before)


def _of_date(subject: str, date: str | None, before: datetime) -> Iterator[Finding]:
    if date is None:
        yield warning(f"{subject}: its responses have no date.", "Compare its clock with this machine's by hand.")
        return
    middle = before + (datetime.now(UTC) - before) / 2
    # Dates of HTTP are in UTC, even if their zone is `-0000`.
    yield difference(subject, (parsedate_to_datetime(date).replace(tzinfo=UTC) - middle).total_seconds())
