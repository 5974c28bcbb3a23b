"""A run that finds 100 new images, in a lake and in one that is 100 times larger."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.images import digits
from benchmarks.lakes import image_path, insert_classes, insert_images, insert_labels
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import interleave, seconds
from components.import_labels.import_answers import import_into
from components.import_labels.sources import open_source
from components.lake.tables import IMAGES, TABLES
from components.register_model.registry import ModelRegistry
from components.score_images.score import require_champion, score_lake
from components.settings import Settings

# Images of the smaller lake; the small images are what makes the larger one feasible.
_SIZES = (10, 25)
_TIMES = 100
_NEW = 100
# One image in so many has a label of people before.
_ONE_IN = 10
_ROUNDS = 2
_LAKES = count()


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the seconds of a run of scoring, and of one of import_labels."""
    runs = {
        f"scoring {_NEW} new images": _GrowingLake.score,
        f"importing {_NEW} new labels": _GrowingLake.label,
    }
    registry, _ = make_champion(bench, bench.settings("growing"), "small", 0)
    large = _GrowingLake(bench, registry)
    for size in _SIZES:
        large.grow(_TIMES * size)
        first = _GrowingLake(bench, registry)
        first.grow(size)
        # Another one for each round, because the new images would make one that is kept several times larger.
        small = [first, *(first.copy() for _ in range(1, _ROUNDS))]
        for name, run in runs.items():
            measured = interleave(
                {OURS: partial(run, large), Against.REFERENCE: partial(_in_next, run, iter(small))}, _ROUNDS
            )
            yield make_row(
                measured, Against.REFERENCE, name=name, unit="s",
                size=f"a lake of {_TIMES * size:,} beside one of {size}, before the new",
                goal=Goal(direction=Direction.AT_MOST, value=1.2),
                how="score_lake (import_into) in a warm session, in a lake of digits of 32 x 32, all scored and a"
                " tenth or more labelled by people, beside the same run in one of a hundredth of the images, also"
                " ours",
                beside={
                    "bytes read": f"{large.kilobytes_read:,.0f} kB beside {small[-1].kilobytes_read:,.0f} kB",
                    "files in the tables": f"{large.files()} beside {small[-1].files()}",
                },
            )  # fmt: skip


def _in_next(run: Callable[["_GrowingLake"], float], lakes: Iterator["_GrowingLake"]) -> float:
    return run(next(lakes))


class _GrowingLake:
    """A lake whose images were all scored.

    Attributes:
        kilobytes_read: By Spark's tasks in the last run.

    Args:
        bench: The run.
        registry: Has the champion.
    """

    def __init__(self, bench: Bench, registry: ModelRegistry) -> None:
        name = f"growing-{next(_LAKES)}"
        self.kilobytes_read = 0.0
        self._bench = bench
        self._lake = bench.lake(name)
        self._registry = registry
        self._folder = bench.place(name)
        self._images = self._labelled = 0

    def copy(self) -> "_GrowingLake":
        """Return another lake that has come as far, and that the session knows as well."""
        other = _GrowingLake(self._bench, self._registry)
        shutil.copytree(self._folder / "lake", other._folder / "lake", dirs_exist_ok=True)
        # It knows its table by an id, which is copied with it, and is named by the table's URI.
        (other._folder / "lake" / self._checkpoint()).rename(other._folder / "lake" / other._checkpoint())
        other._images, other._labelled = self._images, self._labelled
        other.files()
        return other

    def _checkpoint(self) -> str:
        return self._lake.checkpoint("score", self._lake.path(IMAGES)).removeprefix(f"{self._lake.root}/")

    def grow(self, images: int) -> None:
        """Let images come in until there are so many, be scored, and a part of them have labels."""
        first = self._images
        insert_classes(self._lake)
        self._insert(images - first)
        score_lake(self._lake, self._registry, require_champion(self._registry))
        insert_labels(self._lake, range(first, images, _ONE_IN))
        self._labelled = images

    def score(self) -> float:
        """Let images come in, and return the seconds that scoring them takes."""
        self._insert(_NEW)
        return self._counted(lambda: score_lake(self._lake, self._registry, require_champion(self._registry)).scored)

    def label(self) -> float:
        """Let people label images that came in later, and return the seconds that importing their answers takes."""
        numbers = range(self._labelled, self._labelled + _NEW)
        self._labelled += _NEW
        lines = [json.dumps({"path": image_path(each), "label": 1, "annotation_id": f"{each}"}) for each in numbers]
        answers = self._folder / "answers.jsonl"
        answers.write_text("\n".join(lines))
        source = open_source(str(answers), Settings.load())
        return self._counted(lambda: import_into(self._lake, self._registry, source).imported)

    def files(self) -> int:
        """Return how many data files the tables have."""
        return sum(self._lake.delta(table).detail().select("numFiles").first()[0] for table in TABLES)

    def _insert(self, images: int) -> None:
        insert_images(self._lake, digits(images, self._images), self._images)
        self._images += images

    def _counted(self, run: Callable[[], int]) -> float:
        found = []
        before = self._read()
        taken = seconds(lambda: found.append(run()))
        self.kilobytes_read = (self._read() - before) / 1000
        if found != [_NEW]:
            raise RuntimeError(f"{found} of {_NEW} images were found")
        return taken

    def _read(self) -> int:
        """Return the bytes that Spark's tasks have read so far."""
        executors = self._lake.spark.sparkContext._jsc.sc().statusStore().executorList(True)
        return sum(executors.apply(number).totalInputBytes() for number in range(executors.size()))
