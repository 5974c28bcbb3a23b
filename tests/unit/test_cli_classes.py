"""The commands about classes and labels print what they have changed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from components.errors import InputError
from components.import_labels.class_edits import Classes, Edit, LakeClass
from components.import_labels.edit_classes import ListedClass
from components.import_labels.undo import Selection, Undone
from components.lake.tables import NO_CLASS
from components.settings import Settings
from pipelines.cli import app

CLASSES = [LakeClass(1, "dog"), LakeClass(2, "cat"), LakeClass(3, "old", NO_CLASS), LakeClass(4, None, 1)]


@pytest.fixture(autouse=True)
def _lake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the lake and its writes."""

    @contextmanager
    def quiet_lake(settings: Settings) -> Iterator[Mock]:
        assert settings.lake == "/lake"
        yield Mock()

    def edit_classes(lake: Mock, edit: Callable[[Classes], Edit], dry_run: bool) -> Edit:
        lake.update.assert_called_once()
        return edit(Classes(CLASSES))

    def undo(lake: Mock, selection: Selection, dry_run: bool) -> Undone:
        assert selection.batch == "b1"
        return Undone(3, 2, 0 if dry_run else 2, 0 if dry_run else 1)

    listed = [ListedClass(each, "folder", 10 * each.label) for each in CLASSES]
    monkeypatch.setattr("pipelines.quiet_lake.quiet_lake", quiet_lake)
    monkeypatch.setattr("components.import_labels.edit_classes.edit_classes", edit_classes)
    monkeypatch.setattr("components.import_labels.edit_classes.list_classes", lambda lake: listed)
    monkeypatch.setattr("components.import_labels.undo.undo", undo)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["classes", "merge", "cat", "--into", "dog"], "Merged into 'dog' (1): 'cat' (2).\n"),
        (
            ["classes", "retire", "cat", "dog"],
            "Retired: 'cat' (2), 'dog' (1). This includes what was merged before: 4.",
        ),
        (["classes", "restore", "old", "--dry-run"], "Restored: 'old' (3).\nNothing was written.\n"),
        (["classes", "rename", "1", "wolf"], "Renamed class 'dog' (1) to 'wolf'. The old name still means this class."),
        (
            ["labels", "undo", "--batch", "b1"],
            "Took back 3 annotations of 2 images: 2 labels were changed or removed, an",
        ),
        (
            ["labels", "undo", "--batch", "b1", "--dry-run"],
            "Would take back 3 annotations of 2 images.\nNothing was written.\n",
        ),
    ],
)
def test_command_prints_what_it_changed(arguments: list[str], output: str) -> None:
    ran = CliRunner().invoke(app, [*arguments, "--lake", "/lake"])

    assert ran.output.startswith(output)
    assert ran.exit_code == 0


def test_classes_are_listed_as_json() -> None:
    ran = CliRunner().invoke(app, ["classes", "list", "--lake", "/lake", "--format", "json"])

    assert json.loads(ran.output) == [
        {"class": 1, "name": "dog", "images": 10, "named by": "folder", "state": "in use"},
        {"class": 2, "name": "cat", "images": 20, "named by": "folder", "state": "in use"},
        {"class": 3, "name": "old", "images": 30, "named by": "folder", "state": "retired"},
        {"class": 4, "name": None, "images": 40, "named by": "folder", "state": "merged into 1"},
    ]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "labels undo: no annotations chosen. Give --batch, --annotator, --since or several of them."),
        (
            ["--since", "yesterday"],
            "--since: 'yesterday' is not a time. Write e.g. 2026-11-29 or 2026-11-29T14:30, in UTC.",
        ),
    ],
)
def test_undo_without_a_valid_selection_is_refused(options: list[str], sentence: str) -> None:
    ran = CliRunner().invoke(app, ["labels", "undo", "--lake", "/lake", *options])

    assert isinstance(ran.exception, InputError)
    assert str(ran.exception) == sentence
