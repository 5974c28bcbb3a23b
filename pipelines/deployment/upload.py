"""Upload compiled pipelines. A content is uploaded once, as a version."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from kfp_server_api import ApiException

from components.errors import InputError
from pipelines.deployment.compiled import CompiledPipeline
from pipelines.deployment.server import Server


class UploadAction(StrEnum):
    """The change that an upload made."""

    CREATED = "created"
    VERSION_ADDED = "version added"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class UploadedVersion:
    """A version of a pipeline on the server.

    Attributes:
        pipeline_id: Id of its pipeline.
        version_id: Id of the version.
        name: Name of the version.
    """

    pipeline_id: str
    version_id: str
    name: str


def upload(server: Server, compiled: CompiledPipeline, dry_run: bool = False) -> UploadAction:
    """Upload a compiled pipeline as a version, unless the server has that version.

    Idempotent: an upload that was interrupted before the pipeline got its version is completed.

    Args:
        server: The server.
        compiled: The pipeline.
        dry_run: Whether to write nothing.

    Returns:
        The change that was made, or would be.
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
        version: Name of another version of the pipeline to return instead.
    """
    name = version or compiled.version
    pipeline = server.find_pipeline(compiled.name)
    found = server.find_version(pipeline.pipeline_id, name) if pipeline is not None else None
    return UploadedVersion(found.pipeline_id, found.pipeline_version_id, name) if found is not None else None


def require_uploaded(server: Server, compiled: CompiledPipeline, version: str = "") -> UploadedVersion:
    """Return the version that `find_uploaded` finds.

    Raises:
        InputError: The server does not have the version.
    """
    found = find_uploaded(server, compiled, version)
    if found is None:
        raise InputError(
            f"version: '{version or compiled.version}' of {compiled.name} not found on {server.url}. Upload it first,"
            " or give the same --registry and --tag as for the upload."
        )
    return found


def _add_version(server: Server, pipeline_id: str, compiled: CompiledPipeline) -> None:
    try:
        server.add_version(pipeline_id, compiled.version, compiled.path, compiled.description)
    except ApiException as error:
        # Another upload of this content was faster, or the response to ours was lost.
        if error.status != HTTPStatus.CONFLICT:
            raise
