"""Test images by group, and what both models predict for each group."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from components.evaluate_classifier.tally import Paired, Tally


class ImageGroup(StrEnum):
    """A group of test images. Neither model was trained on any of them.

    Attributes:
        MEASURED: Images that a folder or an audit labeled. Only these decide, because no model selected them.
        REQUESTED: Images that people labeled because the champion was uncertain. They favor any challenger, because
            the champion is often wrong on them.
        FRESH: The measured images that arrived after the champion's promotion. The champion was not selected on them,
            so its accuracy on them has no upward bias.
    """

    MEASURED = "measured"
    REQUESTED = "requested"
    FRESH = "fresh"


@dataclass(frozen=True)
class GroupOutcome:
    """Predictions of both models for one group of images.

    Attributes:
        challenger: The challenger's predictions.
        champion: The champion's predictions for the same images; None without a champion.
        paired: Images that only one of the models predicts correctly; None without a champion.
    """

    challenger: Tally
    champion: Tally | None
    paired: Paired | None


@dataclass(frozen=True)
class Comparison:
    """Predictions of challenger and champion for the test images.

    Attributes:
        groups: Predictions by group. `MEASURED` has at least one image. The other groups may have no images.
        champion_version: Number of the champion's version; empty without a champion.
        is_challenger: Whether challenger and champion are the same model.
        weeks_since_promotion: Age of the champion's promotion in weeks; None if it is not known.
    """

    groups: Mapping[ImageGroup, GroupOutcome]
    champion_version: str
    is_challenger: bool
    weeks_since_promotion: float | None = None

    @property
    def measured(self) -> GroupOutcome:
        """The group that decides."""
        return self.groups[ImageGroup.MEASURED]


def summary_metrics(outcome: GroupOutcome) -> dict[str, float]:
    """Return the challenger's metrics for its MLflow run, by name.

    Args:
        outcome: Predictions for at least one image.

    Returns:
        `test_accuracy`, `test_balanced_accuracy` and `test_macro_f1`, 0..1, and `test_images`, a count.
    """
    tally = outcome.challenger
    return {
        "test_accuracy": tally.accuracy,
        "test_balanced_accuracy": tally.balanced_accuracy,
        "test_macro_f1": tally.macro_f1,
        "test_images": tally.total,
    }
