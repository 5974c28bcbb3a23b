"""Java's class data sharing archive of Spark's classes, which `images/spark/make_class_archive.py` creates.

Without it, each start of Spark reads and verifies its classes from 400 MB of JARs: half of the time of a short task.
See https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from pathlib import Path

import pyspark

# Not in images: Java accepts an archive only where the folder lists its JARs in the same order as at its creation.
CLASS_ARCHIVE = Path(pyspark.__file__).parent / "classes.jsa"


def class_archive_options() -> str:
    """Return the Java options that use the archive; empty without an archive. Another version of Java ignores it."""
    if not CLASS_ARCHIVE.exists():
        return ""
    return f'"-XX:SharedArchiveFile={CLASS_ARCHIVE}" -Xlog:cds=off -Xlog:cds+dynamic=off'
