"""The demo's figures, read from its lake and its registry.

Run as a program, so that neither Spark nor MLflow lives, or talks, in the process that shows the progress.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from components.settings import Settings

_PREPARE = "prepare"
_READ = "read"


class ModelVersion(BaseModel):
    """A version in the registry.

    Attributes:
        version: Its number.
        aliases: `champion`, `challenger`, both or none.
    """

    version: str
    aliases: list[str]


class Figures(BaseModel):
    """What the lake and the registry hold.

    Attributes:
        images: Images in the lake.
        labelled_by_folder: Of those, with a label from their folder.
        quarantined: Files in quarantine.
        scored: Images with a prediction.
        sent: Images that people were asked for.
        labelled_by_people: Images with a label from people.
        models: Versions of the model, oldest first.
    """

    images: int
    labelled_by_folder: int
    quarantined: int
    scored: int
    sent: int
    labelled_by_people: int
    models: list[ModelVersion]

    @classmethod
    def read(cls, environment: Mapping[str, str], log: Path) -> Self:
        """Read the figures.

        Args:
            environment: Settings that name the lake and the registry.
            log: Gets what Spark and MLflow say.
        """
        return cls.model_validate_json(_run(_READ, environment, log).splitlines()[-1])


def prepare_tracking(artifacts: str, environment: Mapping[str, str], log: Path) -> None:
    """Make MLflow's database with the experiment of the trainings, unless it is there.

    Args:
        artifacts: URI of the experiment's artifacts: MLflow's own choice would be `mlruns` wherever a task was started.
        environment: Settings that name the registry.
        log: Gets what MLflow says.
    """
    _run(_PREPARE, environment, log, artifacts)


def _run(command: str, environment: Mapping[str, str], log: Path, *arguments: str) -> str:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as said:
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.demo.figures", command, *arguments],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, **environment},
        )
    if done.returncode != 0:
        raise RuntimeError(f"The demo's figures could not be read. See {log}.")
    return done.stdout


def _read(settings: Settings) -> Figures:
    # MLflow is imported while Java starts.
    with ThreadPoolExecutor(1) as pool:
        models = pool.submit(_models, settings)
        counts = _count(settings)
        return Figures(**counts, models=models.result())


def _count(settings: Settings) -> dict[str, int]:
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    from components.lake import Lake, spark_session
    from components.lake.tables import IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS, QUARANTINE

    spark = spark_session(settings)
    lake = Lake(spark, settings.required("lake"))
    counted = (
        lake.read(IMAGES).agg(F.count("*").alias("images"), F.count("label").alias("labelled_by_folder")),
        lake.read(QUARANTINE).agg(F.count("*").alias("quarantined")),
        lake.read(PREDICTIONS).where("error IS NULL").agg(F.count_distinct("path").alias("scored")),
        lake.read(LABELING_REQUESTS).agg(F.count_distinct("path").alias("sent")),
        lake.read(LABELS).agg(F.count("label").alias("labelled_by_people")),
    )
    counts: dict[str, int] = reduce(DataFrame.crossJoin, counted).first().asDict()
    spark.stop()
    return counts


def _models(settings: Settings) -> list[ModelVersion]:
    from mlflow import MlflowClient

    uri = settings.required("mlflow_tracking_uri")
    client = MlflowClient(uri, uri)
    found = [
        client.get_model_version(settings.model_name, each.version)
        for each in client.search_model_versions(f"name = '{settings.model_name}'")
    ]
    versions = (ModelVersion(version=str(each.version), aliases=sorted(each.aliases)) for each in found)
    return sorted(versions, key=lambda each: int(each.version))


def _prepare(settings: Settings, artifacts: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(settings.required("mlflow_tracking_uri"))
    if client.get_experiment_by_name(settings.experiment) is None:
        client.create_experiment(settings.experiment, artifact_location=artifacts)


def main() -> None:
    """Do what the first argument says."""
    settings = Settings.load()
    if sys.argv[1] == _PREPARE:
        _prepare(settings, sys.argv[2])
    else:
        print(_read(settings).model_dump_json())


if __name__ == "__main__":
    main()
