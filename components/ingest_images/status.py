"""Where the lake keeps how its last ingest ended. Needs no Spark: the notification reads it."""

LABELLED = "labelled"
UNLABELLED = "unlabelled"


def status_file(kind: str) -> str:
    """Return the file's place under the lake's root.

    Args:
        kind: `labelled` or `unlabelled`: pipelines that ingest one kind need not hear of the other.
    """
    return f"_status/ingest_{kind}.json"
