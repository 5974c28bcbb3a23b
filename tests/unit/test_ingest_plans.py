"""Plans of ingest: what they fix, and that a number is planned once."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from components.ingest_images.labels.pattern import LabelPattern
from components.ingest_images.labels.reader import FolderLabels, Labels
from components.ingest_images.limits import Limits
from components.ingest_images.plans import FILES_SCHEMA, Plan, PlanFolder, transaction_id
from components.storage.files import Files

SOURCE = "file:///landing"


def plan(number: int = 0, labels: Labels | None = None) -> Plan:
    rows = [
        {"path": f"file:/landing/{name}.jpg", "length": 7, "modificationTime": datetime(1980, 1, 1, tzinfo=UTC)}
        for name in ("b #%41 ü", "a")
    ]
    found = pa.Table.from_pylist(rows, schema=FILES_SCHEMA)
    return Plan.make(number, SOURCE, labels, Limits(10, 20), found, requeued=True)


@pytest.mark.parametrize("labels", [None, LabelPattern(r"^(?P<label>\d+)-"), FolderLabels(2, in_doubt=True)])
def test_plan_is_read_as_it_was_written(tmp_path: Path, labels: Labels | None) -> None:
    written = plan(3, labels)
    folder = PlanFolder(f"file://{tmp_path}", SOURCE, Files())

    folder.write(written)

    assert folder.open_plan() == written
    assert written.files["path"].to_pylist() == ["file:/landing/a.jpg", "file:/landing/b #%41 ü.jpg"]
    assert written.load_date == written.planned_at.date()


def test_removed_plan_is_not_open(tmp_path: Path) -> None:
    folder = PlanFolder(f"file://{tmp_path}", SOURCE, Files())
    before = folder.open_plan()
    folder.write(plan())

    folder.remove(plan())

    assert before is None
    assert folder.open_plan() is None


def test_second_plan_of_a_number_is_an_error_and_the_first_one_stays(tmp_path: Path) -> None:
    first = plan()
    folder = PlanFolder(f"file://{tmp_path}", SOURCE, Files())
    folder.write(first)
    folder.write(first)  # as a client does whose response was lost

    with pytest.raises(RuntimeError, match=r"^source: another run has planned batch 0 of 'file:///landing'"):
        folder.write(plan())

    assert folder.open_plan() == first


def test_sources_have_plans_of_their_own(tmp_path: Path) -> None:
    PlanFolder(f"file://{tmp_path}", SOURCE, Files()).write(plan())

    assert PlanFolder(f"file://{tmp_path}", SOURCE + "2", Files()).open_plan() is None


def test_plan_id_fits_into_the_statistics_of_a_column() -> None:
    # Delta keeps 32 characters of a string: so data files of other batches are skipped.
    assert len(plan(9_999_999).id) <= 32
    assert plan().id != plan().id
    assert plan().id.startswith(transaction_id(SOURCE))
