"""The gate over a year of retrainings, by simulation: promotions by chance, and promotions of better models.

A retraining of nearly the same images gives a model that is as good as the champion, but is right on other images. So
each image has a probability that a model is right, and models are independent given these probabilities. A fraction of
twice the discordance of the images is *contested*: a model is right on each of them with a probability of 0.5, and a
better model with a higher one. All models agree on the other images. Two equal models then differ on the stated
fraction of images. The champion's luck on the contested images stays until the next promotion, and a promotion prefers
lucky models. Therefore the weekly tests depend on each other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench
from benchmarks.results import Direction, Goal, Row
from benchmarks.timing import Spread
from components.evaluate_classifier.gate import CLASS_SIGNIFICANCE
from components.evaluate_classifier.significance import ROUNDING, holm, paired_p_values
from components.parameters import Gate

IMAGES = 5_000
IMAGES_PER_WEEK = 100
WEEKS = 52
CLASSES = 10
DISCORDANCE = 0.06
# Gain of the better model, as a fraction.
GAIN = 0.01

_SIMULATIONS = 5_000
_CLASS_SIMULATIONS = 2_000
_SEEDS = (1, 2, 3)
# Fraction of images on which two models differ that misclassify 10 % of the images independently.
_CLASS_DISCORDANCE = 0.18
# Fraction of contested images, and probability that a model is right on one of them. Two models differ on half of them.
_CONTESTED = 2 * DISCORDANCE
_EQUAL = 0.5
_HOW = (
    f"A simulation of {WEEKS} weekly retrainings with the gate's default rules, the class rule included, on"
    f" {IMAGES:,} test images of {CLASSES} classes and {IMAGES_PER_WEEK} more each week. Two equal models differ on"
    f" {DISCORDANCE:.0%} of the images. Values are those of {len(_SEEDS)} seeds with {_SIMULATIONS:,} simulations each."
    " The reference's column shows the gate's earlier rule: a confidence of 80 %, on a fixed set of test images. The"
    " column ratio repeats ours."
)
_CLASS_HOW = (
    "The fraction of equal models that the class rule blocks. Both models misclassify 10 % of each class independently."
    f" The reference's column shows tests at {CLASS_SIGNIFICANCE:.0%} without a correction for the number of classes."
)

_Counts = npt.NDArray[np.int64]
_Decisions = npt.NDArray[np.bool_]
# Decides about the gains of challengers: images won, images lost, each of shape (simulations,), and number of images.
GainRule = Callable[[_Counts, _Counts, int], _Decisions]


class Year(NamedTuple):
    """The result of a simulation of a year.

    Attributes:
        promotions: Number of promotions of models that only equal the champion, of shape (simulations,).
        passed_first: Fraction of simulations in which a better model passes the gate before the year.
        passed_last: Fraction of simulations in which a better model passes the gate after the year.
    """

    promotions: _Counts
    passed_first: float
    passed_last: float


def exact_rule(won: _Counts, lost: _Counts, images: int) -> _Decisions:
    """Decide as the gate does by default."""
    decisions: _Decisions = paired_p_values(won, lost) <= 1 - Gate().gain_confidence + ROUNDING
    return decisions


def earlier_rule(won: _Counts, lost: _Counts, images: int) -> _Decisions:
    """Decide as the gate did before: by the adjusted Wald interval with a one-sided confidence of 80 %."""
    first, second = (won + 1) / (images + 2), (lost + 1) / (images + 2)
    deviation = np.sqrt((first + second - (first - second) ** 2) / (images + 2))
    decisions: _Decisions = first - second > NormalDist().inv_cdf(0.8) * deviation
    return decisions


def simulate_year(rule: GainRule, simulations: int, seed: int, *, grows: bool = True) -> Year:
    """Simulate a year of retrainings whose models equal the champion.

    Args:
        rule: Rule for the gain. The class rule is always the gate's.
        simulations: Number of independent years.
        seed: Seed of the random numbers.
        grows: Whether new test images arrive each week.
    """
    champions = _Champions(simulations, np.random.default_rng(seed))
    better = _EQUAL + GAIN / _CONTESTED
    passed_first = champions.challenge(rule, better).passed.mean()
    promotions = np.zeros(simulations, np.int64)
    for _ in range(WEEKS):
        challenge = champions.challenge(rule, _EQUAL)
        champions.promote(challenge)
        promotions += challenge.passed
        if grows:
            champions.add_images(IMAGES_PER_WEEK)
    return Year(promotions, float(passed_first), float(champions.challenge(rule, better).passed.mean()))


def blocked_by_classes(won: _Counts, lost: _Counts) -> _Decisions:
    """Return whether the gate's class rule blocks.

    Args:
        won: Images that only the challenger predicts correctly, of shape (simulations, classes). Each class has enough
            images to be checked.
        lost: Images that only the champion predicts correctly, of the same shape.
    """
    return np.array([(holm(p_values) <= CLASS_SIGNIFICANCE).any() for p_values in paired_p_values(lost, won)], bool)


class _Challenge(NamedTuple):
    """Challengers' decisions, of shape (simulations,), and counts, of shape (simulations, classes)."""

    passed: _Decisions
    won: _Counts
    lost: _Counts


@dataclass
class _Champions:
    """The champions of many independent simulations.

    Attributes:
        simulations: Number of simulations.
        random: Source of random numbers.
        images: Number of test images.
    """

    simulations: int
    random: np.random.Generator
    images: int = field(default=0, init=False)
    # Contested images, and those of them on which the champion is right, both of shape (simulations, classes).
    _contested: _Counts = field(init=False)
    _right: _Counts = field(init=False)

    def __post_init__(self) -> None:
        self._contested = np.zeros((self.simulations, CLASSES), np.int64)
        self._right = self._contested.copy()
        self.add_images(IMAGES)

    def add_images(self, images: int) -> None:
        """Add new test images, equally many of each class."""
        new = self.random.binomial(images // CLASSES, _CONTESTED, self._contested.shape)
        self._contested += new
        self._right += self.random.binomial(new, _EQUAL)
        self.images += images

    def challenge(self, rule: GainRule, probability: float) -> _Challenge:
        """Compare the champions with new models that are right on a contested image with a probability."""
        won = self.random.binomial(self._contested - self._right, probability)
        lost = self.random.binomial(self._right, 1 - probability)
        passed = rule(won.sum(axis=1), lost.sum(axis=1), self.images)
        # Holm's correction takes most of the time, and only a challenger with a gain needs it.
        passed[passed] = ~blocked_by_classes(won[passed], lost[passed])
        return _Challenge(passed, won, lost)

    def promote(self, challenge: _Challenge) -> None:
        """Replace the champions whose challengers passed."""
        self._right += np.where(challenge.passed[:, np.newaxis], challenge.won - challenge.lost, 0)


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of a year of retrainings, and those of the class rule."""
    years = [simulate_year(exact_rule, _SIMULATIONS, seed) for seed in _SEEDS]
    earlier = [simulate_year(earlier_rule, _SIMULATIONS, seed, grows=False) for seed in _SEEDS]
    values: tuple[tuple[str, str, Callable[[Year], float], Direction, float], ...] = (
        (
            "promotions of equal models in a year",
            "promotions",
            lambda year: year.promotions.mean(),
            Direction.AT_MOST,
            0.7,
        ),
        (
            "2 or more promotions of equal models in a year",
            "of years",
            lambda year: (year.promotions >= 2).mean(),
            Direction.AT_MOST,
            0.05,
        ),
        (
            "promotion of a better model, at first",
            "of models",
            lambda year: year.passed_first,
            Direction.AT_LEAST,
            0.85,
        ),
        (
            "promotion of a better model, after a year",
            "of models",
            lambda year: year.passed_last,
            Direction.AT_LEAST,
            0.9,
        ),
    )
    for name, unit, value, direction, goal in values:
        ours = Spread.of([float(value(year)) for year in years])
        yield Row(
            name=f"gate, {name}",
            size=f"{IMAGES:,} + {IMAGES_PER_WEEK} test images a week, better by {100 * GAIN:g} point"
            if direction is Direction.AT_LEAST
            else f"{IMAGES:,} + {IMAGES_PER_WEEK} test images a week",
            unit=unit,
            ours=ours,
            reference=Spread.of([float(value(year)) for year in earlier]),
            ratio=ours,
            goal=Goal(direction=direction, value=goal),
            how=_HOW,
        )
    for classes, images in ((10, 200), (250, 100)):
        yield _class_row(classes, images)


def _class_row(classes: int, images: int) -> Row:
    corrected, uncorrected = [], []
    for seed in _SEEDS:
        random = np.random.default_rng(seed)
        one, both = _CLASS_DISCORDANCE / 2, 1 - _CLASS_DISCORDANCE
        counts = random.multinomial(images, [one, one, both], (_CLASS_SIMULATIONS, classes))
        won, lost = counts[..., 0], counts[..., 1]
        corrected.append(float(blocked_by_classes(won, lost).mean()))
        uncorrected.append(float((paired_p_values(lost, won) <= CLASS_SIGNIFICANCE).any(axis=1).mean()))
    return Row(
        name="gate, equal models blocked by the class rule",
        size=f"{classes} classes of {images} images",
        unit="of models",
        ours=Spread.of(corrected),
        reference=Spread.of(uncorrected),
        ratio=Spread.of(corrected),
        goal=Goal(direction=Direction.AT_MOST, value=CLASS_SIGNIFICANCE),
        how=_CLASS_HOW,
    )
