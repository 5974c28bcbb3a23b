"""The modules that a rank loads: the border between the two Python environments."""

import json
import subprocess

from tests.support.paths import REPOSITORY, TRAINER_PYTHON

RANK = "components.train_classifier.rank"
FORBIDDEN = {"delta", "kfp", "kubernetes", "pyspark", "tenacity"}

# Imports the modules in its arguments, and prints the loaded top-level packages.
PROGRAM = """
import importlib, json, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_rank_loads_in_trainer_environment_without_spark_packages() -> None:
    folder = REPOSITORY / "components" / "train_classifier" / "rank"
    modules = sorted(f"{RANK}.{file.stem}" for file in folder.glob("[!_]*.py"))
    assert f"{RANK}.worker" in modules

    process = subprocess.run(
        [TRAINER_PYTHON, "-c", PROGRAM, *modules], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )

    assert process.returncode == 0, process.stderr
    loaded = set(json.loads(process.stdout.splitlines()[-1]))
    assert loaded & FORBIDDEN == set()
    assert {"horovod", "petastorm", "tensorflow"} <= loaded
