"""COCO, as Azure Machine Learning's labelling exports it: images, categories, and annotations that name one of each."""

import json
from collections.abc import Iterator
from typing import Any

from components.import_labels.formats import azure_ml
from components.import_labels.formats.answer import Row

_PARTS = ("images", "annotations", "categories")
# By which an image names its file, the best first.
_URLS = ("coco_url", "absolute_url", "file_name")


def rows(text: str) -> Iterator[Row]:
    """Yield a row for each annotation of a file."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        yield Row("", "is no JSON, or a part of it; export it again")
        return
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in _PARTS):
        yield Row("", f"is no COCO file, which has the lists {', '.join(_PARTS)}")
        return
    urls = _by_id(content["images"], *_URLS)
    names = _by_id(content["categories"], "name")
    for number, annotation in enumerate(content["annotations"], start=1):
        place = f"annotation {number}"
        url, name = (_named(annotation, key, known) for key, known in (("image_id", urls), ("category_id", names)))
        if url is None:
            yield Row(place, "image_id: is none of the file's images")
        elif name is None:
            yield Row(place, "category_id: is none of the file's categories")
        else:
            yield azure_ml.row(place, url, name)


def _by_id(items: list[Any], *keys: str) -> dict[int | str, str]:
    """Return the first text that items have under one of the keys, by their id."""
    texts: dict[int | str, str] = {}
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("id"), int | str):
            found = [item[key] for key in keys if isinstance(item.get(key), str) and item[key]]
            texts.update({item["id"]: found[0]} if found else {})
    return texts


def _named(annotation: Any, key: str, known: dict[int | str, str]) -> str | None:
    name = annotation.get(key) if isinstance(annotation, dict) else None
    return known.get(name) if isinstance(name, int | str) else None
