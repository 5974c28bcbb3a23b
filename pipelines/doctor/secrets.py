"""Secrets of this process, and the ConfigMap and the Secret of the tasks."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path

from kubernetes import client
from pydantic import SecretStr

from components.cluster.api import TIMEOUTS_SECONDS, api_client
from components.settings import ENVIRONMENT_PREFIX, RENAMED, Settings, variable
from pipelines.doctor.cluster_errors import cluster_errors
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, guarded, ok, warning
from pipelines.platform import CONFIG_MAP, SECRET, environment

# Google's own variable with the path of a key. Workload identity needs none.
_GOOGLE_KEY = "GOOGLE_APPLICATION_CREDENTIALS"
_APPLY = "Apply the overlay of manifests/overlays again."


def check_secrets(context: Context) -> Iterator[Finding]:
    """Yield findings about secrets.

    Their values are never printed. Of the Secret in the cluster, only the keys are used.
    """
    yield from values_of(context.settings)
    if context.uses_cluster:
        yield from guarded(partial(_objects, context))


def values_of(settings: Settings) -> Iterator[Finding]:
    """Yield findings about the secrets of this process."""
    names = [name for name in Settings.model_fields if isinstance(getattr(settings, name), SecretStr)]
    for name in names:
        value = getattr(settings, name).get_secret_value()
        if value != value.strip():
            yield error(
                f"{name}: begins or ends with a blank or a line break.",
                f"Set {variable(name)} without it, e.g. with `printf` instead of `echo`.",
            )
    for first, second in (("s3_access_key", "s3_secret_key"), ("s3_secret_key", "s3_access_key")):
        if first in names and second not in names:
            yield error(
                f"{second}: not set, but {first} is, so neither is used.", f"Set {variable(second)}, or remove {first}."
            )
    if settings.azure_client_id and not Path(settings.azure_token_file).exists():
        yield error(
            f"azure_token_file: file '{settings.azure_token_file}' not found, so this pod has no workload identity.",
            "Label the pod azure.workload.identity/use, or unset azure_client_id.",
        )
    google_key = os.environ.get(_GOOGLE_KEY)
    if google_key and not Path(google_key).exists():
        yield error(
            f"{_GOOGLE_KEY}: file '{google_key}' not found, so gs:// URIs have no credentials.",
            "Correct the path, or unset the variable to use the workload identity.",
        )
    yield ok(f"set: {', '.join(names) or 'no secret'}.")


def _objects(context: Context) -> Iterator[Finding]:
    core = client.CoreV1Api(api_client())
    read = (
        (CONFIG_MAP, "ConfigMap", core.read_namespaced_config_map),
        (SECRET, "Secret", core.read_namespaced_secret),
    )
    for name, kind, call in read:
        with cluster_errors(f"{kind} {name}"):
            try:
                keys = list(call(name, context.namespace, _request_timeout=TIMEOUTS_SECONDS).data or {})
            except client.ApiException as exception:
                if exception.status != HTTPStatus.NOT_FOUND:
                    raise
                yield _missing(context, name, kind)
                continue
        yield from keys_of(name, kind, keys)


def _missing(context: Context, name: str, kind: str) -> Finding:
    what = f"{kind} {name}: not found in the namespace '{context.namespace}'."
    if kind == "ConfigMap":
        return error(what, _APPLY)
    if context.settings.s3_endpoint:
        return error(what, "Create it with the keys of s3_endpoint: see docs/kubernetes.md, step 2.")
    return ok(f"{what} Tasks use the roles and identities of their account.")


def keys_of(name: str, kind: str, keys: Iterable[str]) -> Iterator[Finding]:
    """Yield findings about the keys of the ConfigMap or the Secret.

    Args:
        name: Name of the object.
        kind: `ConfigMap` or `Secret`.
        keys: Its keys.
    """
    is_secret = kind == "Secret"
    expected, other = environment(secret=is_secret), environment(secret=not is_secret)
    renamed = {variable(old): variable(new) for old, new in RENAMED.items()}
    used = 0
    for key in sorted(keys):
        if key in renamed:
            yield error(f"{kind} {name}: '{key}' was renamed, so tasks refuse it.", f"Rename it to {renamed[key]}.")
        elif key in expected:
            used += 1
        elif key in other and not is_secret:
            yield error(f"{kind} {name}: '{key}' is a secret, so tasks ignore it here.", f"Move it to Secret {SECRET}.")
        elif key in other:
            yield error(
                f"{kind} {name}: '{key}' is not a secret, so tasks ignore it here.",
                f"Move it to ConfigMap {CONFIG_MAP}.",
            )
        elif key.startswith(ENVIRONMENT_PREFIX):
            yield error(f"{kind} {name}: unknown setting '{key}', which tasks ignore.", "Correct or remove it.")
        else:
            yield warning(f"{kind} {name}: tasks ignore '{key}'.", "Remove it, unless another program reads it.")
    yield ok(f"{kind} {name}: tasks use {used} keys.")
