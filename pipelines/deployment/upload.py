"""Upload compiled pipelines, each content once."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from kfp_server_api import ApiException

from components.errors import InputError
from pipelines.deployment.compiled import CompiledPipeline
from pipelines.deployment.server import Server


class UploadAction(StrEnum):
    """What an upload does."""

    CREATED = "created"
    VERSION_ADDED = "version added"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class UploadedVersion:
    """A version of a pipeline on the server.

    Attributes:
        pipeline_id: Id of its pipeline.
        version_id: Its id.
        name: Its name.
    """

    pipeline_id: str
    version_id: str
    name: str


def upload(server: Server, compiled: CompiledPipeline, dry_run: bool = False) -> UploadAction:
    """Give the server a version with this content, unless it has one.

    A pipeline that has no version yet, because an upload ended between the two, gets its first one here.

    Args:
        server: The server.
        compiled: The pipeline.
        dry_run: Whether to write nothing.

    Returns:
        What was done, or would be.
    """
    pipeline = server.find_pipeline(compiled.name)
    if pipeline is None:
        if not dry_run:
            created = server.create_pipeline(compiled.name, compiled.description)
            _add_version(server, created.pipeline_id, compiled)
        return UploadAction.CREATED
    if server.find_version(pipeline.pipeline_id, compiled.version) is not None:
        return UploadAction.UNCHANGED
    if not dry_run:
        _add_version(server, pipeline.pipeline_id, compiled)
    return UploadAction.VERSION_ADDED


def find_uploaded(server: Server, compiled: CompiledPipeline, version: str = "") -> UploadedVersion | None:
    """Return the version of a pipeline with this content, or None.

    Args:
        server: The server.
        compiled: The pipeline.
        version: Name of another version of it that is wanted instead.
    """
    name = version or compiled.version
    pipeline = server.find_pipeline(compiled.name)
    found = server.find_version(pipeline.pipeline_id, name) if pipeline is not None else None
    return UploadedVersion(found.pipeline_id, found.pipeline_version_id, name) if found is not None else None


def require_uploaded(server: Server, compiled: CompiledPipeline, version: str = "") -> UploadedVersion:
    """Return what `find_uploaded` does.

    Raises:
        InputError: The server does not have it.
    """
    found = find_uploaded(server, compiled, version)
    if found is None:
        raise InputError(
            f"version: {server.url} has no version '{version or compiled.version}' of {compiled.name}. Upload it first,"
            " or give the --registry and --tag that it was uploaded with."
        )
    return found


def _add_version(server: Server, pipeline_id: str, compiled: CompiledPipeline) -> None:
    try:
        server.add_version(pipeline_id, compiled.version, compiled.path, compiled.description)
    except ApiException as error:
        # Somebody else's upload of the same content came first, or an answer to ours got lost.
        if error.status != HTTPStatus.CONFLICT:
            raise
