"""Commands and tasks that start without Spark and TensorFlow, which would cost seconds and memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SPARK = ("pyspark", "delta", "py4j")
HEAVY = (*SPARK, "tensorflow", "mlflow", "kfp", "kfp_server_api", "kubernetes", "pandas", "pyarrow", "sklearn")
# MLflow imports pyspark if it is installed, so sys.modules always contains it. This makes its import fail instead.
BLOCK = f"import sys; sys.modules.update(dict.fromkeys({(*SPARK, 'tensorflow')!r}))\n"
MOVE_THE_CHAMPION = """
import mlflow
from components.registry.tags import DIGEST_TAG
from pipelines.cli import app

client = mlflow.MlflowClient()
client.create_registered_model("light")
for _ in range(2):
    client.create_model_version("light", "file:///any", tags={DIGEST_TAG: "any"})
for command in (["promote", "1", "--champion", "none"], ["promote", "2", "--champion", "1"], ["rollback"]):
    champion = ["--champion", "2"] if command == ["rollback"] else []
    app([*command, *champion, "--reason", "any"], standalone_mode=False)
"""


def run_python(program: str, **environment: str) -> str:
    """Run a program in a new process, and return its output."""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_command_line_starts_without_heavy_packages() -> None:
    listing = "import pipelines.cli, sys; print(*{name.partition('.')[0] for name in sys.modules})"

    assert not set(run_python(listing).split()).intersection(HEAVY)


def test_promote_and_rollback_work_without_spark_and_tensorflow(tmp_path: Path) -> None:
    output = run_python(
        BLOCK + MOVE_THE_CHAMPION,
        IMAGE_PIPELINES_LAKE=str(tmp_path / "lake"),
        IMAGE_PIPELINES_MODEL_NAME="light",
        MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path / 'mlflow.db'}",
    )

    assert output.splitlines() == [
        "Version 1 of light is now the champion.",
        "Version 2 of light is now the champion.",
        "Version 1 of light is the champion again. Version 2 is withdrawn.",
    ]


@pytest.mark.parametrize(
    "module",
    [
        "components.check_parameters.check",
        "components.register_model.register",
        "components.train_classifier.train",
        "components.train_classifier.mpijob.launcher",
        "components.notify.notify",
    ],
)
def test_module_of_a_small_task_imports_neither_spark_nor_tensorflow(module: str) -> None:
    run_python(f"{BLOCK}import {module}")
