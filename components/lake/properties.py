"""Properties of a lake's tables, and its schema version."""

from pyspark.sql import SparkSession

from components.lake.snapshot import newest_snapshot
from components.lake.tables import Table

# Of the tables in `components.lake.tables`. Each change of a table raises it, and comes with a migration.
SCHEMA_VERSION = 2
# Release 0.1.0 recorded no version.
VERSION_OF_0_1_0 = 1

# The property of `images` is the lake's version.
VERSION_PROPERTY = "image_pipelines.schema_version"

# With 32 characters, Delta's default, the statistics of all paths of a landing folder are equal.
_STATISTICS_CHARACTERS = 256


def table_properties(table: Table) -> dict[str, str]:
    """Return the properties of a new table."""
    properties = {"delta.enableDeletionVectors": "false", VERSION_PROPERTY: str(SCHEMA_VERSION)}
    if "path" in table.schema.names:
        properties["delta.dataSkippingStringPrefixLength"] = str(_STATISTICS_CHARACTERS)
    return properties


def read_properties(spark: SparkSession, location: str) -> dict[str, str]:
    """Return the properties of a table.

    Args:
        spark: The session.
        location: URI of an existing table.
    """
    configuration = newest_snapshot(spark, location).metadata().configuration()
    return dict(spark._jvm.scala.jdk.javaapi.CollectionConverters.asJava(configuration))


def table_in_sql(location: str) -> str:
    """Return the name by which SQL refers to the table at a URI."""
    escaped = location.replace("`", "``")
    return f"delta.`{escaped}`"
