"""COCO of a project that classifies whole images: each annotation names one image and one category."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.labeling.formats import azure_ml
from components.labeling.formats.annotation import LeftOut, Row
from components.labeling.formats.classes import REGION, UNFINISHED, several

_LISTS = ("images", "annotations", "categories")
# Keys for the URL of an image's file, in the order of preference.
_URLS = ("coco_url", "absolute_url", "file_name")
# Keys of an annotation that outline a region of the image.
_REGIONS = ("segmentation", "keypoints")

_Id = int | str


def is_document(value: Any) -> bool:
    """Return whether a JSON value is COCO."""
    return isinstance(value, dict) and all(isinstance(value.get(name), list) for name in _LISTS)


def is_incomplete(value: Any) -> bool:
    """Return whether a JSON value has some of COCO's lists."""
    return isinstance(value, dict) and any(name in value for name in ("images", "categories"))


def rows(document: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row for each annotation, and for each image without one."""
    urls = _by_id(document["images"], *_URLS)
    names = _by_id(document["categories"], "name")
    categories: dict[_Id, set[_Id]] = {}
    for annotation in document["annotations"]:
        image, category = _id(annotation, "image_id"), _id(annotation, "category_id")
        if image is not None and category is not None:
            categories.setdefault(image, set()).add(category)
    for number, annotation in enumerate(document["annotations"], start=1):
        yield _row(f"annotation {number}", annotation, urls, names, categories)
    for number, image in enumerate(document["images"], start=1):
        if _id(image, "id") not in categories:
            yield Row(f"image {number}", UNFINISHED)


def _row(
    position: str,
    annotation: Any,
    urls: Mapping[_Id, set[str]],
    names: Mapping[_Id, set[str]],
    categories: Mapping[_Id, set[_Id]],
) -> Row:
    image, category = _id(annotation, "image_id"), _id(annotation, "category_id")
    if image is None or image not in urls:
        return Row(position, LeftOut("image_id: unknown image. Export the file again."))
    if category is None or category not in names:
        return Row(position, LeftOut("category_id: unknown category. Export the file again."))
    if _is_region(annotation):
        return Row(position, REGION)
    if len(urls[image]) > 1:
        return Row(position, LeftOut(f"image_id: {len(urls[image])} images have this id. Export the file again."))
    if len(names[category]) > 1:
        reason = f"category_id: {len(names[category])} categories have this id. Export the file again."
        return Row(position, LeftOut(reason))
    if len(categories[image]) > 1:
        return Row(position, several(len(categories[image])))
    (url,), (name,) = urls[image], names[category]
    return azure_ml.class_row(position, url, name)


def _is_region(annotation: Mapping[str, Any]) -> bool:
    """Return whether an annotation outlines a region. Some programs write an empty box for a whole image."""
    box = annotation.get("bbox")
    has_area = bool(box) and not (isinstance(box, list) and not any(box[2:]))
    return has_area or any(annotation.get(key) for key in _REGIONS)


def _by_id(items: list[Any], *keys: str) -> dict[_Id, set[str]]:
    """Map the id of each item to its text under the first key that has one."""
    texts: dict[_Id, set[str]] = {}
    for item in items:
        item_id = _id(item, "id")
        if item_id is not None:
            found = next((item[key] for key in keys if isinstance(item.get(key), str) and item[key]), None)
            if found is not None:
                texts.setdefault(item_id, set()).add(found)
    return texts


def _id(item: Any, key: str) -> _Id | None:
    """Return the id that an item has under a key, or None."""
    found = item.get(key) if isinstance(item, dict) else None
    return found if isinstance(found, int | str) and not isinstance(found, bool) else None
