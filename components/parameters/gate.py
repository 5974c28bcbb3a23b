"""Parameters of the gate, which decides whether a challenger replaces the champion."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from components.parameters.options import CHOICE, Integer, Number, Options


class Promotion(StrEnum):
    """Who promotes a challenger that passes the gate.

    Attributes:
        AUTO: The pipeline, at once.
        MANUAL: A person, later.
    """

    AUTO = "auto"
    MANUAL = "manual"


class GateFields(Options):
    """Parameter of the gate that is a field of its own in a form."""

    promote: Annotated[Promotion, CHOICE] = Field(
        Promotion.AUTO,
        description="Who promotes a challenger that passes the gate. `auto`: the pipeline, at once. `manual`: a"
        " person, with `image-pipelines promote`. Use `manual` if somebody must see a model before it scores.",
    )


class GateOptions(Options):
    """What a challenger must achieve on the test images to pass the gate."""

    minimum_accuracy: Number = Field(
        0.0,
        ge=0,
        le=1,
        description="Lowest accuracy that passes, as a fraction. The default accepts any accuracy. Raise it to the"
        " accuracy below which a model is useless to you.",
    )
    minimum_gain: Number = Field(
        0.0,
        ge=-1,
        le=1,
        description="Gain in accuracy over the champion that a challenger must exceed, as a fraction: 0.01 is one"
        " percentage point. A negative value lets a slightly worse challenger pass. Raise it if each promotion has a"
        " cost.",
    )
    gain_confidence: Number = Field(
        0.95,
        ge=0.5,
        lt=1,
        description="Required confidence that the challenger's gain exceeds `minimum_gain`: 0.95 is 95 %, a one-sided"
        " exact test at a level of 5 %. A higher value makes promotions by chance rarer, but needs a larger gain or"
        " more test images. A lower value promotes equal models more often, and their luck on the test images then"
        " blocks better ones. 0.5 compares the accuracies as measured. A first model has no champion to beat. Instead,"
        " it must be more accurate than always predicting the most frequent class, with the same confidence.",
    )
    minimum_class_recall: Number = Field(
        0.0,
        ge=0,
        le=1,
        description="Lowest recall that each class must reach, as a fraction. A class below it still passes if its"
        " recall is at least the champion's. The default accepts any recall. Raise it if the model must recognize"
        " every class.",
    )
    minimum_class_images: Integer = Field(
        20,
        ge=1,
        description="Number of test images that a class needs to be checked. A checked class must reach"
        " `minimum_class_recall`, and must not be significantly worse than under the champion. Lower it to check rare"
        " classes too.",
    )


class Gate(GateFields, GateOptions):
    """All parameters of the gate."""
