"""The forms of the pipelines, with all fields of each pipeline."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Self

from pydantic import Field, field_validator, model_validator

from components.parameters.addresses import parse_addresses
from components.parameters.gate import GateFields, GateOptions
from components.parameters.ingest import IngestOptions
from components.parameters.labeling import LabelingFields
from components.parameters.maintenance import MaintenanceFields
from components.parameters.options import Options, Text
from components.parameters.placement import Placement, check_slots
from components.parameters.pool import NodeSelector, Tolerations
from components.parameters.scoring import ExportFields, ExportOptions, ScoringFields
from components.parameters.training import TrainingFields, TrainingOptions, check_network

# Model of the keys of each field that is a JSON object.
OPTIONS: Mapping[str, type[Options]] = MappingProxyType(
    {
        "ingest_options": IngestOptions,
        "training_options": TrainingOptions,
        "gate_options": GateOptions,
        "export_options": ExportOptions,
        "placement": Placement,
    }
)


class Form(Options):
    """Fields of all forms."""

    lake: Text = Field(
        "", description="Root URI of the lake, e.g. `s3a://bucket/lake`. If empty, the setting `lake` applies."
    )
    notify_to: Text = Field(
        "",
        description="E-mail addresses that receive the outcome of the run, separated by commas. If empty, the outcome"
        " is only logged.",
    )
    cpu_node_selector: NodeSelector = Field(
        {"pool": "cpu"},
        description="Labels of the nodes that the tasks run on. `{}` allows any node. Change it if your nodes have"
        " other labels.",
    )
    cpu_tolerations: Tolerations = Field(
        [],
        description="Tolerations of the taints of the nodes that the tasks run on. `[]` is for nodes without taints."
        " Change it if your nodes have taints.",
    )

    @field_validator("notify_to")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        if value:
            parse_addresses(value)
        return value


class ImageForm(Form):
    """Fields of the forms of pipelines that read a source and use a registered model."""

    source: Text = ""
    model_name: Text = Field(
        "", description="Name of the registered model. If empty, the setting `model_name` applies."
    )


class _ModelForm(TrainingFields, GateFields, ImageForm):
    """Fields of the pipelines training and labeling, which train models."""

    training_options: TrainingOptions = TrainingOptions()
    gate_options: GateOptions = GateOptions()
    placement: Placement = Placement()

    @model_validator(mode="after")
    def _fields_suit_each_other(self) -> Self:
        check_network(self.backbone, self.training_options, "training_options.")
        check_slots(self.ranks, self.placement)
        return self


class TrainingForm(_ModelForm):
    """The form of the pipeline training."""

    source: Text = Field(
        "",
        description="Folder with labeled images, one folder per class, e.g. `s3a://bucket/labeled`. If empty, the"
        " setting `labeled_source` applies.",
    )
    ingest_options: IngestOptions = IngestOptions()


class LabelingForm(LabelingFields, _ModelForm):
    """The form of the pipeline labeling."""

    source: Text = Field(
        "",
        description="File, folder or Azure Blob container with the annotations that the labeling service exported,"
        " e.g. `s3a://bucket/annotations`. If empty, the setting `annotations_source` applies.",
    )


class ScoringForm(ScoringFields, ExportFields, ImageForm):
    """The form of the pipeline scoring."""

    source: Text = Field(
        "",
        description="Folder with images without labels, e.g. `s3a://bucket/incoming`. If empty, the setting"
        " `unlabeled_source` applies.",
    )
    destination: Text = Field(
        "",
        description="Folder or Azure Blob container that the images to label are copied to, e.g."
        " `s3a://bucket/to-label` or `https://account.blob.core.windows.net/container/folder`. If empty, the setting"
        " `labeling_destination` applies.",
    )
    ingest_options: IngestOptions = IngestOptions()
    export_options: ExportOptions = ExportOptions()


class MaintenanceForm(MaintenanceFields, Form):
    """The form of the pipeline maintenance."""


FORMS: Mapping[str, type[Form]] = MappingProxyType(
    {"training": TrainingForm, "labeling": LabelingForm, "scoring": ScoringForm, "maintenance": MaintenanceForm}
)


def places(form: type[Form]) -> Iterator[tuple[str, str]]:
    """Yield the names of a form's parameters, and where they belong.

    Yields:
        Name of a field and an empty string, or name of a key and of the field that it belongs to.
    """
    for name in form.model_fields:
        yield name, ""
        if name in OPTIONS:
            yield from ((key, name) for key in OPTIONS[name].model_fields)
