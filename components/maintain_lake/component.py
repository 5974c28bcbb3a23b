"""The KFP component maintain_lake."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Output

from components import container_images
from components.parameters import MaintenanceForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(MaintenanceForm)
def maintain_lake(
    report: Output[HTML],
    lake: str = "",
    keep_trainings: int = 10,
    retention_days: int = 7,
    dry_run: bool = False,
) -> NamedTuple(
    "Outputs", [("files_before", int), ("files_after", int), ("megabytes_before", float), ("megabytes_after", float)]
):
    """Compact the lake's tables, and remove trainings, training sets, features and predictions that nothing needs.

    It compacts finished days of `images` and small files of the other tables by Delta's OPTIMIZE, and removes files
    that no version of a table within the retention needs by Delta's VACUUM. Images, labels and models are never
    removed. The task can be killed and run again at any time, and other pipelines may run meanwhile.

    Args:
        report: Page with files and bytes before and after, and what was removed and why the rest was kept.

    Returns:
        files_before: Files of the lake before.
        files_after: Files afterwards. In a dry run, the estimate.
        megabytes_before: Size of these files before, in units of 1,000,000 bytes.
        megabytes_after: Size afterwards. In a dry run, the estimate.
    """
    from components.maintain_lake.maintain import maintain
    from components.maintain_lake.report import write_report
    from components.parameters import MaintenanceFields, parse_inputs
    from components.settings import Settings
    from components.task import run_task

    def step() -> tuple[int, int, float, float]:
        fields = parse_inputs(
            MaintenanceFields, keep_trainings=keep_trainings, retention_days=retention_days, dry_run=dry_run
        )
        result = maintain(Settings.load(lake=lake), fields)
        write_report(result, report.path)
        return result.before.files, result.after.files, result.before.bytes / 1e6, result.after.bytes / 1e6

    return run_task(step)
