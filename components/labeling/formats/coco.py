"""COCO as Azure Machine Learning's labeling exports it: each annotation names one image and one category."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.labeling.formats import azure_ml
from components.labeling.formats.annotation import Row

_LISTS = ("images", "annotations", "categories")
# Keys for the URL of an image's file, in the order of preference.
_URLS = ("coco_url", "absolute_url", "file_name")


def rows(text: str) -> Iterator[Row]:
    """Yield a row for each annotation of a file."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        yield Row("", "The file is not valid JSON, or is truncated. Export it again.")
        return
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in _LISTS):
        yield Row("", f"The file is not COCO: one of the lists {', '.join(_LISTS)} is missing. Export it as COCO.")
        return
    urls = _by_id(content["images"], *_URLS)
    names = _by_id(content["categories"], "name")
    for number, annotation in enumerate(content["annotations"], start=1):
        position = f"annotation {number}"
        url = _look_up(annotation, "image_id", urls)
        name = _look_up(annotation, "category_id", names)
        if url is None:
            yield Row(position, "image_id: unknown image. Export the file again.")
        elif name is None:
            yield Row(position, "category_id: unknown category. Export the file again.")
        else:
            yield azure_ml.row(position, url, name)


def _by_id(items: list[Any], *keys: str) -> dict[int | str, str]:
    """Map the id of each item to its text under the first key that has one."""
    texts: dict[int | str, str] = {}
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("id"), int | str):
            found = [item[key] for key in keys if isinstance(item.get(key), str) and item[key]]
            texts.update({item["id"]: found[0]} if found else {})
    return texts


def _look_up(annotation: Any, key: str, texts: Mapping[int | str, str]) -> str | None:
    """Return the text of the item whose id an annotation has under a key, or None."""
    item_id = annotation.get(key) if isinstance(annotation, dict) else None
    return texts.get(item_id) if isinstance(item_id, int | str) else None
