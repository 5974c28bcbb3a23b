"""Spark's classes as Java has them in memory, kept in a file that `images/spark/make_class_archive.py` makes.

Without it, each start of Spark reads its classes from 400 MB of JARs and verifies them, which takes half of the time of
a short task. See https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html
"""

from pathlib import Path

import pyspark

# Not in images: Java takes an archive only where a folder's JARs are listed in the same order as where it was made.
CLASS_ARCHIVE = Path(pyspark.__file__).parent / "classes.jsa"


def class_archive_options() -> str:
    """Return the options by which Java uses the archive, none if there is none. Another Java does without it."""
    if not CLASS_ARCHIVE.exists():
        return ""
    return f'"-XX:SharedArchiveFile={CLASS_ARCHIVE}" -Xlog:cds=off -Xlog:cds+dynamic=off'
