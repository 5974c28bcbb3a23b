"""Archive the classes that Spark loads on this machine.

See `components.spark.class_archive`. Among the output of Spark it prints lines that begin with `progress: `.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from components.ingest_images.ingest import ingest
from components.settings import ENVIRONMENT_PREFIX, Settings
from components.spark.class_archive import CLASS_ARCHIVE
from pipelines.samples.digits import make_digits

_LOAD = "load"


def main() -> None:
    """Create the archive with the classes that an ingest loads."""
    CLASS_ARCHIVE.unlink(missing_ok=True)
    options = f'"-XX:ArchiveClassesAtExit={CLASS_ARCHIVE}" -Xlog:disable -XX:TieredStopAtLevel=1'
    # Without the settings of the user's installation.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    print("progress: starting Spark", flush=True)
    process = subprocess.Popen(
        [sys.executable, __file__, _LOAD],
        env={**environment, f"{ENVIRONMENT_PREFIX}SPARK_DRIVER_JAVA_OPTIONS": options},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Java writes the archive when it exits, which is after Python. The output ends when both have exited.
    for line in process.stdout or ():
        print(line, end="", flush=True)
    if process.wait() != 0 or not CLASS_ARCHIVE.exists():
        sys.exit(f"'{CLASS_ARCHIVE}' was not created. See the output above.")


def load_classes() -> None:
    """Ingest a few images."""
    with TemporaryDirectory() as folder:
        sample = make_digits(Path(folder, "sample"))
        settings = Settings.load(lake=f"{folder}/lake", spark_master="local[2]")
        # As labeled images: only such an ingest creates its lake. The few images of this folder suffice.
        ingest(settings, str(sample.unlabeled_folder))
    print("progress: writing the archive", flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == [_LOAD]:
        load_classes()
    else:
        main()
