"""What a training is between two epochs, kept so that it can go on after any kind of end.

A checkpoint is one file, `epoch-00003.npz`, written whole or not at all by rank 0; the newest two are kept. One that
makes no sense (its zip checksums tell) is passed over for the one before it: that costs an epoch, not the training.
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

from components.storage import files, uri
from components.train_classifier.request import EpochMetrics

logger = logging.getLogger(__name__)

Arrays = list[npt.NDArray[Any]]

_KEPT = 2
_NAME = re.compile(r"epoch-(\d{5})\.npz")


class Progress(BaseModel):
    """How far a training has come. All ranks have the same.

    Attributes:
        history: Its epochs.
        best_epoch: The epoch of the best validation accuracy, or 0.
        finished: Whether it stopped for lack of a better one.
    """

    history: list[EpochMetrics] = Field(default_factory=list)
    best_epoch: int = 0
    finished: bool = False

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.history)

    def add(self, metrics: EpochMetrics, patience: int) -> bool:
        """Add an epoch, and return whether it is the best so far.

        Args:
            metrics: What it came to.
            patience: Epochs without a better one before training is finished; 0 never finishes it.
        """
        self.history.append(metrics)
        better = self.best_epoch == 0 or metrics.val_accuracy > self.history[self.best_epoch - 1].val_accuracy
        if better:
            self.best_epoch = metrics.epoch
        self.finished = 0 < patience <= metrics.epoch - self.best_epoch
        return better


@dataclass
class Checkpoint:
    """A training's state after an epoch.

    Attributes:
        progress: Its epochs so far.
        variables: Values of the model's and the optimizer's variables, in their order.
        best_weights: The model's weights after the best epoch.
    """

    progress: Progress = field(default_factory=Progress)
    variables: Arrays = field(default_factory=list)
    best_weights: Arrays = field(default_factory=list)

    def write(self, folder: str) -> None:
        """Write it into the folder of a URI, and remove all but the newest two there."""
        buffer = BytesIO()
        arrays: dict[str, Any] = {
            "progress": np.frombuffer(self.progress.model_dump_json().encode(), np.uint8),
            **{f"variable-{index:05}": array for index, array in enumerate(self.variables)},
            **{f"best-{index:05}": array for index, array in enumerate(self.best_weights)},
        }
        np.savez(buffer, **arrays)
        files.write_bytes(uri.join(folder, f"epoch-{self.progress.epochs:05}.npz"), buffer.getvalue())
        for old in _files(folder)[:-_KEPT]:
            files.remove(old)

    @classmethod
    def read_newest(cls, folder: str) -> Self | None:
        """Return the newest checkpoint in the folder of a URI that makes sense, or None."""
        for file in reversed(_files(folder)):
            content = files.read_bytes(file)
            try:
                return cls._parse(content)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                logger.warning("checkpoint '%s' is damaged (%s); going back to the one before it", file, error)
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


def _files(folder: str) -> list[str]:
    return [uri.join(folder, name) for name in files.list_names(folder) if _NAME.fullmatch(name)]
