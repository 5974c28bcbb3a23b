"""Parameters of training a network."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, model_validator

from components.parameters.options import CHOICE, Flag, Integer, Number, Options, Text

DEFAULT_EPOCHS = 12

IMAGENET = "imagenet"
RANDOM = "none"


class BackboneName(StrEnum):
    """Names of the networks."""

    XCEPTION = "xception"
    SMALL = "small"


DEFAULT_IMAGE_SIZE: Mapping[BackboneName, int] = MappingProxyType({BackboneName.XCEPTION: 299, BackboneName.SMALL: 32})
# For Xception, this is the limit of Keras.
SMALLEST_IMAGE_SIZE: Mapping[BackboneName, int] = MappingProxyType({BackboneName.XCEPTION: 71, BackboneName.SMALL: 16})


class TrainingFields(Options):
    """Parameters of a training that are fields of their own in a form."""

    backbone: Annotated[BackboneName, CHOICE] = Field(
        BackboneName.XCEPTION,
        description="Network. `xception` is pretrained on ImageNet, and only a new last layer is trained. `small` is a"
        " small network that is trained from scratch. Use `small` for tiny images and for quick trials.",
    )
    epochs: Integer = Field(
        DEFAULT_EPOCHS,
        ge=0,
        description="Maximum number of passes over the training images, for any number of ranks. 0 means the default."
        " Raise it if the validation accuracy still grows at the end of a training.",
    )
    ranks: Integer = Field(
        2,
        ge=1,
        description="Number of Horovod ranks that train together. Raise it to train faster on more GPUs. More ranks"
        " mean fewer optimizer steps: a training needs at least 50 of them.",
    )


class TrainingOptions(Options):
    """How the network is trained."""

    weights: Text = Field(
        IMAGENET,
        description="Initial weights of the backbone. `imagenet` comes from the lake's folder `weights`, or else from"
        " the internet. `none` means random weights. An absolute path or URI (file, s3a, abfss, gs) names a file that"
        " Keras saved. The backbone `small` always starts from random weights. Change it if you have weights that suit"
        " your images better.",
    )
    image_size: Integer = Field(
        0,
        ge=0,
        le=4096,
        description="Width and height that images are fitted into, in pixels. 0 means the backbone's own size: 299 for"
        " `xception`, which needs at least 71, and 32 for `small`, which needs at least 16. Raise it if small details"
        " matter. Time and memory grow with its square.",
    )
    batch_size: Integer = Field(
        32,
        ge=1,
        description="Number of images that each rank takes in one step. Lower it if a rank runs out of memory.",
    )
    learning_rate: Number = Field(
        0.016,
        gt=0,
        description="Learning rate of the Nadam optimizer for one rank. It is multiplied by the square root of the"
        " number of ranks. The default suits `xception`; about 0.002 suits `small`. Lower it if the loss diverges.",
    )
    dropout: Number = Field(
        0.5,
        ge=0,
        lt=1,
        description="Fraction of the features that is dropped before the last layer in each training step. Raise it if"
        " the training accuracy is far above the validation accuracy.",
    )
    patience: Integer = Field(
        3,
        ge=0,
        description="Number of epochs without a better validation accuracy after which training stops. Epochs in which"
        " the learning rate warms up do not count. 0 always trains for all epochs.",
    )
    seed: Integer = Field(
        0,
        ge=0,
        description="Seed of the initial weights, of the order of the images and of dropout. Change it to see how much"
        " results vary by chance.",
    )
    timeline: Flag = Field(
        False,
        description="Whether Horovod's timeline is logged to MLflow. Turn it on to see where a training spends its"
        " time.",
    )


class Training(TrainingFields, TrainingOptions):
    """All parameters of a training."""

    @model_validator(mode="after")
    def _network_takes_its_options(self) -> Self:
        check_network(self.backbone, self)
        return self


def check_network(backbone: BackboneName, options: TrainingOptions, prefix: str = "") -> None:
    """Check options that depend on the network.

    Args:
        backbone: The network.
        options: The options.
        prefix: Prefix of the options' names in the error.

    Raises:
        ValueError: The image size or the weights do not suit the network.
    """
    smallest = SMALLEST_IMAGE_SIZE[backbone]
    if 0 < options.image_size < smallest:
        raise ValueError(
            f"{prefix}image_size: {options.image_size} is too small for {backbone.value}. Give at least"
            f" {smallest}, or 0 for {DEFAULT_IMAGE_SIZE[backbone]}."
        )
    if options.weights in ("", IMAGENET, RANDOM):
        return
    if backbone is BackboneName.SMALL:
        raise ValueError(
            f"{prefix}weights: the backbone small is trained from scratch. Leave weights out, or use xception."
        )
    if "/" not in options.weights:
        raise ValueError(
            f"{prefix}weights: '{options.weights}' is unknown. Give '{IMAGENET}', '{RANDOM}', or the absolute path or"
            " URI of a file of weights."
        )
