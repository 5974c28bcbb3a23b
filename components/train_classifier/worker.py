"""One rank of a training, in the trainer environment: `python -m components.train_classifier.worker REQUEST_URI`."""

import json
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import tensorflow as tf
from horovod import tensorflow as hvd
from tensorflow import keras

from components.build_training_set.training_set import SplitName, TrainingSet
from components.settings import Settings
from components.storage import files, uri
from components.train_classifier.backbones import build_backbone, build_head, weights_digest
from components.train_classifier.callbacks import AfterEpoch, AverageOverRanks, KeepProgress
from components.train_classifier.checkpoint import Checkpoint
from components.train_classifier.export import ExportedClassifier
from components.train_classifier.features import FeatureFeed, FeatureSource, features_folder
from components.train_classifier.feed import ImageFeed, Share
from components.train_classifier.heartbeat import HeartbeatWatch
from components.train_classifier.request import (
    FAILURE_FILE,
    RESULT_FILE,
    TIMELINE_FILE,
    EpochMetrics,
    TrainingRequest,
    TrainingResult,
)
from components.train_classifier.state import TrainingState
from components.train_classifier.steps import Feeds

if TYPE_CHECKING:
    from components.train_classifier.tracking import Tracking

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Train as one rank.

    Args:
        arguments: The request's URI.
    """
    # Petastorm reads by interfaces of pyarrow 14 that are to go: nothing for a user to do.
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")
    request = TrainingRequest.read(arguments[0])
    with TemporaryDirectory() as folder:
        timeline = Path(folder, TIMELINE_FILE) if request.timeline else None
        if timeline:
            os.environ["HOROVOD_TIMELINE"] = str(timeline)
        hvd.init()
        try:
            Worker(request, timeline).run()
        except Exception as error:
            _tell_failure(request.run_directory, error)
            raise


class Worker:
    """One rank.

    Args:
        request: What to train.
        timeline: Where Horovod writes its timeline, if it does.

    Raises:
        RuntimeError: Horovod has not as many ranks as the request.
    """

    def __init__(self, request: TrainingRequest, timeline: Path | None) -> None:
        if hvd.size() != request.ranks:
            raise RuntimeError(
                f"ranks: {request.ranks} were asked for, but Horovod has {hvd.size()}."
                " Launch as many processes as the request says."
            )
        self._request = request
        self._timeline = timeline
        self._started = time.monotonic()
        self._threads = max(1, len(os.sched_getaffinity(0)) // hvd.local_size())
        self._training_set = TrainingSet.read(request.training_set)
        self._class_ids = [item.label for item in self._training_set.classes]
        timeout = Settings.load().heartbeat_timeout_seconds
        self._heartbeat = HeartbeatWatch(request.run_directory, timeout) if hvd.rank() == 0 else None
        _set_up_tensorflow(self._threads)

    def run(self) -> None:
        """Train, or go on with what an earlier start left, and leave the result in the run's folder."""
        request = self._request
        # Rank 0's weights are everybody's in the end; dropout should differ.
        keras.utils.set_random_seed(request.seed + hvd.rank())
        with _rank_zero_first():
            backbone = build_backbone(request)
        hvd.broadcast_variables(backbone.variables, root_rank=0)
        head = build_head(backbone.output_shape[-1], len(self._class_ids), request.dropout)
        feeds, computed = self._feeds(backbone)
        model = head if request.is_frozen else keras.Sequential([backbone, head])
        state = TrainingState(model, request.learning_rate)
        # Only rank 0 is sure to see the folder as it is.
        checkpoint = hvd.broadcast_object(self._newest_checkpoint(), root_rank=0) or Checkpoint()
        state.restore(checkpoint)
        resumed = checkpoint.progress.epochs > 0
        with self._tracking(resumed) as tracking:
            kept = self._fit(model, state, feeds, checkpoint, tracking)
            model.set_weights(kept.best_weights)
            digests = hvd.allgather_object(weights_digest(model))
            computed_by_all = sum(hvd.allgather_object(computed))
            if len(set(digests)) != 1:
                raise RuntimeError(f"the ranks ended with different weights: {digests}. Report this as a defect.")
            if tracking is not None:
                exported = ExportedClassifier(backbone, head, self._class_ids, request.image_size)
                model_uri, model_digest = tracking.log_model(exported)
                if self._timeline:
                    # Before it is stopped, its file may end in the middle of an event.
                    hvd.stop_timeline()
                    tracking.log_file(self._timeline)
                result = TrainingResult(
                    run_id=tracking.run_id,
                    model_uri=model_uri,
                    model_digest=model_digest,
                    training_set_id=self._training_set.id,
                    ranks=request.ranks,
                    history=kept.progress.history,
                    best_epoch=kept.progress.best_epoch,
                    first_epoch=checkpoint.progress.epochs + 1,
                    features_computed=computed_by_all,
                    weights_digests=digests,
                    seconds=time.monotonic() - self._started,
                )
                files.write_text(uri.join(request.run_directory, RESULT_FILE), result.model_dump_json(indent=2))
        _barrier()

    def _tracking(self, resumed: bool) -> "AbstractContextManager[Tracking | None]":
        if hvd.rank() != 0:
            return nullcontext()
        # The other ranks need not spend seconds on importing MLflow.
        from components.train_classifier.tracking import Tracking

        return Tracking.open(self._request, self._training_set, resumed)

    def _newest_checkpoint(self) -> Checkpoint | None:
        return Checkpoint.read_newest(self._request.run_directory) if hvd.rank() == 0 else None

    def _feeds(self, backbone: keras.Model) -> tuple[Feeds, int]:
        """Return what is trained on and what is validated on, and how many images the frozen backbone had to see."""
        request = self._request
        shares = {
            split: Share.of(self._training_set, split, hvd.rank(), hvd.size())
            for split in (SplitName.TRAIN, SplitName.VALIDATION)
        }
        images = {split: share.images() for split, share in shares.items()}
        feeds: dict[SplitName, ImageFeed | FeatureFeed] = {}
        computed = 0
        for split, share in shares.items():
            if request.is_frozen:
                folder = features_folder(request.features_directory, self._training_set, backbone, request.image_size)
                source = FeatureSource(
                    backbone, folder, request.image_size, self._class_ids, request.batch_size, self._threads
                )
                feature_feed = FeatureFeed(share, source)
                computed += feature_feed.computed
                feeds[split] = feature_feed
            else:
                feeds[split] = ImageFeed(share, request.image_size, self._class_ids, self._threads)
        of_all = hvd.allgather_object(images)
        steps = {split: math.ceil(max(own[split] for own in of_all) / request.batch_size) for split in shares}
        for split in shares:
            counted = sum(own[split] for own in of_all)
            if counted != self._training_set.counts[split]:
                raise RuntimeError(
                    f"the {split.value} files of '{self._training_set.uri}' have {counted} images, its manifest says"
                    f" {self._training_set.counts[split]}. Build the training set again."
                )
        return Feeds(feeds, images, steps, request.batch_size, request.seed), computed

    def _fit(
        self,
        model: keras.Model,
        state: TrainingState,
        feeds: Feeds,
        checkpoint: Checkpoint,
        tracking: "Tracking | None",
    ) -> KeepProgress:
        request = self._request
        progress = checkpoint.progress.model_copy(deep=True)
        kept = KeepProgress(progress, checkpoint.best_weights, request.patience)
        callbacks: list[keras.callbacks.Callback] = [AverageOverRanks(), kept]
        if tracking is not None:

            def tell_and_save() -> None:
                latest = progress.history[-1]
                _print_epoch(latest, request.epochs)
                tracking.log_epoch(latest)
                Checkpoint(progress, state.values(), kept.best_weights).write(request.run_directory)
                if self._heartbeat is not None:
                    self._heartbeat.check()

            callbacks.append(AfterEpoch(tell_and_save))
        if not progress.finished and progress.epochs < request.epochs:
            model.fit(
                feeds.training(progress.epochs),
                validation_data=feeds.validation(),
                epochs=request.epochs,
                initial_epoch=progress.epochs,
                callbacks=callbacks,
                verbose=0,
            )
        return kept


def _set_up_tensorflow(threads: int) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    for gpu in (gpus := tf.config.list_physical_devices("GPU")):
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        tf.config.set_visible_devices(gpus[hvd.local_rank() % len(gpus)], "GPU")


@contextmanager
def _rank_zero_first() -> Iterator[None]:
    """Let rank 0 download what is then there for all."""
    if hvd.rank() != 0:
        _barrier()
    yield
    if hvd.rank() == 0:
        _barrier()


def _barrier() -> None:
    """Wait for all ranks."""
    hvd.allgather_object(None)


def _print_epoch(metrics: EpochMetrics, epochs: int) -> None:
    """Tell of an epoch in a line that people read and programs can."""
    print(
        f"progress: epoch {metrics.epoch}/{epochs} loss={metrics.loss:.3f} accuracy={metrics.accuracy:.3f}"
        f" val_loss={metrics.val_loss:.3f} val_accuracy={metrics.val_accuracy:.3f}"
        f" images/s={metrics.images / metrics.seconds:.0f}",
        flush=True,
    )


def _tell_failure(folder: str, error: Exception) -> None:
    """Leave the first rank's reason for whoever launched the training: other ranks fail because that one did."""
    reason = {"kind": type(error).__name__, "message": str(error), "rank": hvd.rank()}
    file = uri.join(folder, FAILURE_FILE)
    if not files.exists(file):
        files.write_text(file, json.dumps(reason))


if __name__ == "__main__":
    main(sys.argv[1:])
