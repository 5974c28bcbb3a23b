"""The gate: whether a new model becomes the champion. Thresholds are data, the rule is one function.

A model that is no better than the champion does little harm in its place; a better one that is kept out costs every
day. So by default the gain has to be surer than not (80 %), rather than beyond doubt (95 %).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from components.errors import InputError, check_shares
from components.evaluate_classifier.tally import Paired, Tally
from components.intervals import gain_interval

# More of them make a sentence that nobody reads.
_CLASSES_NAMED = 3


class Mode(StrEnum):
    """Who promotes.

    Attributes:
        AUTO: The gate.
        MANUAL: A person.
    """

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True)
class Gate:
    """The thresholds.

    Attributes:
        promote: Who promotes: `auto` or `manual`.
        minimum_accuracy: Accuracy that a champion has at least, 0..1.
        minimum_gain: Accuracy that a champion has above the one before it, -1..1; a little below 0, it may be a little
            worse.
        gain_confidence: How sure it has to be that the gain is above the minimum, 0.5..1 without 1; at 0.5 the gain on
            the test images counts as it is.
        minimum_class_recall: Part of a class' images that a champion finds at least, 0..1. A class that the champion
            before it found no better does not count.
        minimum_class_images: Test images that a class has at least for its recall to count.

    Raises:
        InputError: A threshold makes no sense.
    """

    promote: str = Mode.AUTO
    minimum_accuracy: float = 0.0
    minimum_gain: float = 0.0
    gain_confidence: float = 0.8
    minimum_class_recall: float = 0.0
    minimum_class_images: int = 20

    def __post_init__(self) -> None:
        if self.promote not in tuple(Mode):
            raise InputError(f"promote: '{self.promote}' is none of {', '.join(Mode)}. Give one of them.")
        check_shares({name: getattr(self, name) for name in ("minimum_accuracy", "minimum_class_recall")})
        if not -1 <= self.minimum_gain <= 1:
            raise InputError(f"minimum_gain: {self.minimum_gain:g} is not within -1..1. Give 0.01 for one point more.")
        if not 0.5 <= self.gain_confidence < 1:
            raise InputError(
                f"gain_confidence: {self.gain_confidence:g} is not from 0.5 up to, but without 1. Give 0.8 for 80 %."
            )
        if self.minimum_class_images < 1:
            raise InputError(
                f"minimum_class_images: {self.minimum_class_images} is less than 1. Give a number of test images."
            )


@dataclass(frozen=True)
class Champion:
    """The champion, on the same images.

    Attributes:
        version: Its version.
        tally: What it said of them.
        paired: How the challenger did on them beside it.
        is_challenger: Whether the challenger is this very model.
    """

    version: str
    tally: Tally
    paired: Paired
    is_challenger: bool = False


@dataclass(frozen=True)
class Check:
    """A threshold, and whether a challenger passed it.

    Attributes:
        threshold: What is asked for.
        needed: How much of it.
        found: How much there is.
        passed: Whether that is enough.
        sentence: All of this in words that go on from "it is promoted, or not, because".
    """

    threshold: str
    needed: str
    found: str
    passed: bool
    sentence: str


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        promote: Whether the challenger shall become the champion.
        reason: Why, or why not.
        checks: The thresholds it was held against.
    """

    promote: bool
    reason: str
    checks: tuple[Check, ...] = ()


def decide(
    gate: Gate, challenger: Tally, champion: Champion | None, names: Mapping[int, str] | None = None
) -> Decision:
    """Decide whether a challenger becomes the champion.

    Args:
        gate: The thresholds.
        challenger: What the challenger said of the test images.
        champion: The champion on the same images; None if there is none.
        names: Names of classes for the reason, by class id.
    """
    if champion is not None and champion.is_challenger:
        return Decision(False, f"it is the champion already, as version {champion.version}")
    checks = (
        _check_accuracy(gate, challenger, champion is None),
        *((_check_gain(gate, challenger, champion),) if champion is not None else ()),
        _check_classes(gate, challenger, champion, names or {}),
    )
    failed = [check.sentence for check in checks if not check.passed]
    if failed:
        return Decision(False, "; ".join(failed), checks)
    merit = checks[1 if champion is not None else 0].sentence
    if gate.promote == Mode.MANUAL:
        return Decision(False, f"promotion is manual; {merit}", checks)
    return Decision(True, merit, checks)


def _check_accuracy(gate: Gate, challenger: Tally, is_first: bool) -> Check:
    accuracy = challenger.accuracy
    passed = accuracy >= gate.minimum_accuracy
    sentence = f"its accuracy of {accuracy:.2%} is {'not ' if passed else ''}under the minimum of"
    return Check(
        "Accuracy",
        f"{gate.minimum_accuracy:.2%}",
        f"{accuracy:.2%}",
        passed,
        f"{'there is no champion yet, and ' if is_first and passed else ''}{sentence} {gate.minimum_accuracy:.2%}",
    )


def _check_gain(gate: Gate, challenger: Tally, champion: Champion) -> Check:
    paired = champion.paired
    # One end of the interval counts: half of what is outside of it is on the other side.
    low = gain_interval(paired.won, paired.lost, paired.total, 2 * gate.gain_confidence - 1).low
    passed = low > gate.minimum_gain
    sure = f"{gate.gain_confidence:.0%} sure"
    return Check(
        f"Gain over the champion, {sure}",
        f"more than {_points(gate.minimum_gain)}",
        f"{_points(paired.gain)}, at least {_points(low)}",
        passed,
        f"its accuracy of {challenger.accuracy:.2%} on {paired.total:,} images, beside the"
        f" {champion.tally.accuracy:.2%} of version {champion.version}, the champion, is a gain of at least"
        f" {_points(low)} ({sure}), which is {'' if passed else 'not '}above the minimum of"
        f" {_points(gate.minimum_gain)}",
    )


def _check_classes(gate: Gate, challenger: Tally, champion: Champion | None, names: Mapping[int, str]) -> Check:
    under = []
    lowest: tuple[float, int] | None = None
    for label in challenger.labels():
        ours = challenger.class_scores(label)
        if ours.recall is None or ours.images < gate.minimum_class_images:
            continue
        lowest = min(lowest or (ours.recall, label), (ours.recall, label))
        theirs = champion.tally.class_scores(label).recall if champion is not None else None
        if ours.recall < gate.minimum_class_recall and (theirs is None or ours.recall < theirs):
            under.append((ours.recall, label))
    named = [f"{recall:.2%} of class {names.get(label, label)}" for recall, label in sorted(under)[:_CLASSES_NAMED]]
    more = f" and too little of {len(under) - len(named)} other classes" if len(under) > len(named) else ""
    return Check(
        f"Recall of each class of {gate.minimum_class_images:,} test images or more",
        f"{gate.minimum_class_recall:.2%}",
        f"{lowest[0]:.2%} of class {names.get(lowest[1], lowest[1])}" if lowest else "no class has so many",
        not under,
        f"it finds {', '.join(named)}{more}, under the minimum of {gate.minimum_class_recall:.2%}"
        if under
        else "no class is under the minimum",
    )


def _points(share: float) -> str:
    return f"{100 * share:+.2f} points"
