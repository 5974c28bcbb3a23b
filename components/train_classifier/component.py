"""The KFP component train_classifier."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Metrics, Output, TaskConfig, TaskConfigField, TaskConfigPassthrough

from components import container_images
from components.parameters import TrainingForm, describe


# The MPIJob takes its pools, volumes, environment and GPU limit from this task's configuration. The other resources
# differ, because the task only watches the ranks. But KFP's compiler requires a task with resources to pass them on.
@dsl.component(
    base_image=container_images.SPARK,
    install_kfp_package=False,
    task_config_passthroughs=[
        TaskConfigPassthrough(TaskConfigField.RESOURCES, apply_to_task=True),
        TaskConfigField.KUBERNETES_AFFINITY,
        TaskConfigPassthrough(TaskConfigField.KUBERNETES_NODE_SELECTOR, apply_to_task=True),
        TaskConfigPassthrough(TaskConfigField.KUBERNETES_TOLERATIONS, apply_to_task=True),
        TaskConfigPassthrough(TaskConfigField.KUBERNETES_VOLUMES, apply_to_task=True),
        TaskConfigPassthrough(TaskConfigField.ENV, apply_to_task=True),
    ],
)
@describe(TrainingForm)
def train_classifier(
    training_set: str,
    metrics: Output[Metrics],
    report: Output[HTML],
    job: Output[Artifact],
    task_config: TaskConfig,
    lake: str = "",
    backbone: str = "xception",
    epochs: int = 12,
    ranks: int = 2,
    training_options: dict = {},  # noqa: B006 - KFP copies this function's source, without constants outside it
    placement: dict = {},  # noqa: B006 - likewise
) -> NamedTuple("Outputs", [("run_id", str), ("model_uri", str), ("model_digest", str)]):
    """Train a classifier on a training set with Horovod, and log it to MLflow.

    A retry resumes from the last checkpoint. If the same training is already finished, the step returns its model. If
    KFP's MLflow plugin created an MLflow run for the task (MLFLOW_RUN_ID), it is the parent of the training's MLflow
    run.

    Args:
        training_set: URI of the training set, from build_training_set.
        metrics: Losses and accuracies of the trained model, number of epochs, and images per second.
        report: Page with the training curves.
        job: YAML of the ranks' job: the MPIJob with its last status, or the command on this machine.
        task_config: Node pool, environment and volumes of the task, for the pods of the ranks. KFP sets it.

    Returns:
        run_id: Id of the MLflow run.
        model_uri: URI of the logged model.
        model_digest: SHA-256 of the model's SavedModel.
    """
    from pathlib import Path

    from components.parameters import Placement, Training, parse_inputs
    from components.settings import Settings
    from components.storage.files import Files
    from components.task import run_task
    from components.train_classifier.job_record import job_record_yaml
    from components.train_classifier.launchers import make_launcher
    from components.train_classifier.mpijob.options import JobOptions
    from components.train_classifier.report import write_report
    from components.train_classifier.train import train

    def step() -> tuple[str, str, str]:
        training = parse_inputs(
            Training, backbone=backbone, epochs=epochs, ranks=ranks, training_options=training_options
        )
        placed = parse_inputs(Placement, placement=placement)
        settings = Settings.load(lake=lake, launcher=placed.launcher)
        launcher = make_launcher(settings, JobOptions.make(task_config, placed))
        request, result = train(settings, training_set, launcher, **training.model_dump())
        for name, value in result.metrics.items():
            metrics.log_metric(name, value)
        write_report(request, result, report.path)
        Path(job.path).write_text(job_record_yaml(request, Files.of(settings)))
        return result.run_id, result.model_uri, result.model_digest

    return run_task(step)
