"""Decide whether a challenger becomes the champion.

Thresholds are data, and each rule is one function.

Each retraining is one more chance for an equal challenger to look better on nearly the same images. Its luck then
belongs to the champion, and later challengers have to beat this luck. Therefore a gain must be significant at 5 % by
default. `benchmarks/gate_simulation.py` measures this rule over a year of retrainings. A high accuracy can hide a class
that gets worse. Therefore the gate tests each class by default. If both models are equally good, this test rejects the
challenger with a probability of at most 5 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from components.evaluate_classifier.comparison import Comparison
from components.evaluate_classifier.significance import ROUNDING, compare_gain, holm, paired_p_values
from components.evaluate_classifier.tally import Paired, Tally
from components.parameters import Gate
from components.parameters.gate import Promotion

CLASS_SIGNIFICANCE = 0.05
# Maximum number of classes that a reason names.
_MAXIMUM_NAMED_CLASSES = 3


@dataclass(frozen=True)
class _Champion:
    """The champion's predictions for the measured images, and its version."""

    version: str
    tally: Tally
    paired: Paired


@dataclass(frozen=True)
class Check:
    """One rule of the gate, and whether a challenger passes it.

    Attributes:
        rule: The rule in words.
        required: The value that the rule requires.
        measured: The measured value.
        passed: Whether the challenger passes.
        clause: The result, to follow "it is promoted because" or "it is not promoted because".
    """

    rule: str
    required: str
    measured: str
    passed: bool
    clause: str


@dataclass(frozen=True)
class Decision:
    """The gate's decision.

    Attributes:
        promote: Whether the gate promotes the challenger.
        reason: Reason for the decision, as a clause.
        checks: The rules that were checked.
        gain_level: Significance level of the test of the gain over the champion; None without such a test.
    """

    promote: bool
    reason: str
    checks: tuple[Check, ...] = ()
    gain_level: float | None = None


def decide(gate: Gate, comparison: Comparison, class_names: Mapping[int, str] | None = None) -> Decision:
    """Decide by the measured images whether a challenger becomes the champion.

    Args:
        gate: Thresholds of the decision.
        comparison: Predictions of both models.
        class_names: Class names for the reason, by class id. A class without a name appears with its id.
    """
    if comparison.is_challenger:
        return Decision(False, f"it is the champion already, as version {comparison.champion_version}")
    measured = comparison.measured
    challenger = measured.challenger
    names = {**{label: str(label) for label in challenger.labels}, **(class_names or {})}
    champion = None
    if measured.champion is not None and measured.paired is not None:
        champion = _Champion(comparison.champion_version, measured.champion, measured.paired)
    gain = _check_majority(gate, challenger, names) if champion is None else _check_gain(gate, challenger, champion)
    checks = (
        _check_accuracy(gate, challenger),
        gain,
        *((_check_worse_classes(gate, champion, names),) if champion is not None else ()),
        _check_recall(gate, challenger, champion, names),
    )
    gain_level = None if champion is None else 1 - gate.gain_confidence
    failed = [check.clause for check in checks if not check.passed]
    if failed:
        return Decision(False, "; ".join(failed), checks, gain_level)
    if gate.promote == Promotion.MANUAL:
        return Decision(False, f"promotion is manual; {gain.clause}", checks, gain_level)
    return Decision(True, gain.clause, checks, gain_level)


def _check_accuracy(gate: Gate, challenger: Tally) -> Check:
    accuracy = challenger.accuracy
    passed = accuracy >= gate.minimum_accuracy
    return Check(
        "Accuracy",
        f"{gate.minimum_accuracy:.2%}",
        f"{accuracy:.2%}",
        passed,
        f"its accuracy of {accuracy:.2%} {'reaches' if passed else 'is below'} the minimum of"
        f" {gate.minimum_accuracy:.2%}",
    )


def _check_majority(gate: Gate, challenger: Tally, names: Mapping[int, str]) -> Check:
    """Compare a first model with always predicting the most frequent class.

    Two cases need no significance test. A model without mistakes passes for any number of images. If all images are of
    one class, no model can beat always predicting that class. Then a single correct prediction suffices.
    """
    total, correct = challenger.total, challenger.correct
    images = {label: scores.images for label, scores in challenger.scores.items()}
    majority = max(images, key=lambda label: images[label])
    fraction = images[majority] / total
    majority_correct = challenger.pairs[majority, majority]
    p_value = float(paired_p_values(correct - majority_correct, images[majority] - majority_correct))
    rule = "Accuracy of a first champion, compared with always predicting the most frequent class"
    if correct == total or images[majority] == total:
        one_class = images[majority] == total
        right = f"all {total:,}" if correct == total else f"{correct:,} of the {total:,}"
        return Check(
            rule,
            "more than 0 images, because all are of one class"
            if one_class
            else f"more than {fraction:.2%}, or no mistake",
            f"{correct:,} of {total:,} images",
            correct > 0,
            f"there is no champion yet, and it classifies {right} test images correctly"
            f"{' (all are of one class)' if one_class else ''}",
        )
    passed = p_value <= 1 - gate.gain_confidence + ROUNDING
    accuracy = f"{challenger.accuracy:.2%}"
    return Check(
        rule,
        f"more than {fraction:.2%}, p at most {1 - gate.gain_confidence:.2g}",
        f"{accuracy}, p {p_value:.2g}",
        passed,
        f"there is no champion yet, and its accuracy of {accuracy} on {total:,} images is"
        f" {'' if passed else 'not '}above the {fraction:.2%} of always predicting class {names[majority]}, the most"
        f" frequent one ({gate.gain_confidence:.0%} confidence)",
    )


def _check_gain(gate: Gate, challenger: Tally, champion: _Champion) -> Check:
    paired = champion.paired
    gain = compare_gain(paired.won, paired.lost, paired.total, gate.minimum_gain, gate.gain_confidence)
    level, confidence = 1 - gate.gain_confidence, f"{100 * gate.gain_confidence:.4g}% confidence"
    negation = "" if gain.passed else "not "
    accuracies = (
        f"its accuracy is {challenger.accuracy:.2%} on {paired.total:,} images, and version {champion.version}, the"
        f" champion, has {champion.tally.accuracy:.2%}: a gain of {_points(paired.gain)}"
    )
    if gate.minimum_gain == 0:
        return Check(
            "Significant gain over the champion (exact one-sided paired test)",
            f"p at most {level:.2g}",
            f"{_points(paired.gain)}, p {gain.p_value:.2g}",
            gain.passed,
            f"{accuracies}, which is {negation}significant (p {gain.p_value:.2g}, level {level:.2g})",
        )
    return Check(
        f"Gain over the champion, {confidence}",
        f"more than {_points(gate.minimum_gain)}",
        f"{_points(paired.gain)}, at least {_points(gain.low)}",
        gain.passed,
        f"{accuracies}, at least {_points(gain.low)} ({confidence}), which is {negation}above the"
        f" minimum of {_points(gate.minimum_gain)}",
    )


@dataclass(frozen=True)
class _ComparedClass:
    name: str
    images: int
    recall: float
    champion_recall: float
    p_value: float

    def __str__(self) -> str:
        return f"{self.name} (recall {self.recall:.2%} instead of {self.champion_recall:.2%} on {self.images:,} images)"


def _check_worse_classes(gate: Gate, champion: _Champion, names: Mapping[int, str]) -> Check:
    """Test for each class whether its recall is lower than the champion's.

    A class that the champion does not have can't get worse. If the challenger never predicts a class, each image of
    the class that the champion predicts correctly counts against the challenger.
    """
    compared = _compare_classes(gate, champion, names)
    worse = [compared_class for compared_class in compared if compared_class.p_value <= CLASS_SIGNIFICANCE]
    named = ", ".join(map(str, worse[:_MAXIMUM_NAMED_CLASSES]))
    more = f" and {len(worse) - _MAXIMUM_NAMED_CLASSES:,} more" if len(worse) > _MAXIMUM_NAMED_CLASSES else ""
    classes = "class" if len(worse) == 1 else "classes"
    verb = "is" if len(worse) == 1 else "are"
    return Check(
        f"No class of {gate.minimum_class_images:,} test images or more significantly worse than under the champion",
        f"p above {CLASS_SIGNIFICANCE:.2g}, corrected for {len(compared):,} classes (Holm)",
        f"lowest p {compared[0].p_value:.2g}: class {compared[0]}" if compared else "no class has that many images",
        not worse,
        f"{classes} {named}{more} {verb} significantly worse than under version {champion.version}, the champion"
        if worse
        else f"no class is significantly worse than under version {champion.version}, the champion",
    )


def _compare_classes(gate: Gate, champion: _Champion, names: Mapping[int, str]) -> list[_ComparedClass]:
    """Compare the classes with enough images, lowest p-value first."""
    counts = {
        label: paired for label, paired in champion.paired.classes.items() if paired.total >= gate.minimum_class_images
    }
    p_values = paired_p_values([paired.lost for paired in counts.values()], [paired.won for paired in counts.values()])
    compared = []
    for (label, paired), p_value, corrected in zip(counts.items(), p_values, holm(p_values), strict=True):
        champion_correct = champion.tally.pairs[label, label]
        compared.append(
            (
                p_value,
                _ComparedClass(
                    names[label],
                    paired.total,
                    (champion_correct + paired.won - paired.lost) / paired.total,
                    champion_correct / paired.total,
                    float(corrected),
                ),
            )
        )
    return [compared_class for _, compared_class in sorted(compared, key=lambda pair: pair[0])]


def _check_recall(gate: Gate, challenger: Tally, champion: _Champion | None, names: Mapping[int, str]) -> Check:
    champion_scores = champion.tally.scores if champion is not None else {}
    under = []
    lowest: tuple[float, int] | None = None
    for label, scores in challenger.scores.items():
        if scores.recall is None or scores.images < gate.minimum_class_images:
            continue
        lowest = min(lowest or (scores.recall, label), (scores.recall, label))
        champion_recall = champion_scores[label].recall if champion is not None else None
        if scores.recall < gate.minimum_class_recall and (champion_recall is None or scores.recall < champion_recall):
            under.append((scores.recall, label))
    named = [f"{recall:.2%} for class {names[label]}" for recall, label in sorted(under)[:_MAXIMUM_NAMED_CLASSES]]
    more = f" and too low for {len(under) - len(named):,} more classes" if len(under) > len(named) else ""
    return Check(
        f"Recall of each class of {gate.minimum_class_images:,} test images or more",
        f"{gate.minimum_class_recall:.2%}",
        f"{lowest[0]:.2%} for class {names[lowest[1]]}" if lowest else "no class has that many images",
        not under,
        f"its recall is {', '.join(named)}{more}, below the minimum of {gate.minimum_class_recall:.2%}"
        if under
        else f"the recall of each class reaches the minimum of {gate.minimum_class_recall:.2%}",
    )


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f} points"
