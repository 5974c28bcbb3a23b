"""A champion to score with: a network with random weights, logged and registered as a trained one would be."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.bench import Bench, TrainerProcess
from benchmarks.images import digits
from benchmarks.training_set import make_training_set
from components.build_training_set.training_set import SplitName
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.settings import Settings


@contextmanager
def champion(
    bench: Bench, settings: Settings, backbone: str, image_size: int, forward_images: int = 0
) -> Iterator[tuple[ModelRegistry, TrainerProcess]]:
    """Yield a registry with a champion, and the process that has its networks, whose `limit` is their forward pass.

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
    with bench.trainer(
        "models",
        training_set=members.uri,
        backbone=backbone,
        image_size=image_size,
        forward_images=forward_images,
        tracking_uri=settings.mlflow_tracking_uri,
        folder=str(folder / "run"),
    ) as trainer:
        logged = trainer.measure("log")
        version = registry.create_version(logged["run_id"], logged["model_uri"], {DIGEST_TAG: logged["digest"]})
        registry.set_alias(CHAMPION, version.version)
        yield registry, trainer
