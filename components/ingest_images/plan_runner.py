"""Run the plans of a source: at most one is open at any time."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pyarrow as pa

from components.ingest_images.batch import BatchOutcome, execute
from components.ingest_images.labels.reader import Labels
from components.ingest_images.limits import Limits
from components.ingest_images.plans import Plan, PlanFolder, transaction_id
from components.lake import Lake
from components.lake.tables import IMAGES


def source_lock(lake: Lake, source: str) -> AbstractContextManager[None]:
    """Return the lock of a source: one driver at a time plans and executes its batches."""
    return lake.writer(f"ingest-{transaction_id(source)}")


class PlanRunner:
    """Writes and executes the plans of a source, one by one. Hold the source's lock.

    Args:
        lake: The lake.
        source: Normalized URI of the landing folder.
        sample_size: Returns the maximum number of sample images of the next plan.
        on_outcome: Receives the outcome of each executed plan.
    """

    def __init__(
        self,
        lake: Lake,
        source: str,
        sample_size: Callable[[], int] = lambda: 0,
        on_outcome: Callable[[BatchOutcome], None] = lambda outcome: None,
    ) -> None:
        self._lake = lake
        self._source = source
        self._sample_size = sample_size
        self._on_outcome = on_outcome
        self._folder = PlanFolder(lake.root, source, lake.files)

    def finish_open_plan(self) -> None:
        """Execute the plan that an earlier run left.

        Do this before listing: a new plan would get the number of the open one, and Delta skips a second commit of the
        same number without an error.
        """
        plan = self._folder.open_plan()
        if plan is not None:
            self._execute(plan)
            self._folder.remove(plan)

    def run(
        self,
        found: pa.Table,
        labels: Labels | None,
        limits: Limits,
        acknowledge: Callable[[], None] = lambda: None,
        requeued: bool = False,
        absent_in: int | None = None,
    ) -> None:
        """Write a plan and execute it.

        Args:
            found: Path, length, modification time and ETag of files.
            labels: Reads the class from the path; None leaves the images without labels.
            limits: Upper limits of a valid image.
            acknowledge: Records that the lake has the files.
            requeued: Whether files that have not changed are validated again.
            absent_in: A version of `files` that has none of the paths; None if that is not known.
        """
        last = self._lake.last_transaction(IMAGES, transaction_id(self._source))
        plan = Plan.make(0 if last is None else last + 1, self._source, labels, limits, found, requeued)
        self._folder.write(plan)
        self._execute(plan, absent_in)
        acknowledge()
        self._folder.remove(plan)

    def _execute(self, plan: Plan, absent_in: int | None = None) -> None:
        outcome = execute(self._lake, plan, self._lake.files.access, self._sample_size(), absent_in)
        self._on_outcome(outcome)
