"""The versions of a model whose predictions count: the champion and its predecessors."""

from dataclasses import dataclass

# Their predictions count for images that the champion has not scored. Older models' predictions are not good enough.
MAXIMUM_PREDECESSORS = 2


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        version: Number of the version, which a new registry gives to another model.
        digest: SHA-256 of its SavedModel, which identifies its predictions; empty if the registry has none.
    """

    version: str
    digest: str


@dataclass(frozen=True)
class Succession:
    """The champion of a registered model, and its predecessors without withdrawn versions.

    Attributes:
        model_name: Registered model.
        versions: The champion, then predecessors from new to old; empty without a champion.
    """

    model_name: str
    versions: tuple[ModelVersion, ...]


NO_CHAMPION = Succession("", ())
