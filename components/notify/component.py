"""The KFP component notify."""

from kfp import dsl

from components import container_images
from components.parameters import TrainingForm, describe


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
@describe(TrainingForm)
def notify(
    status: dsl.PipelineTaskFinalStatus,
    to: str = "",
    lake: str = "",
    pipeline: str = "",
) -> None:
    """Report the end of a pipeline run in the log and by e-mail, as the pipeline's exit task.

    The message has the state of the run and the figures that its tasks left in the lake. It also mentions a source
    without new images, because an empty source is the most frequent fault.

    Args:
        status: State of the run. Kubeflow Pipelines sets it.
        to: E-mail addresses, separated by commas; empty for the log only. The settings name the mail server.
        pipeline: Name of the pipeline, which the status lacks.
    """
    from components.notify.message import RunEnd
    from components.notify.notify import announce
    from components.pipeline_run import current_run_id
    from components.settings import Settings
    from components.task import run_task

    def step() -> None:
        end = RunEnd(status.pipeline_job_resource_name or "", status.state or "", status.error_message or "", pipeline)
        announce(Settings.load(lake=lake), end, to, current_run_id())

    run_task(step)
