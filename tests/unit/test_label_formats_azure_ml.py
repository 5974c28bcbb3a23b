"""Tests of Azure Machine Learning's three export formats: they give equal annotations of the lake's images."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.labeling.batches import UNKNOWN_COPY, images_by_copy, resolve_copy
from components.labeling.formats import Annotation, LocatedAnnotation, Rejection, parse

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


def read(name: str, content: bytes) -> tuple[list[Annotation], list[Rejection]]:
    """Parse a file, and replace the paths of copies by those of images."""
    located, rejected = parse(name, content)
    assert all(parsed.is_copy for parsed in located)
    resolved = [resolve_copy(parsed, IMAGES) for parsed in located]
    annotations = [entry.annotation for entry in resolved if isinstance(entry, LocatedAnnotation)]
    return annotations, rejected + [entry for entry in resolved if isinstance(entry, Rejection)]


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.lists(st.tuples(st.integers(0, 19), names), max_size=5))
def test_three_export_formats_give_equal_annotations_and_keys(labels: list[tuple[int, str]]) -> None:
    expected = [
        Annotation(path=f"file:/landing/{number}.jpg", name=name, service="azure_ml", batch=BATCH)
        for number, name in labels
    ]

    for file, content in (
        ("labels.json", as_coco(labels)),
        ("labels.jsonl", as_json_lines(labels)),
        ("labels.csv", as_csv(labels)),
    ):
        annotations, rejected = read(file, content)
        assert (annotations, rejected) == (expected, [])
        assert [annotation.key(NOW) for annotation in annotations] == [annotation.key(NOW) for annotation in expected]


@pytest.mark.parametrize(
    "spelling",
    [
        f"AmlDatastore://workspaceblobstore/deep/below/{BATCH}/images/ab7-7.jpg",
        f"azureml://subscriptions/s/resourcegroups/r/workspaces/w/datastores/d/paths/{BATCH}/images/ab7-7.jpg",
        f"https://account.blob.core.windows.net/to-label/{BATCH}/images/ab7-7.jpg?sv=2024&sig=a/b",
        f"{BATCH}/images/ab7-7.jpg",
    ],
)
def test_copy_is_traced_to_its_image_under_any_store_url(spelling: str) -> None:
    resolved = resolve_copy(
        LocatedAnnotation("labels.csv, line 2", Annotation(path=spelling, name="flag"), is_copy=True), IMAGES
    )

    assert isinstance(resolved, LocatedAnnotation)
    assert (resolved.annotation.path, resolved.annotation.batch, resolved.is_copy) == (
        "file:/landing/7.jpg",
        BATCH,
        False,
    )


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
def test_unknown_copy_is_named(spelling: str) -> None:
    located = LocatedAnnotation("labels.csv, line 2", Annotation.model_construct(path=spelling), is_copy=True)

    assert resolve_copy(located, IMAGES) == Rejection("labels.csv, line 2", UNKNOWN_COPY, retryable=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_id": 9}, "image_id: unknown image. Export the file again."),
        ({"image_id": [1]}, "image_id: unknown image. Export the file again."),
        ({"category_id": 9}, "category_id: unknown category. Export the file again."),
    ],
)
def test_invalid_coco_annotation_is_named_and_the_others_are_read(change: dict[str, Any], reason: str) -> None:
    content = json.loads(as_coco([(1, "flag"), (2, "flag"), (3, "flag")]))
    content["annotations"][1].update(change)

    annotations, rejected = read("labels.json", json.dumps(content).encode())

    assert [annotation.path for annotation in annotations] == ["file:/landing/1.jpg", "file:/landing/3.jpg"]
    assert rejected == [Rejection("labels.json, annotation 2", reason)]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ('["flag", "ak47"]', "label: 2 classes instead of 1. Export a project with one class per image."),
        (
            '[{"label": "flag", "topX": 0.1}]',
            "label: a region of the image. Export a project that classifies whole images.",
        ),
    ],
)
def test_label_of_another_project_type_is_named(label: str, reason: str) -> None:
    content = f'{{"image_url": "{url(1)}", "label": {label}}}\n{{"image_url": "{url(2)}", "label": ["flag"]}}\n'

    annotations, rejected = read("labels.jsonl", content.encode())

    assert [(annotation.path, annotation.name) for annotation in annotations] == [("file:/landing/2.jpg", "flag")]
    assert rejected == [Rejection("labels.jsonl, line 1", reason)]


def test_image_without_annotation_is_not_counted_as_skipped() -> None:
    listed = read("labels.jsonl", json.dumps({"image_url": url(1)}).encode())
    skipped, _ = read("labels.jsonl", json.dumps({"image_url": url(1), "label": ""}).encode())

    assert listed == ([], [Rejection("labels.jsonl, line 1", "label: missing. Label the image, then export again.")])
    assert [(annotation.path, annotation.name, annotation.label) for annotation in skipped] == [
        ("file:/landing/1.jpg", "", None)
    ]
