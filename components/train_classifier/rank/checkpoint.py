"""Checkpoints of a training, from which a later start resumes.

Rank 0 writes each checkpoint atomically to one file, e.g. `epoch-00003.npz`, and keeps the newest two. If the
checksums of the zip file show that the newest is damaged, the older one is read. This costs an epoch, not the training.
"""

import logging
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from components.storage import uri
from components.storage.files import Files
from components.train_classifier.request import EpochMetrics

logger = logging.getLogger(__name__)

Arrays = list[npt.NDArray[Any]]

_KEPT = 2
_NAME = re.compile(r"epoch-(\d{5})\.npz")


class Progress(BaseModel):
    """The completed epochs of a training, equal on all ranks.

    Attributes:
        history: Metrics of the epochs.
        best_epoch: Number of the epoch with the best validation accuracy; 0 before the first epoch.
        finished: Whether training stopped early.
    """

    history: list[EpochMetrics] = Field(default_factory=list)
    best_epoch: int = 0
    finished: bool = False

    @property
    def epochs(self) -> int:
        """Number of completed epochs."""
        return len(self.history)

    def add(self, metrics: EpochMetrics, patience: int, warm_up: int = 0) -> bool:
        """Append an epoch, and return whether it is the best so far.

        Args:
            metrics: Metrics of the epoch.
            patience: Epochs without improvement after which training stops; 0 never stops it.
            warm_up: Number of epochs at the start that patience does not count, because their learning rate is reduced.
        """
        self.history.append(metrics)
        is_better = self.best_epoch == 0 or metrics.val_accuracy > self.history[self.best_epoch - 1].val_accuracy
        if is_better:
            self.best_epoch = metrics.epoch
        self.finished = 0 < patience <= metrics.epoch - max(self.best_epoch, warm_up)
        return is_better


@dataclass
class Checkpoint:
    """A training's state after an epoch.

    Attributes:
        progress: The completed epochs.
        variables: Values of the variables of the model and the optimizer, in the order of `TrainingState`.
        best_weights: The model's weights after the best epoch.
    """

    progress: Progress = field(default_factory=Progress)
    variables: Arrays = field(default_factory=list)
    best_weights: Arrays = field(default_factory=list)

    def write(self, folder: str, files: Files) -> None:
        """Write the checkpoint to a folder, and remove all but the newest two there.

        Args:
            folder: URI of the training's folder.
            files: Access to the folder.
        """
        buffer = BytesIO()
        arrays: dict[str, Any] = {
            "progress": np.frombuffer(self.progress.model_dump_json().encode(), np.uint8),
            **{f"variable-{index:05}": array for index, array in enumerate(self.variables)},
            **{f"best-{index:05}": array for index, array in enumerate(self.best_weights)},
        }
        np.savez(buffer, **arrays)
        files.write_bytes(uri.join(folder, f"epoch-{self.progress.epochs:05}.npz"), buffer.getvalue())
        for old in _checkpoints(folder, files)[:-_KEPT]:
            files.remove(old)

    @classmethod
    def read_newest(cls, folder: str, files: Files) -> Self | None:
        """Return the newest undamaged checkpoint in a folder, or None without one.

        Args:
            folder: URI of the training's folder.
            files: Access to the folder.
        """
        for file in reversed(_checkpoints(folder, files)):
            content = files.read_bytes(file)
            try:
                return cls._parse(content)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                logger.warning("checkpoint '%s' is damaged (%s); resuming from an older one", file, error)
        return None

    @classmethod
    def _parse(cls, content: bytes) -> Self:
        with np.load(BytesIO(content), allow_pickle=False) as archive:
            names: Sequence[str] = sorted(archive.files)
            return cls(
                Progress.model_validate_json(archive["progress"].tobytes()),
                [archive[name] for name in names if name.startswith("variable-")],
                [archive[name] for name in names if name.startswith("best-")],
            )


def _checkpoints(folder: str, files: Files) -> list[str]:
    return [uri.join(folder, name) for name in files.list_names(folder) if _NAME.fullmatch(name)]
