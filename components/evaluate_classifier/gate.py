"""The gate: whether a new model becomes the champion. Thresholds are data, the rule is one function."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from components.errors import InputError


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
        mode: Who promotes.
        minimum_accuracy: Accuracy that a champion has at least, 0..1.
    """

    mode: Mode = Mode.AUTO
    minimum_accuracy: float = 0.0

    @classmethod
    def make(cls, promote: str, minimum_accuracy: float) -> Self:
        """Return a gate whose values have been checked.

        Raises:
            InputError: One of them makes no sense.
        """
        if promote not in tuple(Mode):
            raise InputError(f"promote: '{promote}' is none of {', '.join(Mode)}. Give one of them.")
        if not 0 <= minimum_accuracy <= 1:
            raise InputError(f"minimum_accuracy: {minimum_accuracy:g} is not within 0..1. Give 0.9 for 90 %.")
        return cls(Mode(promote), minimum_accuracy)


@dataclass(frozen=True)
class Champion:
    """The champion, on the same images.

    Attributes:
        version: Its version.
        accuracy: 0..1.
        is_challenger: Whether the challenger is this very model.
    """

    version: str
    accuracy: float
    is_challenger: bool = False


@dataclass(frozen=True)
class Decision:
    """What the gate says.

    Attributes:
        promote: Whether the challenger shall become the champion.
        reason: Why, or why not.
    """

    promote: bool
    reason: str


def decide(gate: Gate, accuracy: float, champion: Champion | None) -> Decision:
    """Decide whether a challenger becomes the champion.

    Args:
        gate: The thresholds.
        accuracy: The challenger's, 0..1.
        champion: The champion on the same images; None if there is none.
    """
    if champion is not None and champion.is_challenger:
        return Decision(False, f"it is the champion already, as version {champion.version}")
    if accuracy < gate.minimum_accuracy:
        return Decision(False, f"its accuracy of {accuracy:.2%} is under the minimum of {gate.minimum_accuracy:.2%}")
    if champion is not None and accuracy <= champion.accuracy:
        return Decision(
            False,
            f"its accuracy of {accuracy:.2%} is not above the {champion.accuracy:.2%} of version {champion.version},"
            " the champion",
        )
    merit = (
        f"its accuracy of {accuracy:.2%} is above the {champion.accuracy:.2%} of version {champion.version},"
        " the champion"
        if champion is not None
        else f"there is no champion yet, and its accuracy of {accuracy:.2%} is not under the minimum of"
        f" {gate.minimum_accuracy:.2%}"
    )
    if gate.mode is Mode.MANUAL:
        return Decision(False, f"promotion is manual; {merit}")
    return Decision(True, merit)
