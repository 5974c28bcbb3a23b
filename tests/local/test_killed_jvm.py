"""Tasks whose JVM is killed (as by the kernel when memory runs out), is stopped, or has no disk space."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from components.errors import InputError
from components.lake import Lake
from components.lake.tables import IMAGES
from components.task import run_task
from tests.support.kills import killed_jvm
from tests.support.paths import REPOSITORY
from tests.support.training_set_factory import digits

IMAGE_COUNT = 6


@pytest.mark.slow
def test_task_continues_in_a_new_jvm_after_its_jvm_was_killed(spark: SparkSession, tmp_path: Path) -> None:
    for number, (content, label) in enumerate(digits(IMAGE_COUNT)):
        file = tmp_path / "landing" / f"{label:03}.digit" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    environment = os.environ | {"IMAGE_PIPELINES_SPARK_MASTER": "local[2]"}

    arguments = [str(tmp_path / name) for name in ("landing", "lake", "report")]
    command = [sys.executable, "-m", killed_jvm.__name__, *arguments]

    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment, timeout=300)

    assert done.returncode == 0, done.stderr[-4000:]
    assert "Try 1 of 3 failed" in done.stderr
    assert "Try 2 of 3 failed" not in done.stderr
    ingested = Lake(spark, str(tmp_path / "lake")).read(IMAGES).select("path").collect()
    assert len({row["path"] for row in ingested}) == len(ingested) == IMAGE_COUNT


def test_full_disk_in_the_jvm_ends_the_task_with_a_sentence(spark: SparkSession) -> None:
    def step() -> None:
        spark._jvm.java.io.FileOutputStream("/dev/full").write(1)

    with pytest.raises(
        InputError, match=r"^disk: no space is left \(.*\)\. Free some space, then run this step again\.$"
    ):
        run_task(step)


@pytest.mark.parametrize(
    "before",
    [
        "spark_session(settings, workers_decode=False).sparkContext._jsc.sc().stop()",
        "with suppress(Exception): spark_session(Settings.load(spark_master='nowhere'), workers_decode=False)",
    ],
    ids=["stopped from outside", "not started"],
)
def test_next_session_works_after_one_that_was(before: str) -> None:
    program = (
        "from contextlib import suppress\n"
        "from components.spark.session import spark_session; from components.settings import Settings\n"
        "settings = Settings.load(spark_master='local[1]')\n"
        f"{before}\n"
        "print(spark_session(settings, workers_decode=False).range(3).count())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)

    assert done.stdout.split() == ["3"], done.stderr[-4000:]
