"""The sequence of commands in docs/getting-started.md."""

import json
import os
import subprocess
from pathlib import Path

from tests.support.documents import blocks
from tests.support.paths import REPOSITORY

SAMPLE = "image-pipelines sample digits --to photos\n"
# Half of the 1,797 digits. Of a few, a network learns too little to become the champion.
FEWER_IMAGES = "find photos -name '*[02468].jpg' -delete\n"


def test_the_sequence_of_getting_started_trains_scores_and_imports_labels(tmp_path: Path) -> None:
    parts = [
        block.text
        for block in blocks(REPOSITORY / "docs" / "getting-started.md")
        if block.language == "sh" and not block.not_run
    ]
    script = "set -euo pipefail\n" + "".join(parts)
    assert SAMPLE in script
    script = script.replace(SAMPLE, SAMPLE + FEWER_IMAGES)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    environment["PATH"] = f"{REPOSITORY / '.venv' / 'spark' / 'bin'}:{os.environ['PATH']}"

    finished = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    exported = (tmp_path / "annotations.csv").read_text().splitlines()[1:]
    assert exported
    (outputs,) = tmp_path.glob("runs/labeling-*/*/import-labels/executor_output.json")
    assert json.loads(outputs.read_text())["parameterValues"]["imported"] == len(exported)
