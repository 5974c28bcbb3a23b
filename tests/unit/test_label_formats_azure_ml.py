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
from components.labeling.formats import Annotation, LocatedAnnotation, Outcome, Rejection, parse
from components.labeling.formats.values import MISSING

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


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20).map(str.strip)
names = names.filter(lambda name: name and name.lower() not in MISSING)


@given(st.lists(st.tuples(st.integers(0, 19), names), min_size=1, max_size=5, unique_by=lambda label: label[0]))
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
        f"/data/local-files/?d=to_label/{BATCH}/images/ab7-7.jpg",
        f"/data/local-files/?d=to_label%2F{BATCH}%2Fimages%2Fab7-7.jpg",
        f"/data/local-files/?d=to_label\\{BATCH}\\images\\ab7-7.jpg",
        f"s3://bucket/to-label/{BATCH}/images/ab7-7.jpg",
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
    assert Rejection("labels.json, annotation 2", reason) in rejected


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


def test_image_that_nobody_labeled_or_that_has_no_class_is_not_skipped() -> None:
    unlabeled = json.dumps({"image_url": url(1)})
    without_class = [f'{{"image_url": "{url(2)}", "label": {label}}}' for label in ('""', "null", "[]")]

    annotations, rejected = read("labels.jsonl", "\n".join([unlabeled, *without_class, unlabeled]).encode())

    assert annotations == []
    assert [(rejection.place, rejection.outcome, rejection.count) for rejection in rejected] == [
        ("labels.jsonl, line 2", Outcome.EMPTY, 1),
        ("labels.jsonl, line 3", Outcome.EMPTY, 1),
        ("labels.jsonl, line 4", Outcome.EMPTY, 1),
        ("labels.jsonl", Outcome.UNFINISHED, 2),
    ]


def test_misspelled_key_is_named_instead_of_taken_for_an_unlabeled_image() -> None:
    content = json.dumps({"image_url": url(1), "image_details": {"width": 1}, "lable": "flag"})

    reason = "label: missing. Unknown keys: 'lable'. Give the class as label."
    assert read("labels.jsonl", content.encode()) == ([], [Rejection("labels.jsonl, line 1", reason)])


def test_cell_with_several_classes_is_named() -> None:
    content = f'Url,Label,LabelConfidence\n{url(1)},"cat,dog","1,1"\n{url(2)},"tabby, tabby cat",1\n'

    annotations, rejected = read("labels.csv", content.encode())

    # One class may have a comma in its name.
    assert [annotation.name for annotation in annotations] == ["tabby, tabby cat"]
    reason = "label: 2 classes instead of 1. Export a project with one class per image."
    assert rejected == [Rejection("labels.csv, line 2", reason)]


@pytest.mark.parametrize(
    "region",
    [
        {"bbox": [0.1, 0.1, 0.4, 0.4]},
        {"bbox": [0, 0, 1, 1]},
        {"segmentation": [[0, 0, 1, 0, 1, 1]]},
        {"segmentation": {"counts": [1], "size": [1, 1]}},
        {"keypoints": [1, 1, 2]},
    ],
)
def test_coco_of_regions_is_named(region: dict[str, Any]) -> None:
    content = json.loads(as_coco([(1, "flag"), (2, "flag")]))
    content["annotations"][0].update(region)
    # Some programs write an empty outline for a whole image.
    content["annotations"][1].update(bbox=[0, 0, 0, 0], segmentation=[], keypoints=None)

    annotations, rejected = read("labels.json", json.dumps(content).encode())

    assert [annotation.path for annotation in annotations] == ["file:/landing/2.jpg"]
    reason = "label: a region of the image. Export a project that classifies whole images."
    assert rejected == [Rejection("labels.json, annotation 1", reason)]


def test_coco_of_several_classes_per_image_is_named_and_images_without_any_are_counted() -> None:
    content = json.loads(as_coco([(1, "flag"), (1, "ak47"), (2, "flag"), (2, "flag"), (3, "flag")]))
    content["annotations"].pop()

    annotations, rejected = read("labels.json", json.dumps(content).encode())

    assert {annotation.path for annotation in annotations} == {"file:/landing/2.jpg"}
    reason = "label: 2 classes instead of 1. Export a project with one class per image."
    assert rejected[:2] == [Rejection(f"labels.json, annotation {number}", reason) for number in (1, 2)]
    assert [(rejection.outcome, rejection.count) for rejection in rejected[2:]] == [(Outcome.UNFINISHED, 1)]


@pytest.mark.parametrize(
    ("name", "item", "reason"),
    [
        ("images", {"id": 1, "coco_url": "other.jpg"}, "image_id: 2 images have this id. Export the file again."),
        ("categories", {"id": 1, "name": "ak47"}, "category_id: 2 categories have this id. Export the file again."),
    ],
)
def test_coco_id_of_two_things_is_named(name: str, item: dict[str, Any], reason: str) -> None:
    content = json.loads(as_coco([(1, "flag")]))
    content[name].append(item)

    assert read("labels.json", json.dumps(content).encode()) == ([], [Rejection("labels.json, annotation 1", reason)])
