"""The KFP component build_training_set."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def build_training_set(
    report: Output[HTML],
    lake: str = "",
    files: int = 16,
) -> NamedTuple("Outputs", [("training_set", str), ("training_set_id", str), ("images", int)]):
    """Freeze the labelled images of the lake into a training set of Parquet files, divided by a hash of their content.

    The same images are the same training set: a second run returns what the first one wrote.

    Args:
        report: Page with the images by class and split, and what was left out.
        lake: Root URI of the lake; empty takes it from the settings.
        files: Parquet files in each split: at least as many as there will be ranks. There are fewer if there are fewer
            images, and a multiple if a file would be larger than 128 MiB.

    Returns:
        training_set: URI of the training set.
        training_set_id: Hash of its members.
        images: Members of all splits.
    """
    from components.build_training_set.build import build
    from components.build_training_set.report import write_report
    from components.settings import Settings

    result = build(Settings.load(lake=lake), files)
    write_report(result, report.path)
    made = result.training_set
    return made.uri, made.id, sum(made.counts.values())
