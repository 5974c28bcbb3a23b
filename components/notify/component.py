"""The KFP component notify."""

from kfp import dsl

from components import container_images


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)
def notify(
    status: dsl.PipelineTaskFinalStatus,
    to: str = "",
    lake: str = "",
    pipeline: str = "",
    ingests: str = "",
) -> None:
    """Tell how a pipeline's run ended, in the log and by e-mail; it is the exit task of a pipeline.

    A run that found no new image says so: a source that went dry is the usual failure.

    Args:
        status: How the run ended; Kubeflow Pipelines fills it in.
        to: E-mail addresses, separated by commas; empty for the log only. The settings name the mail server.
        lake: Root URI of the lake; empty takes it from the settings.
        pipeline: Name of the pipeline, which the status lacks.
        ingests: Which images the pipeline ingests, `labelled` or `unlabelled`; empty for none.
    """
    from components.notify.message import RunEnd
    from components.notify.notify import announce
    from components.settings import Settings

    end = RunEnd(status.pipeline_job_resource_name or "", status.state or "", status.error_message or "", pipeline)
    announce(Settings.load(lake=lake), end, to, ingests)
