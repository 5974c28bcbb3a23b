"""Check the parameters of a run, without a store, a server or Spark."""

from collections.abc import Mapping
from types import MappingProxyType

from components.parameters import parse_form
from components.parameters.forms import FORMS, ScoringForm
from components.settings import Settings
from components.storage import uri

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
        InputError: A parameter is not allowed, or a setting is missing.
    """
    fields = FORMS[pipeline].model_fields if pipeline in FORMS else {}
    form = parse_form(pipeline, {name: value for name, value in values.items() if name in fields})
    settings = Settings.load(lake=form.lake, model_name=form.model_name)
    uri.normalize(settings.required("lake"), "lake")
    settings.required("mlflow_tracking_uri")
    source = form.source or settings.required(_SOURCE_SETTINGS[pipeline])
    if pipeline == "labeling":
        _check_address(source, "source")
    else:
        uri.normalize(source, "source")
    if isinstance(form, ScoringForm):
        _check_address(form.destination or settings.required("labeling_destination"), "destination")


def _check_address(address: str, field: str) -> None:
    """Check the URI of a folder. A container's URL is checked by the step that uses it."""
    if not uri.is_http_url(address):
        uri.normalize(address, field)
