"""Resources of a run: a folder, a warm Spark session and a trainer process."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import REPOSITORY, MeasuringProcess
from components.settings import Settings
from components.train_classifier.environment import rank_environment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from components.lake import Lake

TRAINER_PYTHON = REPOSITORY / ".venv" / "trainer" / "bin" / "python"


@dataclass
class Bench:
    """One run of the benchmarks.

    Attributes:
        folder: Folder for all files of the run.
    """

    folder: Path
    _trainer: MeasuringProcess | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Start early: the process imports TensorFlow while Spark starts.
        self._start_trainer()

    @cached_property
    def spark(self) -> "SparkSession":
        """The only Spark session, with the default settings."""
        from components.spark.session import spark_session

        session = spark_session(self.settings("spark"))
        session.sparkContext.setLogLevel("ERROR")
        return session

    def settings(self, name: str, **values: Any) -> Settings:
        """Return the settings of a separate installation.

        Args:
            name: Name of the lake's folder and of the registered model.
            **values: Other settings.
        """
        lake = self.make_folder(name) / "lake"
        lake.mkdir(exist_ok=True)
        return Settings.load(
            lake=str(lake),
            mlflow_tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}",
            model_name=name,
            trainer_python=TRAINER_PYTHON,
            **values,
        )

    def lake(self, name: str) -> "Lake":
        """Return an empty lake."""
        from components.lake import Lake
        from components.lake.tables import TABLES

        settings = self.settings(name)
        shutil.copytree(self._empty_lake_folder, settings.required("lake"), dirs_exist_ok=True)
        lake = Lake.open(self.spark, settings)
        # A session that creates a lake has read its tables, so read these too.
        for table in TABLES:
            lake.version(table)
        return lake

    @cached_property
    def _empty_lake_folder(self) -> str:
        """The folder of an empty lake, to copy: creating a lake takes seconds."""
        from components.lake import Lake

        settings = self.settings("empty")
        Lake.open_or_create(self.spark, settings)
        return settings.required("lake")

    def make_folder(self, name: str) -> Path:
        """Return a folder of the run, and create it if necessary."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def trainer_contenders(self, module: str, **arguments: Any) -> Callable[[str], Any]:
        """Return a function that runs a contender in the trainer process.

        The function takes the contender's name and returns its result.

        Args:
            module: Name of a module in `benchmarks.trainer`.
            **arguments: Arguments of the module's function `contenders`.
        """

        def measure(contender: str) -> Any:
            trainer = self._trainer or self._start_trainer()
            try:
                return trainer.call([module, arguments, contender])
            except RuntimeError:
                # The next call starts a new process.
                self.close()
                raise

        return measure

    def _start_trainer(self) -> MeasuringProcess:
        command = [str(TRAINER_PYTHON), "-m", "benchmarks.trainer"]
        self._trainer = MeasuringProcess(command, self.folder / "trainer.log", rank_environment(os.environ))
        return self._trainer

    def close(self) -> None:
        """End the trainer process."""
        if self._trainer is not None:
            self._trainer.close()
            self._trainer = None
