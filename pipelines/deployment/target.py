"""The server of a command, and the images of the pipelines that it compiles."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.catalogue import PipelineName
    from pipelines.deployment.compiled import CompiledPipeline
    from pipelines.deployment.server import Server


@dataclass(frozen=True)
class Target:
    """The server of a command, and the images of the pipelines. Empty: the default.

    Attributes:
        endpoint: URL of the server.
        namespace: The user's namespace.
        registry: Registry of the images.
        tag: Tag of the images.
    """

    endpoint: str = ""
    namespace: str = ""
    registry: str = ""
    tag: str = ""

    @contextmanager
    def connected(self) -> "Iterator[Server]":
        """Connect to the server.

        Raises:
            InputError: See `pipelines.deployment.server.connected`.
        """
        from pipelines.deployment.server import connected
        from pipelines.deployment.server_settings import ServerSettings

        with connected(ServerSettings.load(endpoint=self.endpoint, namespace=self.namespace)) as server:
            yield server

    @contextmanager
    def compiled(self, names: "Iterable[PipelineName]") -> "Iterator[dict[PipelineName, CompiledPipeline]]":
        """Yield pipelines, compiled for the images, by name.

        Raises:
            InputError: See `pipelines.deployment.compiled.compiled_folder`.
        """
        from pipelines.deployment.compiled import compiled_folder, read_compiled

        with compiled_folder(self.registry, self.tag) as folder:
            yield {name: read_compiled(folder / f"{name}.yaml") for name in names}
