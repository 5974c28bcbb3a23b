"""The KFP component train_classifier."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Metrics, Output, TaskConfig, TaskConfigField, TaskConfigPassthrough

from components import container_images


# What a task is given goes to its ranks, too. Resources go to them alone: this task only watches them.
@dsl.component(
    base_image=container_images.SPARK,
    install_kfp_package=False,
    task_config_passthroughs=[
        TaskConfigField.RESOURCES,
        TaskConfigField.KUBERNETES_AFFINITY,
        TaskConfigPassthrough(TaskConfigField.KUBERNETES_NODE_SELECTOR, apply_to_task=True),
        TaskConfigPassthrough(TaskConfigField.KUBERNETES_TOLERATIONS, apply_to_task=True),
        TaskConfigPassthrough(TaskConfigField.KUBERNETES_VOLUMES, apply_to_task=True),
        TaskConfigPassthrough(TaskConfigField.ENV, apply_to_task=True),
    ],
)
def train_classifier(
    training_set: str,
    metrics: Output[Metrics],
    report: Output[HTML],
    job: Output[Artifact],
    task_config: TaskConfig,
    lake: str = "",
    backbone: str = "xception",
    weights: str = "imagenet",
    image_size: int = 0,
    dropout: float = 0.5,
    learning_rate: float = 0.016,
    batch_size: int = 32,
    epochs: int = 0,
    patience: int = 3,
    seed: int = 0,
    ranks: int = 1,
    launcher: str = "",
    slots_per_worker: int = 1,
    gpus_per_rank: int = 0,
    gpu_node_selector: dict = {},  # noqa: B006 - KFP copies this function's source, without any constant outside
    gpu_tolerations: list = [],  # noqa: B006 - likewise
    mlflow_tracking_uri: str = "",
    experiment: str = "",
    timeline: bool = False,
) -> NamedTuple("Outputs", [("run_id", str), ("model_uri", str), ("model_digest", str)]):
    """Train a classifier on a training set with Horovod, and log it to MLflow.

    A retry goes on from the last checkpoint; a training that was finished before returns its model. Where KFP's backend
    made an MLflow run for the task (MLFLOW_RUN_ID), that run is the parent of the training's own.

    Args:
        training_set: URI of the training set, from build_training_set.
        metrics: Losses and accuracies of the trained model, and images/s.
        report: Page with the curves.
        job: YAML of what the ranks ran as: the MPIJob with its last status, or the command on this machine.
        task_config: The task's resources, pool, environment and volumes, which KFP passes on to the ranks.
        lake: Root URI of the lake; empty takes it from the settings.
        backbone: `xception`, frozen, or `small`, a small network trained from scratch.
        weights: Xception's weights: `imagenet`, the path of a file of weights, or `none` for random ones.
        image_size: Side of the model's input in pixels; 0 is the backbone's own (299 or 32).
        dropout: Fraction of the features dropped in training, from 0 to below 1.
        learning_rate: Nadam's. 0.016 suits a frozen backbone; the small network wants about 0.002.
        batch_size: Images of each rank in a step.
        epochs: Epochs at most; 0 is 12 divided by the ranks, rounded up.
        patience: Epochs without a better validation accuracy before training stops; 0 never stops it.
        seed: Seed of weights, order and dropout.
        ranks: Processes that train together.
        launcher: How they are started: `local` or `mpijob`; empty takes it from the settings.
        slots_per_worker: Ranks in each worker pod of an MPIJob.
        gpus_per_rank: GPUs of each rank of an MPIJob; 0 takes the task's accelerator limit.
        gpu_node_selector: Labels of the nodes that an MPIJob's workers go to; empty takes the task's.
        gpu_tolerations: Tolerations of those nodes' taints.
        mlflow_tracking_uri: MLflow's tracking URI; empty takes it from the settings.
        experiment: MLflow experiment; empty takes it from the settings.
        timeline: Whether to log Horovod's timeline.

    Returns:
        run_id: MLflow's id of the run.
        model_uri: URI of the logged model.
        model_digest: SHA-256 of its SavedModel.
    """
    from pathlib import Path

    from components.settings import Settings
    from components.train_classifier.job_file import read_job
    from components.train_classifier.launchers import make_launcher
    from components.train_classifier.mpijob.options import JobOptions
    from components.train_classifier.report import write_report
    from components.train_classifier.train import train

    settings = Settings.load(
        lake=lake, launcher=launcher, mlflow_tracking_uri=mlflow_tracking_uri, experiment=experiment
    )
    options = JobOptions.make(task_config, slots_per_worker, gpus_per_rank, gpu_node_selector, gpu_tolerations)
    request, result = train(
        settings, training_set, make_launcher(settings, options), backbone=backbone, weights=weights,
        image_size=image_size, dropout=dropout, learning_rate=learning_rate, batch_size=batch_size, epochs=epochs,
        patience=patience, seed=seed, ranks=ranks, timeline=timeline,
    )  # fmt: skip
    for name, value in result.metrics.items():
        metrics.log_metric(name, value)
    write_report(request, result, report.path)
    Path(job.path).write_text(read_job(request))
    return result.run_id, result.model_uri, result.model_digest
