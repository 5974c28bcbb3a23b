"""What the figures are measured with: a folder, a warm Spark session, and a process of the trainer environment."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import REPOSITORY, AnsweringProcess
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
        folder: Where all that it makes is kept.
    """

    folder: Path
    _trainer: AnsweringProcess | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Long before it is asked: TensorFlow is imported while Spark starts.
        self._start_trainer()

    @cached_property
    def spark(self) -> "SparkSession":
        """The one Spark session, with the settings of an installation that names none."""
        from components.spark.session import spark_session

        session = spark_session(self.settings("spark"))
        session.sparkContext.setLogLevel("ERROR")
        return session

    def settings(self, name: str, **values: Any) -> Settings:
        """Return settings of an installation of its own.

        Args:
            name: Names its lake, its registry and its model.
            **values: Other settings.
        """
        lake = self.place(name) / "lake"
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
        shutil.copytree(self._empty_lake, settings.required("lake"), dirs_exist_ok=True)
        lake = Lake.open(self.spark, settings)
        # The session knows the tables that it makes.
        for table in TABLES:
            lake.version(table)
        return lake

    @cached_property
    def _empty_lake(self) -> str:
        """The folder of a lake that stays empty: making one takes seconds, copying it does not."""
        from components.lake import Lake

        settings = self.settings("empty")
        Lake.open_or_create(self.spark, settings)
        return settings.required("lake")

    def place(self, name: str) -> Path:
        """Return a folder, made if there is none."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def contenders(self, module: str, **arguments: Any) -> Callable[[str], Any]:
        """Return what lets a contender of the trainer environment have its turn, and returns what it came to.

        Args:
            module: A module of `benchmarks.trainer`.
            **arguments: For its `contenders`.
        """

        def measure(contender: str) -> Any:
            trainer = self._trainer or self._start_trainer()
            try:
                return trainer.ask([module, arguments, contender])
            except RuntimeError:
                # The next figure has another one.
                self.close()
                raise

        return measure

    def _start_trainer(self) -> AnsweringProcess:
        command = [str(TRAINER_PYTHON), "-m", "benchmarks.trainer"]
        self._trainer = AnsweringProcess(command, self.folder / "trainer.log", rank_environment(os.environ))
        return self._trainer

    def close(self) -> None:
        """End the process of the trainer environment."""
        if self._trainer is not None:
            self._trainer.end()
            self._trainer = None
