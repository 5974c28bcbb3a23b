"""Parameters of the pipeline labeling."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from components.parameters.options import CHOICE, Integer, Options


class LabelRule(StrEnum):
    """Rule for images that people label differently. If there is a tie, the image stays unlabeled.

    Attributes:
        LATEST: The class of the latest annotation.
        MAJORITY: The class that more people chose than any other.
        UNANIMOUS: The class that all people chose.
    """

    LATEST = "latest"
    MAJORITY = "majority"
    UNANIMOUS = "unanimous"


class LabelingFields(Options):
    """Parameters of the pipeline labeling that no other pipeline has."""

    minimum_new_labels: Integer = Field(
        1,
        ge=1,
        description="Number of new labels that starts a training. A label is new if the champion's training set lacks"
        " it. No training starts if the newest model has learned all labels. Raise it to train less often.",
    )
    label_rule: Annotated[LabelRule, CHOICE] = Field(
        LabelRule.UNANIMOUS,
        description="Rule for images that people label differently. `latest`: the latest annotation counts."
        " `majority`: the class that most people chose counts. `unanimous`: the image stays unlabeled. If there is a"
        " tie, the image also stays unlabeled.",
    )
