"""Ranks with assigned GPUs on nodes without GPUs: they end at once, and nothing is left."""

from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from kfp.dsl import TaskConfig

from components.errors import InputError
from components.parameters import Placement
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.job_record import JOB_FILE
from components.train_classifier.mpijob.launcher import MPIJobLauncher
from components.train_classifier.mpijob.options import JobOptions
from components.train_classifier.mpijob.watch import Deadlines
from components.train_classifier.train import RUNS_FOLDER, train
from tests.cluster.namespace import Namespace
from tests.cluster.store import BUCKET, land_training_set
from tests.support.servers import S3Server
from tests.support.training_set_factory import digits

pytestmark = pytest.mark.slow

LAKE = f"s3a://{BUCKET}/gpu-ranks"
DEADLINES = Deadlines(created=120, scheduled=120, running=300, finished=600)


@dataclass
class Rejected:
    """A training whose ranks detected no GPU.

    Attributes:
        error: Message of its error.
        job: Record of its MPIJob.
        run_files: Names of the files in the training's folder.
    """

    error: str
    job: dict[str, Any]
    run_files: set[str]


@pytest.fixture
def rejected(
    namespace: Namespace,
    trainer_image: str,
    s3: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Rejected:
    """A training of two ranks with a GPU each, whose GPU image is set to the image for CPUs by mistake."""
    environment = namespace.task_environment("image-training-x7k2p")
    # The real image for GPUs is too large for the test cluster.
    for name, value in {**environment, "IMAGE_PIPELINES_TRAINER_GPU_IMAGE": trainer_image}.items():
        monkeypatch.setenv(name, value)
    task = TaskConfig(
        node_selector={"pool": "cpu"},
        env=[{"name": name, "value": value} for name, value in s3.environment.items()],
    )
    options = JobOptions.make(task, Placement(rank_cpu="500m", rank_memory="2Gi"))
    locks = str(tmp_path_factory.mktemp("locks"))
    settings = Settings.load(lake=LAKE, lock=locks, mlflow_tracking_uri="http://unused.example")
    files = Files.of(settings)
    training_set = land_training_set(tmp_path_factory.mktemp("training-set"), LAKE, digits(60))

    with pytest.raises(InputError) as error:
        train(settings, training_set, MPIJobLauncher(options, DEADLINES, files), backbone="small", ranks=2)

    (run,) = files.list_names(uri.join(LAKE, RUNS_FOLDER))
    folder = uri.join(LAKE, RUNS_FOLDER, run)
    job = yaml.safe_load(files.read_text(uri.join(folder, JOB_FILE)))
    return Rejected(str(error.value), job, set(files.list_names(folder)))


def test_ranks_without_their_assigned_gpus_end_at_once_and_leave_nothing(
    rejected: Rejected, namespace: Namespace, trainer_image: str
) -> None:
    start, _, end = rejected.error.partition("-worker-0' ")
    assert start.startswith("gpus_per_rank: rank 0 on 'image-training-x7k2p-train-classifier-")
    assert end == (
        "has 1 GPU assigned, but its image has TensorFlow for CPUs. Use the trainer image with the tag suffix -gpu"
        " (IMAGE_PIPELINES_TRAINER_GPU_IMAGE), or gpus_per_rank=0 to train on CPUs."
    )
    # Launcher and workers have the image for GPUs, and each rank requests one GPU.
    for replica in rejected.job["spec"]["mpiReplicaSpecs"].values():
        assert replica["template"]["spec"]["containers"][0]["image"] == trainer_image
    (worker,) = rejected.job["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    # Neither an MLflow run nor a checkpoint.
    assert not {name for name in rejected.run_files if name == "run.json" or name.startswith("epoch-")}
    assert not namespace.mpijobs()
    assert not namespace.pods("training.kubeflow.org/job-name")
