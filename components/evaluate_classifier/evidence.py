"""Describe the test images that a decision stands on, and how small a gain they can show."""

from components.evaluate_classifier.comparison import Comparison, GroupOutcome, ImageGroup
from components.evaluate_classifier.significance import detectable_gain
from components.report import Cell

# The simulation that proves the gate (`benchmarks/gate_simulation.py`) starts with this many measured images...
ENOUGH_IMAGES = 5_000
# ...and adds this many each week.
ENOUGH_IMAGES_PER_WEEK = 100
# Probability with which the test detects the smallest detectable gain.
POWER = 0.8

_DESCRIPTIONS = {
    ImageGroup.MEASURED: "measured: labeled by a folder or an audit",
    ImageGroup.FRESH: "fresh: the measured images that arrived after the champion's promotion",
    ImageGroup.REQUESTED: "requested: labeled because the champion was uncertain",
}
GROUP_COLUMNS = (
    "Group",
    "Decides",
    "Images",
    "Challenger's accuracy, %",
    "Champion's accuracy, %",
    "Gain, points",
    "Only challenger right",
    "Only champion right",
)


def group_rows(comparison: Comparison) -> list[tuple[Cell, ...]]:
    """Return a row of `GROUP_COLUMNS` for each group of test images."""
    return [
        (description, group is ImageGroup.MEASURED, *_group_cells(comparison.groups[group]))
        for group, description in _DESCRIPTIONS.items()
    ]


def _group_cells(outcome: GroupOutcome) -> tuple[Cell, ...]:
    challenger, champion, paired = outcome.challenger, outcome.champion, outcome.paired
    if not challenger.total:
        return (0, *[None] * 5)
    return (
        challenger.total,
        100 * challenger.accuracy,
        None if champion is None else 100 * champion.accuracy,
        *((None, None, None) if paired is None else (100 * paired.gain, paired.won, paired.lost)),
    )


def describe_power(measured: GroupOutcome, level: float) -> str:
    """Return sentences about the differences of the models, and about the smallest gain that the test detects.

    Args:
        measured: Predictions of both models for the measured images.
        level: Significance level of the test of the gain.
    """
    paired = measured.paired
    if paired is None:
        raise ValueError("without a champion there is no test of a gain")
    discordance = paired.discordant / paired.total
    differences = (
        f"The test of the gain stands on {paired.total:,} measured images. The models differ on {paired.discordant:,}"
        f" of them ({discordance:.2%}): only the challenger is right on {paired.won:,}, only the champion on"
        f" {paired.lost:,}."
    )
    gain = detectable_gain(paired.total, discordance, level, POWER)
    if gain is None:
        return f"{differences} So few differences can't show any gain with a probability of {POWER:.0%}."
    return (
        f"{differences} With this many images and differences, a test at {level:.2g} detects a gain of"
        f" {100 * gain:.2f} points above the minimum with a probability of {POWER:.0%}, and a larger gain with a higher"
        " one. Formula: n = (a √d + b √(d - g²))² / g² for n images, the fraction d on which the models differ, the"
        f" gain g, and the normal quantiles a of 1 - {level:.2g} and b of {POWER:g} (R. J. Connor, Biometrics 43,"
        " 1987)."
    )


def describe_shortage(comparison: Comparison) -> str:
    """Return sentences about too few measured or fresh images; empty if there are enough.

    The number of fresh images a week is not known before the champion is a week old.
    """
    sentences = []
    measured = comparison.measured.challenger.total
    if measured < ENOUGH_IMAGES:
        sentences.append(
            f"{measured:,} measured test images are fewer than {ENOUGH_IMAGES:,}, so better models pass the gate"
            " less often."
        )
    weeks = comparison.weeks_since_promotion
    if weeks is not None and weeks >= 1:
        weekly = comparison.groups[ImageGroup.FRESH].challenger.total / weeks
        if weekly < ENOUGH_IMAGES_PER_WEEK:
            sentences.append(
                f"{weekly:,.1f} fresh test images a week are fewer than {ENOUGH_IMAGES_PER_WEEK}, so a champion that"
                " was lucky on the test images stays longer."
            )
    if sentences:
        sentences.append("More audits measure more images: raise `audit_fraction` of the export.")
    return " ".join(sentences)
