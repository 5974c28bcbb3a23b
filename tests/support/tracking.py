"""MLflow's database on this machine, for tests."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient

_FILE = "mlflow.db"


def make_tracking(folder: Path) -> str:
    """Create an empty MLflow database in a folder; return its tracking and registry URI.

    The database is a copy, because MLflow takes a second to create one.
    """
    (folder / _FILE).write_bytes(_empty_database())
    return _uri(folder)


def find_or_make_tracking(folder: Path) -> str:
    """Return the tracking URI of the database in a folder; create the database if it is missing."""
    return _uri(folder) if (folder / _FILE).exists() else make_tracking(folder)


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        MlflowClient(_uri(Path(folder)), _uri(Path(folder))).search_registered_models()
        return (Path(folder) / _FILE).read_bytes()


def _uri(folder: Path) -> str:
    return f"sqlite:///{folder / _FILE}"
