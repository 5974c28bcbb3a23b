"""Parameters of scoring images and of exporting some of them for labeling."""

from typing import Annotated

from pydantic import Field

from components.parameters.options import Flag, Integer, Number, Options

DEFAULT_THRESHOLD = 0.95

_Threshold = Annotated[
    Number,
    Field(
        ge=0,
        le=1,
        description="Score below which a prediction is uncertain. Raise it to have more images labeled.",
    ),
]


class ScoringFields(Options):
    """Parameters of scoring that are fields of their own in a form."""

    rescore: Flag = Field(
        False,
        description="Whether the champion also scores the unlabeled images that only earlier champions have scored."
        " All predictions are kept. Use it after a promotion if earlier images still matter.",
    )
    threshold: _Threshold = DEFAULT_THRESHOLD


class ExportFields(Options):
    """Parameters of the export that are fields of their own in a form."""

    threshold: _Threshold = DEFAULT_THRESHOLD
    budget: Integer = Field(
        0,
        ge=0,
        description="Maximum number of uncertain images that a run exports. Images with the lowest scores come first."
        " 0 exports the `fraction` of `export_options` instead. Set it to the number of images that people can label"
        " between two runs.",
    )


class ExportOptions(Options):
    """Which images are exported for labeling."""

    fraction: Number = Field(
        0.1,
        ge=0,
        le=1,
        description="Fraction of the uncertain images to export, while `budget` is 0. If a run leaves an image out,"
        " later runs leave it out too. Raise it if people can label more images.",
    )
    audit_fraction: Number = Field(
        0.01,
        ge=0,
        le=1,
        description="Fraction of all newly scored images to export as an audit, whatever their score. The labels of"
        " the audit estimate the accuracy in the field. Raise it for a more precise estimate.",
    )
    candidate_days: Integer = Field(
        30,
        ge=0,
        description="Number of days for which a prediction makes its image a candidate. 0 makes images with older"
        " predictions candidates too, and the run then reads the predictions of the whole lake. Change it to have"
        " earlier images labeled.",
    )
    seed: Integer = Field(
        0,
        description="Seed of the random choice of images. Change it only if two lakes must choose independently.",
    )


class Choice(ExportFields, ExportOptions):
    """All parameters that choose images for labeling.

    A hash of seed and content decides which images belong to a fraction. So each run decides the same about an image.
    """
