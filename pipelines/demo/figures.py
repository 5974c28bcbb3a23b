"""The demo's figures, read from its lake and its registry.

This module runs as a program, so that the process that shows the progress loads neither Spark nor MLflow.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from components.settings import Settings
from components.succession import Succession

_PREPARE = "prepare"
_READ = "read"


class ModelVersion(BaseModel):
    """A version in the registry.

    Attributes:
        version: Version number.
        aliases: Any of `champion` and `challenger`.
    """

    version: str
    aliases: list[str]


class Figures(BaseModel):
    """Counts in the lake, and models in the registry.

    Attributes:
        images: Images in the lake.
        labeled_by_folder: Images with a label from their folder.
        quarantined: Files in quarantine.
        scored: Images with a current prediction.
        sent: Images that were sent to people for labeling.
        labeled_by_people: Images with a label from people.
        models: Versions of the model, oldest first.
    """

    images: int
    labeled_by_folder: int
    quarantined: int
    scored: int
    sent: int
    labeled_by_people: int
    models: list[ModelVersion]

    @classmethod
    def read(cls, environment: Mapping[str, str], log: Path) -> Self:
        """Read the figures.

        Args:
            environment: Settings that name the lake and the registry.
            log: File to which the messages of Spark and MLflow are appended.
        """
        return cls.model_validate_json(_run(_READ, environment, log).splitlines()[-1])


def prepare_tracking(artifacts: str, environment: Mapping[str, str], log: Path) -> None:
    """Make MLflow's database with the experiment of the trainings, if it is missing.

    Args:
        artifacts: URI of the experiment's artifacts. By default, MLflow writes to `mlruns` in a task's folder.
        environment: Settings that name the registry.
        log: File to which MLflow's messages are appended.
    """
    _run(_PREPARE, environment, log, artifacts)


def _run(command: str, environment: Mapping[str, str], log: Path, *arguments: str) -> str:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as messages:
        completed = subprocess.run(
            [sys.executable, "-m", "pipelines.demo.figures", command, *arguments],
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env={**os.environ, **environment},
        )
    if completed.returncode != 0:
        raise RuntimeError(f"Could not read the demo's figures. See {log}.")
    return completed.stdout


def _read(settings: Settings) -> Figures:
    # MLflow is imported while Java starts.
    with ThreadPoolExecutor(1) as pool:
        succession = pool.submit(_succession, settings)
        models = pool.submit(_models, settings)
        counts = _count(settings, succession.result)
        return Figures(**counts, models=models.result())


def _succession(settings: Settings) -> Succession:
    from components.registry.champion import read_succession
    from components.registry.model_registry import ModelRegistry

    registry = ModelRegistry.open(settings)
    return read_succession(registry, registry.champion())


def _count(settings: Settings, succession: Callable[[], Succession]) -> dict[str, int]:
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    from components.lake import Lake
    from components.lake.tables import FILES, IMAGE, LABELING_REQUESTS, LABELS, PREDICTIONS, QUARANTINED
    from components.lake.views import current_predictions
    from components.spark.session import spark_session
    from components.storage.files import Files

    spark = spark_session(settings)
    lake = Lake(spark, settings.required("lake"), Files.of(settings))
    counted = (
        lake.read(FILES).agg(
            F.count_if(F.col("state") == IMAGE).alias("images"),
            F.count("folder_label").alias("labeled_by_folder"),
            F.count_if(F.col("state") == QUARANTINED).alias("quarantined"),
        ),
        current_predictions(lake.read(PREDICTIONS), succession(), lake.classes()).agg(F.count("*").alias("scored")),
        lake.read(LABELING_REQUESTS).agg(F.count_distinct("path").alias("sent")),
        lake.read(LABELS).agg(F.count("label").alias("labeled_by_people")),
    )
    counts: dict[str, int] = reduce(DataFrame.crossJoin, counted).first().asDict()
    spark.stop()
    return counts


def _models(settings: Settings) -> list[ModelVersion]:
    from mlflow import MlflowClient

    uri = settings.required("mlflow_tracking_uri")
    client = MlflowClient(uri, uri)
    found = [
        client.get_model_version(settings.model_name, version.version)
        for version in client.search_model_versions(f"name = '{settings.model_name}'")
    ]
    versions = (ModelVersion(version=str(version.version), aliases=sorted(version.aliases)) for version in found)
    return sorted(versions, key=lambda version: int(version.version))


def _prepare(settings: Settings, artifacts: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(settings.required("mlflow_tracking_uri"))
    if client.get_experiment_by_name(settings.experiment) is None:
        client.create_experiment(settings.experiment, artifact_location=artifacts)


def main() -> None:
    """Run the command that the first argument names."""
    settings = Settings.load()
    if sys.argv[1] == _PREPARE:
        _prepare(settings, sys.argv[2])
    else:
        print(_read(settings).model_dump_json())


if __name__ == "__main__":
    main()
