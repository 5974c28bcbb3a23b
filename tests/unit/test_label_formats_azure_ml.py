"""The exports of Azure Machine Learning's labelling: each of the three says the same, and names images of the lake."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.import_labels.copies import UNKNOWN_COPY, images_by_copy, original
from components.import_labels.formats import Answer, Located, Rejected, parse

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BATCH = "20260501T120000Z-0123abcd"
LINES = [
    {"path": f"file:/landing/{number}.jpg", "file": f"images/ab{number}-{number}.jpg", "batch": BATCH, "name": "flag"}
    for number in range(20)
]
IMAGES = images_by_copy(LINES)


def url(number: int) -> str:
    return f"AmlDatastore://to_label/{BATCH}/images/ab{number}-{number}.jpg"


def as_coco(labels: Sequence[tuple[int, str]]) -> bytes:
    names = sorted({name for _, name in labels})
    content = {
        "images": [
            {"id": number, "width": 1, "height": 1, "file_name": url(number).split("/", 3)[3], "coco_url": url(number)}
            for number in sorted({number for number, _ in labels})
        ],
        "annotations": [
            {"id": count, "image_id": number, "category_id": names.index(name) + 1, "area": 0.0}
            for count, (number, name) in enumerate(labels, start=1)
        ],
        "categories": [{"id": count, "name": name} for count, name in enumerate(names, start=1)],
    }
    return json.dumps(content).encode()


def as_json_lines(labels: Sequence[tuple[int, str]]) -> bytes:
    return "".join(
        json.dumps({"image_url": url(number), "label": name, "label_confidence": 1.0}) + "\n" for number, name in labels
    ).encode()


def as_csv(labels: Sequence[tuple[int, str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("Url", "Label", "LabelConfidence"), *((url(n), name, 1) for n, name in labels)])
    return text.getvalue().encode()


def read(name: str, content: bytes) -> tuple[list[Answer], list[Rejected]]:
    """Parse a file and go back to the images of the lake."""
    located, rejected = parse(name, content)
    assert all(each.is_copy for each in located)
    found = [original(each, IMAGES) for each in located]
    answers = [each.answer for each in found if isinstance(each, Located)]
    return answers, rejected + [each for each in found if isinstance(each, Rejected)]


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.lists(st.tuples(st.integers(0, 19), names), max_size=5))
def test_the_three_exports_say_the_same_under_the_same_keys(labels: list[tuple[int, str]]) -> None:
    expected = [
        Answer(path=f"file:/landing/{number}.jpg", name=name, service="azure_ml", batch=BATCH)
        for number, name in labels
    ]

    for file, content in (
        ("labels.json", as_coco(labels)),
        ("labels.jsonl", as_json_lines(labels)),
        ("labels.csv", as_csv(labels)),
    ):
        answers, rejected = read(file, content)
        assert (answers, rejected) == (expected, [])
        assert [each.key(NOW) for each in answers] == [each.key(NOW) for each in expected]


@pytest.mark.parametrize(
    "spelling",
    [
        f"AmlDatastore://workspaceblobstore/deep/below/{BATCH}/images/ab7-7.jpg",
        f"azureml://subscriptions/s/resourcegroups/r/workspaces/w/datastores/d/paths/{BATCH}/images/ab7-7.jpg",
        f"https://account.blob.core.windows.net/to-label/{BATCH}/images/ab7-7.jpg?sv=2024&sig=a/b",
        f"{BATCH}/images/ab7-7.jpg",
    ],
)
def test_a_copy_leads_back_to_its_image_wherever_the_store_says_it_lies(spelling: str) -> None:
    found = original(Located("labels.csv, line 2", Answer(path=spelling, name="flag"), is_copy=True), IMAGES)

    assert isinstance(found, Located)
    assert (found.answer.path, found.answer.batch, found.is_copy) == ("file:/landing/7.jpg", BATCH, False)


@pytest.mark.parametrize(
    "spelling",
    [
        "AmlDatastore://d/another-batch/images/ab7-7.jpg",
        f"AmlDatastore://d/{BATCH}/images/zz.jpg",
        "ab7-7.jpg",
        "",
        "?",
    ],
)
def test_a_copy_that_no_batch_has_is_named(spelling: str) -> None:
    located = Located("labels.csv, line 2", Answer.model_construct(path=spelling), is_copy=True)

    assert original(located, IMAGES) == Rejected("labels.csv, line 2", UNKNOWN_COPY, waits=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_id": 9}, "image_id: is none of the file's images"),
        ({"image_id": [1]}, "image_id: is none of the file's images"),
        ({"category_id": 9}, "category_id: is none of the file's categories"),
    ],
)
def test_an_annotation_of_coco_that_names_nothing_is_named_and_the_others_are_read(
    change: dict[str, Any], reason: str
) -> None:
    content = json.loads(as_coco([(1, "flag"), (2, "flag"), (3, "flag")]))
    content["annotations"][1].update(change)

    answers, rejected = read("labels.json", json.dumps(content).encode())

    assert [each.path for each in answers] == ["file:/landing/1.jpg", "file:/landing/3.jpg"]
    assert rejected == [Rejected("labels.json, annotation 2", reason)]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ('["flag", "ak47"]', "label: has 2 classes, and an image has one"),
        (
            '[{"label": "flag", "topX": 0.1}]',
            "label: is a region of the image; export a project that classifies whole images",
        ),
    ],
)
def test_a_label_of_another_kind_of_project_is_named(label: str, reason: str) -> None:
    content = f'{{"image_url": "{url(1)}", "label": {label}}}\n{{"image_url": "{url(2)}", "label": ["flag"]}}\n'

    answers, rejected = read("labels.jsonl", content.encode())

    assert [(each.path, each.name) for each in answers] == [("file:/landing/2.jpg", "flag")]
    assert rejected == [Rejected("labels.jsonl, line 1", reason)]


def test_an_image_that_was_only_listed_is_not_one_that_was_skipped() -> None:
    listed = read("labels.jsonl", json.dumps({"image_url": url(1)}).encode())
    skipped, _ = read("labels.jsonl", json.dumps({"image_url": url(1), "label": ""}).encode())

    assert listed == ([], [Rejected("labels.jsonl, line 1", "label: is missing")])
    assert [(each.path, each.name, each.label) for each in skipped] == [("file:/landing/1.jpg", "", None)]
