"""Folders of a run that contain each other."""

from pathlib import Path

import pytest

from components.errors import InputError
from components.settings import Settings
from components.storage.apart import check_apart, check_sources_apart

BLOB = "https://Account.blob.core.windows.net/container"
ABFSS = "abfss://container@account.dfs.core.windows.net"


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ({"source": "s3a://b/lake", "lake": "s3://b/lake/"}, "source: 's3a://b/lake' is also the lake 's3://b/lake/'."),
        ({"source": "s3a://b/lake/in", "lake": "s3a://b/lake"}, "source: 's3a://b/lake/in' is inside the lake"),
        ({"source": "/data", "lake": "file:///data//lake"}, "source: '/data' contains the lake"),
        ({"source": "/", "lake": "/data/lake"}, "source: '/' contains the lake"),
        ({"destination": "/lake/out", "lake": "/lake"}, "destination: '/lake/out' is inside the lake '/lake'."),
        (
            {"destination": "/in/out", "source": "/in"},
            "destination: '/in/out' is inside the source '/in', so its files",
        ),
        ({"destination": f"{BLOB}/in", "source": f"{ABFSS}/in"}, f"destination: '{BLOB}/in' is also the source"),
        (
            {"destination": f"{BLOB}/a%20b/c", "lake": f"{ABFSS}/a b"},
            f"destination: '{BLOB}/a%20b/c' is inside the lake",
        ),
        ({"archive": "/in/old", "source": "/in"}, "archive: '/in/old' is inside the source '/in'"),
        ({"archive": "/lake", "lake": "/lake"}, "archive: '/lake' is also the lake"),
    ],
)
def test_folders_that_contain_each_other_are_refused(folders: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        check_apart(**folders)

    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    "folders",
    [
        {"source": "/data/lake2", "lake": "/data/lake"},
        {"source": "s3a://b/in", "lake": "s3a://b/lake", "destination": "s3a://b/out", "archive": "s3a://b/old"},
        # Batches have folders of their own, so nothing is found twice.
        {"source": "/data/in", "destination": "/data", "lake": "/data/lake"},
        {"source": f"{ABFSS}/In", "destination": f"{BLOB}/in"},
        {"source": "/in", "archive": "delete"},
        {"source": "http://127.0.0.1:10000/account/annotations", "lake": "/lake"},
        {},
    ],
)
def test_folders_beside_each_other_are_accepted(folders: dict[str, str]) -> None:
    check_apart(**folders)


def test_a_link_into_the_lake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lake" / "images").mkdir(parents=True)
    (tmp_path / "landing").symlink_to(tmp_path / "lake" / "images")

    with pytest.raises(InputError, match="is inside the lake"):
        check_apart(lake=str(tmp_path / "lake"), source=str(tmp_path / "landing"))


@pytest.mark.parametrize("labeled", [True, False])
def test_landing_folders_of_both_kinds_are_apart(labeled: bool) -> None:
    other = "unlabeled_source" if labeled else "labeled_source"
    settings = Settings.load(**{other: "/data/landing"})

    check_sources_apart("/data/elsewhere", labeled, settings)
    for source in ("/data/landing/new", "/data", "/data/landing"):
        with pytest.raises(InputError, match=rf"^source: '{source}' .* the {other} '/data/landing'\. Give images"):
            check_sources_apart(source, labeled, settings)
