"""The KFP component build_training_set."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images
from components.parameters import TrainingForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(TrainingForm)
def build_training_set(
    report: Output[HTML],
    lake: str = "",
) -> NamedTuple("Outputs", [("training_set", str), ("training_set_id", str), ("images", int)]):
    """Freeze the labeled images of the lake as an immutable training set with a split.

    A training set names rows of segments, which are Parquet files that training sets share. So a build reads and writes
    only the content of images that no earlier training set has. A hash of the content assigns each image to train,
    validation or test, but near-duplicates share a split. The table `groups` keeps the splits, so they never change.
    The same images give the same training set: a second run returns the first one's.

    Args:
        report: Page with the images by class, split and month of arrival, and what was reused, added and left out.

    Returns:
        training_set: URI of the training set.
        training_set_id: Hash of its members.
        images: Members of all splits.
    """
    from components.build_training_set.build import build
    from components.build_training_set.report import write_report
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[str, str, int]:
        result = build(Settings.load(lake=lake))
        write_report(result, report.path)
        made = result.training_set
        return made.uri, made.id, sum(made.counts.values())

    return run_task(step)
