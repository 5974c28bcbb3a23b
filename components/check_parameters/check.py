"""Check the parameters of a run, without a store, a server or Spark."""

from collections.abc import Mapping
from types import MappingProxyType

from components.parameters import parse_form
from components.parameters.forms import FORMS, Form, ScoringForm, TrainingForm
from components.settings import Settings
from components.storage import uri
from components.storage.apart import check_apart, check_sources_apart

# Setting that applies if the source is empty, by pipeline.
_SOURCE_SETTINGS: Mapping[str, str] = MappingProxyType(
    {"training": "labeled_source", "labeling": "annotations_source", "scoring": "unlabeled_source"}
)


def check(pipeline: str, values: Mapping[str, object]) -> None:
    """Check the parameters of a run, and the settings that apply to empty ones.

    Args:
        pipeline: Name of the pipeline.
        values: Parameters by name. Parameters that the pipeline does not have are ignored.

    Raises:
        InputError: A parameter is not allowed, a setting is missing, or folders contain each other that must not.
    """
    fields = FORMS[pipeline].model_fields if pipeline in FORMS else {}
    form = parse_form(pipeline, {name: value for name, value in values.items() if name in fields})
    settings = Settings.load(lake=form.lake, model_name=form.model_name)
    lake = settings.required("lake")
    settings.required("mlflow_tracking_uri")
    source = form.source or settings.required(_SOURCE_SETTINGS[pipeline])
    destination = ""
    if isinstance(form, ScoringForm):
        destination = form.destination or settings.required("labeling_destination")
    _check_addresses(pipeline, form, lake, source, destination)
    if pipeline != "labeling":
        check_sources_apart(source, pipeline == "training", settings)


def check_given_addresses(pipeline: str, form: Form) -> None:
    """Check the addresses among the parameters, without the settings.

    Args:
        pipeline: Name of the pipeline.
        form: The parameters. Empty ones are not checked.

    Raises:
        InputError: An address is malformed, or folders contain each other that must not.
    """
    destination = form.destination if isinstance(form, ScoringForm) else ""
    _check_addresses(pipeline, form, form.lake, form.source, destination)


def _check_addresses(pipeline: str, form: Form, lake: str, source: str, destination: str) -> None:
    archive = form.ingest_options.archive if isinstance(form, TrainingForm | ScoringForm) else ""
    if lake:
        uri.normalize(lake, "lake")
    if source:
        _check_address(source, "source", may_be_url=pipeline == "labeling")
    if destination:
        _check_address(destination, "destination", may_be_url=True)
    check_apart(lake, source, destination, archive)


def _check_address(address: str, field: str, may_be_url: bool) -> None:
    """Check the URI of a folder. A container's URL is checked by the step that uses it."""
    if not (may_be_url and uri.is_http_url(address)):
        uri.normalize(address, field)
