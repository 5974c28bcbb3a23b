"""The maintenance pipeline: compact the lake's tables, and remove unneeded data."""

from kfp import dsl

from components.check_parameters.component import check_parameters
from components.maintain_lake.component import maintain_lake
from components.notify.component import notify
from components.parameters import MaintenanceForm, describe
from pipelines import platform


@dsl.pipeline(name="image-maintenance")
@describe(MaintenanceForm)
def maintenance(
    lake: str = "",
    keep_trainings: int = 10,
    retention_days: int = 7,
    dry_run: bool = False,
    notify_to: str = "",
    cpu_node_selector: dict = platform.CPU_NODE_SELECTOR,
    cpu_tolerations: list = platform.CPU_TOLERATIONS,
) -> None:
    """Compact the lake's tables, and remove trainings, training sets, features and predictions that nothing needs.

    The defaults suit most installations. The ConfigMap image-pipelines-settings holds the settings.
    """
    pool = cpu_node_selector, cpu_tolerations
    notified = platform.configure(notify(to=notify_to, lake=lake, pipeline="maintenance"), platform.SMALL, *pool)
    with dsl.ExitHandler(notified, name="maintenance"):
        checked = check_parameters(
            pipeline="maintenance",
            lake=lake,
            keep_trainings=keep_trainings,
            retention_days=retention_days,
            dry_run=dry_run,
            notify_to=notify_to,
            cpu_node_selector=cpu_node_selector,
            cpu_tolerations=cpu_tolerations,
        )
        platform.configure(checked, platform.CHECK, *pool)

        maintained = maintain_lake(
            lake=lake, keep_trainings=keep_trainings, retention_days=retention_days, dry_run=dry_run
        )
        maintained.after(checked)
        platform.configure(maintained, platform.SPARK, *pool)
