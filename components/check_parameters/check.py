"""Check the parameters of a run, without a store, a server or Spark."""

from collections.abc import Mapping
from types import MappingProxyType

from components.parameters import parse_form
from components.parameters.forms import FORMS, Form, ImageForm, ScoringForm, TrainingForm
from components.parameters.ingest import DELETE
from components.settings import Settings
from components.storage import uri
from components.storage.overlaps import ARCHIVE, check_overlaps_of, folders_of

# Setting that applies if the source is empty, by pipeline.
_SOURCE_SETTINGS: Mapping[str, str] = MappingProxyType(
    {"training": "labeled_source", "labeling": "annotations_source", "scoring": "unlabeled_source"}
)
# Parameter that replaces a setting. Errors are about the first one that overlaps another one.
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "labeling_destination": "destination",
        ARCHIVE: "archive",
        **dict.fromkeys(_SOURCE_SETTINGS.values(), "source"),
        "lake": "lake",
    }
)
_MAY_BE_URLS = ("annotations_source", "labeling_destination")


def check(pipeline: str, values: Mapping[str, object]) -> None:
    """Check the parameters of a run, and the settings that apply to empty ones.

    Args:
        pipeline: Name of the pipeline.
        values: Parameters by name. Parameters that the pipeline does not have are ignored.

    Raises:
        InputError: A parameter is not allowed, a setting is missing, or folders overlap that must not.
    """
    fields = FORMS[pipeline].model_fields if pipeline in FORMS else {}
    form = parse_form(pipeline, {name: value for name, value in values.items() if name in fields})
    model_name = form.model_name if isinstance(form, ImageForm) else ""
    settings = Settings.load(lake=form.lake, model_name=model_name)
    settings.required("mlflow_tracking_uri")
    addresses = {
        name: address or ("" if name == ARCHIVE else settings.required(name))
        for name, address in given_addresses(pipeline, form).items()
    }
    _check_addresses(addresses, folders_of(settings))


def check_given_addresses(pipeline: str, form: Form) -> None:
    """Check the addresses among the parameters, without the settings.

    Args:
        pipeline: Name of the pipeline.
        form: The parameters. Empty ones are not checked.

    Raises:
        InputError: An address is malformed, or folders overlap that must not.
    """
    _check_addresses(given_addresses(pipeline, form), {})


def given_addresses(pipeline: str, form: Form) -> dict[str, str]:
    """Return the addresses among the parameters, by the setting that they replace, or `ARCHIVE`.

    Args:
        pipeline: Name of the pipeline.
        form: The parameters. The address of an empty one is empty.
    """
    addresses = {"lake": form.lake}
    if isinstance(form, ImageForm):
        addresses[_SOURCE_SETTINGS[pipeline]] = form.source
    if isinstance(form, ScoringForm):
        addresses["labeling_destination"] = form.destination
    if isinstance(form, TrainingForm | ScoringForm) and form.ingest_options.archive != DELETE:
        addresses[ARCHIVE] = form.ingest_options.archive
    return addresses


def _check_addresses(addresses: Mapping[str, str], others: Mapping[str, str]) -> None:
    for name, address in addresses.items():
        # A container's URL is checked by the step that uses it.
        if address and not (name in _MAY_BE_URLS and uri.is_http_url(address)):
            uri.normalize(address, _FIELDS[name])
    fields = {name: field for name, field in _FIELDS.items() if name in addresses}
    check_overlaps_of(fields, {**others, **addresses})
