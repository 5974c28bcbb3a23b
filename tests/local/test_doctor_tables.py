"""The doctor on the tables of a lake: it reads them, and changes nothing."""

from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from components.errors import InputError
from components.lake import Lake
from components.lake.properties import VERSION_PROPERTY, table_in_sql
from components.lake.tables import GROUPS, IMAGES, LABELS
from components.settings import Settings
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.tables import findings_of
from tests.support.earlier_lake import unpack_lake_of_0_1_0


def examine(lake: Lake, **settings: float) -> list[Finding]:
    return list(findings_of(lake, Context(Settings(lake=lake.root, **settings))))  # type: ignore[arg-type]


def serious(findings: list[Finding]) -> list[str]:
    return [each.what for each in findings if each.level is not Level.OK]


def test_new_lake_has_no_finding(lake: Lake) -> None:
    assert serious(examine(lake)) == []


def test_lake_of_an_earlier_release_is_a_warning_and_is_not_migrated(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(spark, str(unpack_lake_of_0_1_0(tmp_path).lake))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}

    (found,) = examine(lake)

    assert (found.level, "has schema version 1" in found.what) == (Level.WARNING, True)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


def test_lake_of_a_later_release_is_refused(lake: Lake, spark: SparkSession) -> None:
    spark.sql(
        f"ALTER TABLE {table_in_sql(lake.path(IMAGES))} SET TBLPROPERTIES ('{VERSION_PROPERTY}' = '99')"
    ).collect()

    with pytest.raises(InputError, match="has schema version 99"):
        examine(lake)


def test_another_split_in_the_settings_is_an_error(lake: Lake) -> None:
    (found,) = serious(examine(lake, test_fraction=0.3))

    assert found.startswith(f"split: the lake '{lake.root}' has ")


def test_missing_table_is_a_warning(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "lake" / GROUPS.name).rename(tmp_path / "elsewhere")

    assert serious(examine(lake)) == ["groups: this table does not exist."]


def test_column_of_another_type_is_an_error(lake: Lake, spark: SparkSession) -> None:
    DeltaTable.replace(spark).location(lake.path(LABELS)).addColumn("path", "STRING").execute()

    (found,) = serious(examine(lake))

    assert found == "labels: missing columns or columns of another type: content_sha256, label, labeled_at, source."
