"""How the images of a source get their classes: decided once, and kept in the lake."""

from collections.abc import Callable, Iterable

from pydantic import BaseModel, ConfigDict

from components.ingest_images.labels.layout import Layout
from components.ingest_images.labels.pattern import LabelPattern
from components.ingest_images.labels.reader import FolderLabels, Labels
from components.parameters.ingest import IngestOptions, LabelSource
from components.storage import uri
from components.storage.files import Files
from components.storage.notes import read_note, write_note


class FolderDecision(BaseModel):
    """Whether the folders of a source are classes.

    Attributes:
        source: Normalized URI of the source.
        is_made: Whether a file has been seen whose folder may be a class. Before, there is nothing to decide.
        depth: Number of naming folders above an image with a class; None for any number.
        doubt: Why the folders may not be classes; empty if they are.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    is_made: bool = False
    depth: int | None = None
    doubt: str = ""

    @classmethod
    def of(cls, source: str, layout: Layout) -> "FolderDecision":
        """Return the decision by the files that a layout has."""
        doubt = layout.doubt
        depth = None if doubt else max(layout.depths, default=None)
        return cls(source=source, is_made=bool(layout.depths), depth=depth, doubt=doubt)

    @property
    def labels(self) -> FolderLabels:
        """The classes of images by this decision."""
        return FolderLabels(self.depth, in_doubt=bool(self.doubt))


class SourceLabels:
    """Decides how the images of a source get their classes. Hold the source's lock.

    The decision is made from all names of the source, before the first of its files is ingested. It stays, because a
    later delivery may have one image of each class, and images of one source have to be labeled alike.

    Args:
        root: Root URI of the lake.
        files: Access to the lake's files.
        source: Normalized URI of the source.
        options: What names the classes.
    """

    def __init__(self, root: str, files: Files, source: str, options: IngestOptions) -> None:
        self._root = root
        self._files = files
        self._source = source
        self._pattern = LabelPattern(options.label_pattern) if options.label_pattern else None
        self._decision = read_decision(root, files, source)
        if options.labels == LabelSource.FOLDERS:
            self._decide(FolderDecision(source=source, is_made=True))

    @property
    def doubt(self) -> str:
        """Why the folders may not be classes; empty if they are, if a pattern is given, or if nothing is decided."""
        return "" if self._pattern or self._decision is None else self._decision.doubt

    def survey(self, names: Callable[[], Iterable[str]]) -> None:
        """Decide by the names of all files, unless files of the source were seen before.

        Args:
            names: Returns the paths of all images below the source.
        """
        if self._pattern is not None or self._decision is not None:
            return
        layout = Layout()
        for name in names():
            layout.add(name)
            if layout.is_final:
                break
        # An empty source is surveyed again.
        if layout.files:
            self._decide(FolderDecision.of(self._source, layout))

    def labels(self, paths: Iterable[str]) -> Labels:
        """Return how the files of a plan get their classes.

        Args:
            paths: Paths of the files, as Spark's `path` column spells them.
        """
        if self._pattern is not None:
            return self._pattern
        if self._decision is None or not self._decision.is_made:
            layout = Layout()
            for path in paths:
                layout.add(uri.relative(path, self._source))
            self._decide(FolderDecision.of(self._source, layout))
        assert self._decision is not None
        return self._decision.labels

    def _decide(self, decision: FolderDecision) -> None:
        if decision != self._decision:
            write_note(self._root, _name(self._source), decision, self._files)
            self._decision = decision


def read_decision(root: str, files: Files, source: str) -> FolderDecision | None:
    """Return the decision about a source; None if none of its files has been seen.

    Args:
        root: Root URI of the lake.
        files: Access to the lake's files.
        source: Normalized URI of the source.
    """
    return read_note(root, _name(source), FolderDecision, files)


def _name(source: str) -> str:
    return f"labels_{uri.digest(source)}"
