"""A champion to score with: a network with random weights, logged and registered as a trained one would be."""

from collections.abc import Callable
from functools import partial

from benchmarks.bench import Bench
from benchmarks.images import digits
from benchmarks.results import Against
from benchmarks.training_set import make_training_set
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.settings import Settings
from components.training_set.manifest import SplitName


def make_champion(
    bench: Bench, settings: Settings, backbone: str, image_size: int, forward_images: int = 0
) -> tuple[ModelRegistry, Callable[[], float]]:
    """Return a registry with a champion, and what returns images/s of the forward pass of its networks.

    Args:
        bench: The run.
        settings: Name the registry and the model.
        backbone: The network.
        image_size: Side of its input, in pixels; 0 is the backbone's own.
        forward_images: Images of a forward pass.
    """
    folder = bench.place(settings.model_name)
    images = digits(4)
    members = make_training_set(
        folder / "classes", {SplitName.TRAIN: images[:2], SplitName.VALIDATION: images[2:]}, files=1
    )
    registry = ModelRegistry.open(settings)
    measure = bench.contenders(
        "models",
        training_set=members.uri,
        backbone=backbone,
        image_size=image_size,
        forward_images=forward_images,
        tracking_uri=settings.mlflow_tracking_uri,
        folder=str(folder / "run"),
    )
    logged = measure("log")
    version = registry.create_version(logged["run_id"], logged["model_uri"], {DIGEST_TAG: logged["digest"]})
    registry.set_alias(CHAMPION, version.version)
    return registry, partial(measure, Against.LIMIT)
