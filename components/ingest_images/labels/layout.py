"""Decide from all files of a source whether its folders name classes."""

from dataclasses import dataclass, field

from components.ingest_images.labels.folders import explicit_class, naming_folders
from components.lake.class_names import class_key

# Their names take about 10 MB. Names of more folders change the decision no more.
_MAXIMUM_FOLDERS = 50_000


@dataclass
class Layout:
    """How the files of a source lie in folders, apart from folders that name a class without doubt.

    Attributes:
        files: Number of files.
        depths: Number of naming folders above a file, for the files that have one.
    """

    files: int = 0
    depths: set[int] = field(default_factory=set)
    # Whether a folder has more than one image, by the key of its name.
    _has_more: dict[str, bool] = field(default_factory=dict)
    # The files of a folder follow each other in a listing.
    _folder: str | None = None
    _key: str = ""

    def add(self, name: str) -> None:
        """Add a file.

        Args:
            name: Its path below the source.
        """
        self.files += 1
        folder = name.rpartition("/")[0]
        if folder != self._folder:
            self._folder, self._key = folder, self._read(name)
        if self._key in self._has_more:
            self._has_more[self._key] = True
        elif self._key and len(self._has_more) < _MAXIMUM_FOLDERS:
            self._has_more[self._key] = False

    def _read(self, name: str) -> str:
        """Return the key of the folder that may name the class of a file; empty if none may, or one does."""
        if explicit_class(name) is not None or not (folders := naming_folders(name)):
            return ""
        self.depths.add(len(folders))
        return class_key(folders[0])

    @property
    def is_final(self) -> bool:
        """Whether more files don't change the decision."""
        return len(self.depths) > 1 or len(self._has_more) >= _MAXIMUM_FOLDERS

    @property
    def doubt(self) -> str:
        """Why the folders may not be classes, in a few words; empty if they are."""
        if len(self.depths) > 1:
            return "its files lie at different depths"
        single = sum(not has_more for has_more in self._has_more.values())
        if single * 2 > len(self._has_more):
            return f"most of its folders have one image ({single:,} of {len(self._has_more):,})"
        return ""
