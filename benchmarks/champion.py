"""A champion with random weights.

It is logged and registered like a trained model.
"""

from collections.abc import Callable
from functools import partial

from benchmarks.bench import Bench
from benchmarks.images import digits
from benchmarks.results import Baseline
from benchmarks.training_set import make_training_set
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.settings import Settings
from components.training_set.manifest import SplitName


def make_champion(
    bench: Bench, settings: Settings, backbone: str, image_size: int, forward_images: int = 0
) -> tuple[ModelRegistry, Callable[[], float]]:
    """Register a champion, and return its registry and the limit of scoring.

    The limit is a function that returns the images/s of the networks' forward pass.

    Args:
        bench: The run.
        settings: Settings with the registry and the model's name.
        backbone: Name of the backbone.
        image_size: Side of the backbone's input in pixels; 0 means the backbone's default.
        forward_images: Images per measurement of the forward pass.
    """
    folder = bench.make_folder(settings.model_name)
    images = digits(4)
    members = make_training_set(
        folder / "classes", {SplitName.TRAIN: images[:2], SplitName.VALIDATION: images[2:]}, rows=2
    )
    registry = ModelRegistry.open(settings)
    measure = bench.trainer_contenders(
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
    return registry, partial(measure, Baseline.LIMIT)
