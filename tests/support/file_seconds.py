"""Durations of the longest test files. The processes of a parallel run start with these.

Only the order matters. Files that are not listed come next, and unit tests come last.
"""

FILE_SECONDS = {
    "tests/local/test_pipelines.py": 455,
    "tests/local/test_training_ranks.py": 250,
    "tests/local/test_import_labels.py": 240,
    "tests/local/test_rollback.py": 200,
    "tests/local/test_maintain_lake.py": 200,
    "tests/local/test_trace.py": 200,
    "tests/local/test_forget.py": 200,
    "tests/local/test_export_for_labeling.py": 150,
    "tests/local/test_score_images.py": 120,
    "tests/local/test_ingest_images.py": 120,
    "tests/services/test_store_outages.py": 120,
    "tests/local/test_migration.py": 120,
    "tests/local/test_discovery.py": 120,
}

_UNNAMED_SECONDS = 30


def seconds_of(name: str) -> int:
    """Return the approximate duration of a test file, in seconds.

    Args:
        name: Path of the file in the repository.
    """
    return FILE_SECONDS.get(name, 0 if name.startswith("tests/unit/") else _UNNAMED_SECONDS)
