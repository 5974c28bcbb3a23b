"""An evaluation that is killed before its second commit, as a process.

Run in the repository's root as: python -m tests.support.kills.killed_evaluation LAKE TRACKING_URI TRAINING_SET RUN_ID
MODEL_URI DIGEST
"""

import os
import signal
import sys
from typing import TYPE_CHECKING

from components.evaluate_classifier.evaluate import Challenger, evaluate_challenger
from components.lake import Lake, Table
from components.lake.tables import EVALUATIONS
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.spark.session import spark_session
from components.training_set.manifest import TrainingSet

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class _Lake(Lake):
    def append(
        self, table: Table, rows: "DataFrame", transaction: tuple[str, int] | None = None, metadata: str = ""
    ) -> None:
        if table is EVALUATIONS and self.read(EVALUATIONS).count():
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(table, rows, transaction, metadata)


def main() -> None:
    root, tracking, training_set, *model = sys.argv[1:]
    lake = _Lake(spark_session(Settings.load(spark_master="local[2]")), root)
    members = TrainingSet.read(training_set, lake.files)
    # Each segment is a commit.
    evaluate_challenger(lake, ModelRegistry(tracking, "killed"), members, Challenger(*model), images_per_commit=1)


if __name__ == "__main__":
    main()
