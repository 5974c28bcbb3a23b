"""Run one rank of a training.

Usage: `python -m components.train_classifier.rank.worker REQUEST_URI`.
"""

import json
import logging
import math
import os
import socket
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import tensorflow as tf
from horovod import tensorflow as hvd
from tensorflow import keras

from components.parameters.training import RANDOM
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.environment import rank_threads
from components.train_classifier.heartbeat import HeartbeatWatch
from components.train_classifier.learning_rate import warm_up_epochs, warning_of_few_steps
from components.train_classifier.rank.backbones import build_backbone, build_head, weights_digest
from components.train_classifier.rank.callbacks import AfterEpoch, AverageOverRanks, ProgressRecorder, ReportSteps
from components.train_classifier.rank.checkpoint import Checkpoint
from components.train_classifier.rank.export import ExportedClassifier
from components.train_classifier.rank.feature_files import features_folder
from components.train_classifier.rank.features import FeatureFeed, FeatureSource
from components.train_classifier.rank.feed import ImageFeed
from components.train_classifier.rank.gpus import Gpu, RankDevices, arithmetic, assigned_gpus, check_gpus, read_driver
from components.train_classifier.rank.liveness import Liveness
from components.train_classifier.rank.same_weights import SameWeights
from components.train_classifier.rank.shards import Shard
from components.train_classifier.rank.state import TrainingState, WarmUp
from components.train_classifier.rank.steps import Feeds
from components.train_classifier.request import (
    FAILURE_FILE,
    RESULT_FILE,
    TIMELINE_FILE,
    EpochMetrics,
    TrainingRequest,
    TrainingResult,
)
from components.training_set.manifest import SplitName, TrainingSet
from components.transient import is_transient

if TYPE_CHECKING:
    from components.train_classifier.rank.tracking import Tracking

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Train as one rank.

    Args:
        arguments: Command-line arguments: the URI of the request.
    """
    # Petastorm 0.13.1 uses interfaces that pyarrow 14 deprecates. Users can't act on the warning.
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    settings = Settings.load()
    files = Files.of(settings)
    request = TrainingRequest.read(arguments[0], files)
    with TemporaryDirectory() as folder:
        timeline = Path(folder, TIMELINE_FILE) if request.timeline else None
        if timeline:
            os.environ["HOROVOD_TIMELINE"] = str(timeline)
        hvd.init()
        try:
            Worker(request, settings, timeline).run()
        except Exception as error:
            _write_failure(request.run_directory, error, files)
            raise


class Worker:
    """A rank of a training.

    Args:
        request: The training.
        settings: Settings, for the access to the files and the timeouts of heartbeat and liveness.
        timeline: File of Horovod's timeline; None disables it.

    Raises:
        InputError: A rank can't train on its GPUs.
        RuntimeError: Horovod runs another number of ranks than the request has.
    """

    def __init__(self, request: TrainingRequest, settings: Settings, timeline: Path | None) -> None:
        if hvd.size() != request.ranks:
            raise RuntimeError(
                f"ranks: the request has {request.ranks}, but Horovod runs {hvd.size()}. Start one process per rank."
            )
        self._request = request
        self._files = Files.of(settings)
        self._timeline = timeline
        self._started = time.monotonic()
        self._liveness = Liveness(settings.stall_timeout_seconds)
        self._liveness.begin("started")
        self._threads = rank_threads(os.environ, len(os.sched_getaffinity(0)), hvd.local_size())
        _set_up_tensorflow(self._threads)
        self._gpu = _take_gpu()
        self._training_set = TrainingSet.read(request.training_set, self._files)
        self._class_ids = [item.label for item in self._training_set.classes]
        timeout = settings.heartbeat_timeout_seconds
        self._heartbeat = HeartbeatWatch(request.run_directory, timeout, self._files) if hvd.rank() == 0 else None

    def run(self) -> None:
        """Train from the newest checkpoint, and write the result to the run's folder."""
        request = self._request
        # Dropout differs between ranks, but the weights do not: rank 0 broadcasts its weights below.
        keras.utils.set_random_seed(request.seed + hvd.rank())
        # Only rank 0 fetches the pretrained weights. The broadcast replaces the random weights of the other ranks.
        self._liveness.begin("weights")
        random = {"weights": RANDOM, "weights_sha256": ""}
        own_request = request if hvd.rank() == 0 else request.model_copy(update=random)
        backbone = build_backbone(own_request, self._files, self._liveness.report)
        hvd.broadcast_variables(backbone.variables, root_rank=0)
        head = build_head(backbone.output_shape[-1], len(self._class_ids), request.dropout)
        self._liveness.begin("data")
        feeds, computed = self._feeds(backbone)
        model = head if request.is_frozen else keras.Sequential([backbone, head])
        steps_total = feeds.steps[SplitName.TRAIN] * request.epochs
        state = TrainingState(model, WarmUp(steps_total, request.ranks, request.learning_rate))
        # Rank 0 wrote the checkpoints. Other ranks may see an older listing of the folder.
        checkpoint = hvd.broadcast_object(self._newest_checkpoint(), root_rank=0) or Checkpoint()
        state.restore(checkpoint)
        resumed = checkpoint.progress.epochs > 0
        images = self._training_set.counts[SplitName.TRAIN]
        warning = warning_of_few_steps(steps_total, images, request.batch_size, request.epochs, request.ranks)
        if warning and hvd.rank() == 0:
            print(f"warning: {warning}", flush=True)
        with self._tracking(resumed) as tracking:
            if tracking is not None and resumed:
                tracking.log_missing(checkpoint.progress.history)
            recorder = self._fit(model, state, feeds, checkpoint, tracking)
            feeds.close()
            self._liveness.begin("model")
            model.set_weights(recorder.best_weights)
            digests = hvd.allgather_object(weights_digest(model))
            computed_by_all_ranks = sum(hvd.allgather_object(computed))
            if tracking is not None:
                exported = ExportedClassifier(backbone, head, self._class_ids, request.image_size)
                model_uri, model_digest = tracking.log_model(exported)
                if self._timeline:
                    # Until the timeline stops, its file may end in the middle of an event.
                    hvd.stop_timeline()
                    tracking.log_file(self._timeline)
                result = TrainingResult(
                    run_id=tracking.run_id,
                    model_uri=model_uri,
                    model_digest=model_digest,
                    training_set_id=self._training_set.id,
                    ranks=request.ranks,
                    history=recorder.progress.history,
                    best_epoch=recorder.progress.best_epoch,
                    first_epoch=checkpoint.progress.epochs + 1,
                    steps=steps_total,
                    features_computed=computed_by_all_ranks,
                    weights_digests=digests,
                    seconds=time.monotonic() - self._started,
                )
                result_file = uri.join(request.run_directory, RESULT_FILE)
                self._files.write_text(result_file, result.model_dump_json(indent=2))
        _barrier()

    def _tracking(self, resumed: bool) -> "AbstractContextManager[Tracking | None]":
        if hvd.rank() != 0:
            return nullcontext()
        # Imported here because importing MLflow takes seconds, and other ranks do not need it.
        from components.train_classifier.rank.tracking import Tracking

        return Tracking.open(self._request, self._training_set, resumed, self._files)

    def _newest_checkpoint(self) -> Checkpoint | None:
        return Checkpoint.read_newest(self._request.run_directory, self._files) if hvd.rank() == 0 else None

    def _feeds(self, backbone: keras.Model) -> tuple[Feeds, int]:
        """Return the rank's data, and the number of images whose features this rank computed."""
        request = self._request
        splits = (SplitName.TRAIN, SplitName.VALIDATION)
        # All members are read once, for both splits.
        segments = [segment for split in splits for segment in self._training_set.segments_of(split)]
        labels = self._training_set.read_labels(segments, self._files)
        shards = {
            split: Shard.of_labels(self._training_set, split, labels, hvd.rank(), hvd.size(), self._files)
            for split in splits
        }
        images = {split: shard.image_count() for split, shard in shards.items()}
        images_of_ranks = hvd.allgather_object(images)
        for split in shards:
            found = sum(own[split] for own in images_of_ranks)
            if found != self._training_set.counts[split]:
                raise RuntimeError(
                    f"training_set: '{self._training_set.uri}' has {found} {split.value} images, but its manifest lists"
                    f" {self._training_set.counts[split]}. Build the training set again."
                )
        steps = {split: math.ceil(max(own[split] for own in images_of_ranks) / request.batch_size) for split in shards}
        feeds: Mapping[SplitName, ImageFeed | FeatureFeed]
        computed = 0
        if request.is_frozen:
            folder = features_folder(request.features_directory, backbone, request.image_size, arithmetic(self._gpu))
            source = FeatureSource(
                backbone,
                folder,
                request.image_size,
                self._class_ids,
                request.batch_size,
                self._threads,
                self._liveness.report,
            )
            feature_feeds = {split: FeatureFeed(shard, source, _barrier) for split, shard in shards.items()}
            computed = sum(feed.computed for feed in feature_feeds.values())
            feeds = feature_feeds
        else:
            feeds = {
                split: ImageFeed(shard, request.image_size, self._class_ids, self._threads)
                for split, shard in shards.items()
            }
        return Feeds(feeds, images, steps, request.batch_size, request.seed), computed

    def _fit(
        self,
        model: keras.Model,
        state: TrainingState,
        feeds: Feeds,
        checkpoint: Checkpoint,
        tracking: "Tracking | None",
    ) -> ProgressRecorder:
        request = self._request
        progress = checkpoint.progress.model_copy(deep=True)
        warm_up = warm_up_epochs(feeds.steps[SplitName.TRAIN], request.epochs)
        recorder = ProgressRecorder(progress, checkpoint.best_weights, request.patience, warm_up)
        callbacks: list[keras.callbacks.Callback] = [
            ReportSteps(self._liveness),
            AverageOverRanks(),
            SameWeights(),
            recorder,
        ]
        if tracking is not None:

            def save_and_report() -> None:
                latest = progress.history[-1]
                _print_epoch(latest, request.epochs)
                # The checkpoint comes first, so that an outage of MLflow never costs the epoch.
                latest_checkpoint = Checkpoint(progress, state.values(), recorder.best_weights)
                latest_checkpoint.write(request.run_directory, self._files)
                tracking.log_epoch(latest)
                if self._heartbeat is not None:
                    self._heartbeat.check()

            callbacks += [AfterEpoch(save_and_report), *tracking.callbacks()]
        if not progress.finished and progress.epochs < request.epochs:
            model.fit(
                feeds.training(progress.epochs),
                validation_data=feeds.validation(),
                epochs=request.epochs,
                initial_epoch=progress.epochs,
                callbacks=callbacks,
                verbose=0,
            )
        return recorder


def _take_gpu() -> Gpu | None:
    """Restrict TensorFlow to this rank's own GPU, and return it; None is the CPU.

    Raises:
        InputError: This rank or another one can't train on its GPUs; see `check_gpus`.
    """
    visible = tf.config.list_physical_devices("GPU")
    own = RankDevices(
        rank=hvd.rank(),
        local_rank=hvd.local_rank(),
        local_size=hvd.local_size(),
        host=socket.gethostname(),
        assigned=assigned_gpus(),
        driver=read_driver(),
        cuda_build=tf.test.is_built_with_cuda(),
        usable=len(visible),
    )
    chosen = [] if own.index is None else [visible[own.index]]
    tf.config.set_visible_devices(chosen, "GPU")
    for gpu in chosen:
        tf.config.experimental.set_memory_growth(gpu, True)
    # On the CPU, because NCCL fails or hangs if two ranks share a GPU.
    with tf.device("CPU:0"):
        check_gpus(hvd.allgather_object(own))
    return own.gpu


def _set_up_tensorflow(threads: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def _barrier() -> None:
    """Wait until all ranks call this function."""
    hvd.allgather_object(None)


def _print_epoch(metrics: EpochMetrics, epochs: int) -> None:
    """Print the metrics of an epoch on one line that programs can parse."""
    print(
        f"progress: epoch {metrics.epoch}/{epochs} loss={metrics.loss:.3f} accuracy={metrics.accuracy:.3f}"
        f" val_loss={metrics.val_loss:.3f} val_accuracy={metrics.val_accuracy:.3f}"
        f" images/s={metrics.images / metrics.seconds:.0f}",
        flush=True,
    )


def _write_failure(folder: str, error: Exception, files: Files) -> None:
    """Write the reason why this rank failed, unless another rank failed earlier.

    The task that launched the training reports the first failure. The other failures are its consequences.
    """
    reason = {
        "kind": type(error).__name__,
        "message": str(error),
        "rank": hvd.rank(),
        "transient": is_transient(error),
    }
    file = uri.join(folder, FAILURE_FILE)
    if not files.exists(file):
        files.write_text(file, json.dumps(reason))


if __name__ == "__main__":
    main(sys.argv[1:])
