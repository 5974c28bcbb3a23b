"""`image-pipelines query` runs statements that only read, and refuses all others before they have an effect."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.errors import InputError
from components.lake import Lake
from components.lake.tables import CLASSES, FOLDER, IMAGES
from components.succession import NO_CHAMPION
from pipelines.query.lake_query import query
from tests.support.lake_rows import append_images, append_rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2026, 7, 1, tzinfo=UTC)
JAVA = "'java.lang.System', 'setProperty', 'image_pipelines.query', 'ran'"
MARKER = "image_pipelines.query"
# Placeholders: a file that a statement would create, and the lake's folder.
FILE = "{file}"
LAKE = "{lake}"
# Placeholder: the time of version 1 of `images`.
TIME = "{time}"


@pytest.fixture(scope="module")
def filled(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with three images. Version 1 of `images` has two."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("query") / "lake"))
    lake.create()
    for numbers in ((1, 2), (3,)):
        append_images(lake, [(f"file:/{n}.jpg", b"x" * n, n % 2) for n in numbers], NOW)
    append_rows(lake, CLASSES, [(0, "zero", None, FOLDER), (1, "one", None, FOLDER)])
    lake.register_views(NO_CHAMPION)
    return lake


@pytest.fixture
def unchanged(filled: Lake, tmp_path: Path) -> Iterator[None]:
    """Fail if the test writes, runs, registers or sets anything."""

    def state() -> object:
        root = Path(filled.root.removeprefix("file://"))
        system = filled.spark.sparkContext._jvm.java.lang.System
        return (
            # Including the tables' logs, and with them their versions.
            {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in root.rglob("*")},
            filled.spark.sql("SHOW TABLES").collect(),
            filled.spark.catalog.isCached("images"),
            filled.spark.conf.get("spark.sql.shuffle.partitions"),
            system.getProperty(MARKER),
            sorted(tmp_path.iterdir()),
        )

    before = state()
    yield
    assert state() == before


READING = [
    ("SELECT count(*) FROM images", "3"),
    ("-- how many\nSELECT count(*) FROM images", "3"),
    ("/* how\n   many */ select count(*) from images -- all\n;", "3"),
    ("(((SELECT count(*) FROM images)))", "3"),
    ("WITH a AS (SELECT * FROM images), b AS (SELECT * FROM a WHERE length > 1) SELECT count(*) FROM b", "2"),
    ("-- x\n/* y */ WITH a AS (SELECT 1) TABLE a", "1"),
    (
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT max(n) FROM r",
        "3",
    ),
    ("VALUES (7)", "7"),
    ("TABLE classes", "0"),
    ("FROM images SELECT max(length)", "3"),
    ("FROM images |> WHERE length > 1 |> AGGREGATE count(*) AS n", "2"),
    ("(SELECT 1) UNION ALL (SELECT 2) EXCEPT SELECT 2 INTERSECT SELECT 2 ORDER BY 1 LIMIT 1 OFFSET 0", "1"),
    ("SELECT (SELECT max(length) FROM images) WHERE EXISTS (SELECT 1) AND 1 IN (SELECT 1)", "3"),
    ("SELECT load_date, count(*) FROM images GROUP BY ROLLUP(load_date) HAVING count(*) > 2", None),
    ("SELECT row_number() OVER w FROM images WINDOW w AS (ORDER BY length)", "1"),
    ("SELECT DISTINCT n FROM images LATERAL VIEW explode(array(5)) t AS n", "5"),
    ("SELECT max(n) FROM images, LATERAL (SELECT length + 1 AS n)", "4"),
    ("SELECT transform(array(1), x -> x + 1)[0]", "2"),
    ("SELECT count(*) FROM range(4)", "4"),
    ("SELECT /*+ BROADCAST(c) */ max(name) FROM files f JOIN classes c ON f.folder_label = c.label", "zero"),
    ("SELECT * FROM (SELECT folder_label FROM files) PIVOT (count(*) FOR folder_label IN (0, 1))", "1"),
    ("SELECT input_file_name() <> '' FROM images LIMIT 1", "true"),
    ("SELECT count(*) FROM images VERSION AS OF 1", "2"),
    ("SELECT max(images.path) FROM images VERSION AS OF 1 WHERE images.length = 1", "file:/1.jpg"),
    ("-- é 😀\nSELECT count(i.path) FROM `IMAGES` FOR VERSION AS OF 1 AS i", "2"),
    (
        "SELECT (SELECT count(*) FROM images) - count(*) FROM images VERSION AS OF 0 JOIN classes VERSION AS OF 0",
        "3",
    ),
    (f"SELECT count(*) FROM images TIMESTAMP AS OF '{TIME}'", "2"),
    (f"SELECT count(*) FROM delta.`{LAKE}/images` VERSION AS OF 1", "2"),
    ("SHOW TABLES", ""),
    ("SHOW COLUMNS IN images", "path"),
    ("SHOW FUNCTIONS LIKE 'upper'", "upper"),
    ("DESCRIBE images", "path"),
    ("DESC QUERY SELECT 1 AS n", "n"),
    ("DESCRIBE HISTORY images LIMIT 1", "2"),
    ("DESCRIBE DETAIL images", "delta"),
    (f"DESCRIBE HISTORY delta.`{LAKE}/classes`", "1"),
    (f"DESCRIBE HISTORY '{LAKE}/classes'", "1"),
    ("EXPLAIN WITH a AS (SELECT 1) SELECT * FROM a", None),
    ("/* plan */ EXPLAIN FORMATTED SELECT count(*) FROM images", None),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("statement", "first"), READING)
def test_reading_statement_runs(filled: Lake, statement: str, first: str | None) -> None:
    if TIME in statement:
        history = filled.delta(IMAGES).history().where("version = 1")
        statement = statement.replace(TIME, history.selectExpr("string(timestamp)").first()[0])

    rows = list(query(filled, statement.replace(LAKE, filled.root)).rows)

    assert rows
    if first is not None:
        assert rows[0][0] == first


CHANGING = [
    "DELETE FROM images",
    "WITH a AS (SELECT 'file:/1.jpg' AS path) DELETE FROM images WHERE path IN (SELECT path FROM a)",
    "WITH a AS (SELECT 9 AS label, 'x' AS name, 1 AS replaced_by, 'x' AS source) INSERT INTO classes SELECT * FROM a",
    "WITH a AS (SELECT 1) FROM a INSERT INTO classes SELECT 9, 'nine', 1, 'folder'",
    f"INSERT INTO delta.`{LAKE}/classes` VALUES (9, 'nine', NULL, 'folder')",
    "/* SELECT */ UPDATE images SET length = 9",
    "MERGE INTO images USING classes ON false WHEN NOT MATCHED BY SOURCE THEN DELETE",
    "TRUNCATE TABLE images",
    "DROP TABLE images",
    f"CREATE TABLE made USING delta LOCATION '{FILE}' AS SELECT 1 AS n",
    f"CREATE TABLE delta.`{FILE}` (n INT) USING delta",
    "CREATE TEMPORARY VIEW made AS SELECT 1",
    "CREATE TEMPORARY FUNCTION f AS 'java.lang.String'",
    "CREATE DATABASE made",
    f"ALTER TABLE delta.`{LAKE}/images` SET TBLPROPERTIES ('delta.appendOnly' = 'true')",
    f"VACUUM delta.`{LAKE}/images` RETAIN 200 HOURS",
    f"OPTIMIZE delta.`{LAKE}/images`",
    f"RESTORE TABLE delta.`{LAKE}/images` TO VERSION AS OF 0",
    f"CONVERT TO DELTA parquet.`{LAKE}/images`",
    f"INSERT OVERWRITE DIRECTORY '{FILE}' USING csv SELECT 1",
    f"INSERT OVERWRITE LOCAL DIRECTORY '{FILE}' SELECT 1",
    f"FROM images INSERT OVERWRITE DIRECTORY '{FILE}' USING csv SELECT path",
    f"FROM images INSERT INTO classes SELECT 9, '', 1, '' INSERT OVERWRITE DIRECTORY '{FILE}' USING csv SELECT path",
    "EXECUTE IMMEDIATE 'INSERT INTO classes VALUES (9, ''nine'', NULL, ''folder'')'",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "BEGIN INSERT INTO classes VALUES (9, 'nine', NULL, 'folder'); END",
    "OPEN c",
    "FETCH c INTO x",
    "DECLARE c CURSOR FOR SELECT 1",
    "BEGIN SELECT 1; END",
    "BEGIN DECLARE x INT DEFAULT 1; IF x = 1 THEN DELETE FROM images; END IF; END",
    f"SELECT TRANSFORM(path) USING 'touch {FILE}' AS (a STRING) FROM images",
    f"WITH a AS (SELECT TRANSFORM(path) USING 'touch {FILE}' AS (b STRING) FROM images) SELECT * FROM a",
    f"MAP path USING 'touch {FILE}' FROM images",
    f"REDUCE path USING 'touch {FILE}' FROM images",
    f"SELECT java_method({JAVA})",
    f"select /* x */ REFLECT({JAVA})",
    f"SELECT try_reflect({JAVA})",
    f"SELECT `java_method`({JAVA})",
    f"SELECT system.builtin.java_method({JAVA})",
    f"SELECT (SELECT max(java_method({JAVA})))",
    f"SELECT 1 WHERE EXISTS (SELECT 1 HAVING java_method({JAVA}) IS NULL)",
    f"WITH a AS (SELECT java_method({JAVA}) AS m) SELECT * FROM a",
    f"SELECT transform(array(1), x -> java_method({JAVA}))",
    f"SELECT * FROM images, LATERAL (SELECT java_method({JAVA}))",
    f"SELECT * FROM images LATERAL VIEW explode(array(java_method({JAVA}))) t AS n",
    f"SELECT * FROM explode(array(java_method({JAVA})))",
    f"VALUES (java_method({JAVA}))",
    f"SELECT 1 UNION SELECT java_method({JAVA})",
    f"SELECT count(*) FILTER (WHERE java_method({JAVA}) = '') FROM images",
    f"SELECT sum(length) OVER (PARTITION BY java_method({JAVA})) FROM images",
    f"SELECT sum(length) OVER w FROM images WINDOW w AS (ORDER BY java_method({JAVA}))",
    f"SELECT * FROM images ORDER BY java_method({JAVA})",
    f"SELECT * FROM images LIMIT length(java_method({JAVA}))",
    f"SELECT * FROM images JOIN classes ON java_method({JAVA}) = ''",
    f"SELECT CASE WHEN true THEN java_method({JAVA}) END",
    f"FROM images |> EXTEND java_method({JAVA}) AS x",
    f"SELECT * FROM images TIMESTAMP AS OF java_method({JAVA})",
    f"DESC QUERY SELECT java_method({JAVA})",
    f"EXPLAIN SELECT java_method({JAVA})",
    f"SELECT IDENTIFIER('java_' || 'method')({JAVA})",
    f"SELECT IDENTIFIER('java_method')({JAVA})",
    f"SELECT * FROM IDENTIFIER('ima' || java_method({JAVA}))",
    "DELETE FROM IDENTIFIER('images')",
    "SET spark.sql.shuffle.partitions = 77",
    "RESET",
    "CACHE TABLE images",
    "CACHE LAZY TABLE made AS SELECT 1",
    "UNCACHE TABLE IF EXISTS images",
    "CLEAR CACHE",
    "REFRESH TABLE images",
    f"ANALYZE TABLE delta.`{LAKE}/images` COMPUTE STATISTICS",
    "USE default",
    "DECLARE VARIABLE made INT DEFAULT 1",
    "SET VAR made = 1",
    f"ADD JAR '{FILE}'",
    "LIST JARS",
    f"LOAD DATA INPATH '{FILE}' INTO TABLE images",
    "CALL made()",
    "EXPLAIN INSERT INTO classes VALUES (9, 'nine', NULL, 'folder')",
    "COMMENT ON TABLE images IS 'x'",
    "SELECT * FROM csv.`/etc/hostname`",
    "SELECT * FROM `text`.`/etc/hostname`",
    "SELECT * FROM STREAM(images)",
    "",
    " \n",
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("statement", CHANGING)
def test_other_statement_is_refused_without_effect(filled: Lake, statement: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^query: only statements that read are allowed; [^\n]*\. [^\n]*\.$"):
        query(filled, statement.replace(LAKE, filled.root).replace(FILE, str(tmp_path / "made")))


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1; DELETE FROM images",
        "-- SELECT 1",
        "SELECT * INTO made FROM images",
        "FROM images |> INSERT INTO classes",
        "WITH a AS (DELETE FROM images) SELECT 1",
        "SELECT * FROM (INSERT INTO classes VALUES (9, 'nine', NULL, 'folder'))",
        "SELECT made(path) FROM images",
    ],
)
def test_invalid_statement_is_refused_without_effect(filled: Lake, statement: str) -> None:
    with pytest.raises(InputError, match=r"^query: (\[|unknown function 'made'\.)[^\n]*$"):
        query(filled, statement)


@pytest.mark.usefixtures("unchanged")
def test_registered_function_is_refused(filled: Lake) -> None:
    filled.spark.udf.register("registered", lambda text: text)

    with pytest.raises(InputError, match="function registered is refused"):
        query(filled, "SELECT registered(path) FROM images")
