"""Answers as rows of `annotations`, each once."""

from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.import_labels.formats import DEFAULT_SERVICE, Rejected
from components.import_labels.reading import Reading, Said
from components.import_labels.rule import last_words
from components.lake import Lake, frame
from components.lake.tables import ANNOTATIONS

REPEATED_ID = "its annotation_id stands for another answer that came before"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def drop_superseded(lake: Lake, reading: Reading, named: DataFrame) -> None:
    """Of answers without id and time, keep what the newest export says, where that is news.

    Such exports hold all that was ever answered, as it is when they are made.

    Args:
        lake: The lake.
        reading: What was read, each answer with its label.
        named: Frame of the paths of all images in it.
    """
    newest: dict[tuple[str, str, str], tuple[datetime, set[int | None]]] = {}
    # The newest export comes first.
    for each in reading.said:
        if _is_timeless(each):
            at, labels = newest.setdefault(_person(each), (each.at, set()))
            if each.at == at:
                labels.add(each.label)
    if not newest:
        return
    words = (
        last_words(lake.read(ANNOTATIONS).join(named, "path", "left_semi"))
        .groupBy("path", "service", "annotator", F.unix_micros("annotated_at").alias("at"))
        # A list of labels has no null in it.
        .agg(F.collect_set("label").alias("labels"), F.count_if(F.col("label").isNull()).alias("skipped"))
        .collect()
    )
    known = {
        (row["path"], row["service"], row["annotator"]): (
            _EPOCH + row["at"] * _MICROSECOND,
            {*row["labels"], *([None] if row["skipped"] else [])},
        )
        for row in words
    }

    def is_news(said: Said) -> bool:
        at, labels = newest[_person(said)]
        known_at, known_labels = known.get(_person(said), (_EPOCH, set()))
        return said.at == at and known_at <= at and labels != known_labels

    reading.said = [each for each in reading.said if not _is_timeless(each) or is_news(each)]


def _is_timeless(said: Said) -> bool:
    return not said.answer.annotation_id and said.answer.annotated_at is None


def _person(said: Said) -> tuple[str, str, str]:
    """Return image, service and person of an answer."""
    return said.answer.path, said.answer.service or DEFAULT_SERVICE, said.answer.annotator


def annotation_rows(lake: Lake, reading: Reading) -> DataFrame:
    """Return the rows of `annotations` for what was read, and the column _where of the place where each was read."""
    rows: dict[tuple[str, str], Said] = {}
    for said in reading.said:
        first = rows.setdefault(said.key, said)
        if first.answer != said.answer:
            reading.rejected.append(Rejected(said.located.where, REPEATED_ID))
    return frame(
        lake.spark,
        [
            (
                *key,
                each.answer.path,
                each.label,
                each.answer.annotator,
                each.at,
                each.answer.batch or None,
                each.located.where,
            )
            for key, each in rows.items()
        ],
        f"{ANNOTATIONS.columns}, _where STRING",
    )
