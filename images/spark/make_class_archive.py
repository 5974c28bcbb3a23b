"""Make the archive of Spark's classes of this machine's environment: see `components.lake.class_archive`."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from components.ingest_images.ingest import ingest
from components.lake.class_archive import CLASS_ARCHIVE
from components.settings import ENVIRONMENT_PREFIX, Settings
from pipelines.samples.digits import make_digits

_LOAD = "load"


def main() -> None:
    """Make it of the classes that an ingest loads."""
    CLASS_ARCHIVE.unlink(missing_ok=True)
    options = f'"-XX:ArchiveClassesAtExit={CLASS_ARCHIVE}" -Xlog:disable -XX:TieredStopAtLevel=1'
    # Not those of the user's installation.
    others = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    # Java writes it when it ends, which is after Python: what both say is at its end by then.
    done = subprocess.run(
        [sys.executable, __file__, _LOAD],
        env={**others, f"{ENVIRONMENT_PREFIX}SPARK_DRIVER_JAVA_OPTIONS": options},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode != 0 or not CLASS_ARCHIVE.exists():
        sys.exit(f"'{CLASS_ARCHIVE}' was not made: {done.stdout[-2000:]}")


def load_classes() -> None:
    """Ingest a few images."""
    with TemporaryDirectory() as folder:
        sample = make_digits(Path(folder, "sample"))
        settings = Settings.load(lake=f"{folder}/lake", spark_master="local[2]")
        ingest(settings, str(sample.unlabelled_folder), labelled=False)


if __name__ == "__main__":
    if sys.argv[1:] == [_LOAD]:
        load_classes()
    else:
        main()
