"""Back from an exported copy, which is what a labelling service knows, to the image in the lake."""

from collections.abc import Iterable, Mapping
from typing import Any

from components.import_labels.formats import Located, Rejected

UNKNOWN_COPY = "no batch has such a file"


def images_by_copy(lines: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return path and batch of each image by its copy, as in `20260501T120000Z-0123abcd/images/ab12-1.jpg`.

    Args:
        lines: The lines of manifests, of which it takes `path`, `file` and `batch`.
    """
    return {f"{line['batch']}/{line['file']}": (line["path"], line["batch"]) for line in lines}


def original(located: Located, images: Mapping[str, tuple[str, str]]) -> Located | Rejected:
    """Return an answer about a copy as one about its image, or why it can't be.

    Args:
        located: The answer. Its path is a URL (`AmlDatastore://`, `azureml://`, `https://`), or a path in a container.
        images: What `images_by_copy` returns.
    """
    # A signature may follow the name. What precedes the batch is a matter of container and datastore.
    parts = located.answer.path.partition("?")[0].split("/")[-3:]
    found = images.get("/".join(parts))
    if found is None:
        return Rejected(located.where, UNKNOWN_COPY, waits=True)
    path, batch = found
    return Located(located.where, located.answer.model_copy(update={"path": path, "batch": batch}))
