"""Advice about unknown names of parameters: the place, the new name or a similar name."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from components.parameters.forms import FORMS, Form, places

# Similarity of two names, 0..1, from which the advice suggests one for the other.
_SIMILAR = 0.7
# The same, if no name reaches `_SIMILAR`. Then the advice lists all names too.
_SLIGHTLY_SIMILAR = 0.5

# Names of earlier versions, and what to do instead.
OLD_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "mlflow_tracking_uri": "a setting, not a parameter. Set IMAGE_PIPELINES_MLFLOW_TRACKING_URI.",
        "experiment": "a setting, not a parameter. Set IMAGE_PIPELINES_EXPERIMENT.",
        "labelled": "renamed to labeled, which the pipelines set themselves. Leave it out.",
        "doubtful_share": "renamed to fraction, a key of export_options. Use the new name.",
        "audit_share": "renamed to audit_fraction, a key of export_options. Use the new name.",
    }
)


def advice(name: str, field: str, keys: Iterable[str], form: type[Form] | None = None) -> str:
    """Return what is wrong with an unknown name, and what to do.

    Args:
        name: The unknown name.
        field: Field of the form that was given the name as a key; empty if the name was given as a field.
        keys: Allowed names at that place.
        form: The form; None if it is not known.
    """
    if name in OLD_NAMES:
        return OLD_NAMES[name]
    normalized, keys = name.strip().lower().replace("-", "_"), list(keys)
    field_of = dict(place for model in ([form] if form else FORMS.values()) for place in places(model))
    if name in field_of and name not in keys:
        return (
            f"belongs to {field_of[name]}. Move it there."
            if field_of[name]
            else f"a parameter of its own, not a key. Move it out of {field}."
        )
    others = [pipeline for pipeline, model in FORMS.items() if normalized in dict(places(model))]
    if form and others and normalized not in field_of:
        return f"a parameter of the pipeline {' or '.join(others)} only. Leave it out."
    kind = "key" if field else "parameter"
    if near := get_close_matches(normalized, keys, 1, _SIMILAR):
        return f"unknown {kind}. Did you mean {near[0]}?"
    if near := get_close_matches(normalized, field_of, 1, _SIMILAR):
        where = f", a key of {field_of[near[0]]}" if field_of[near[0]] else ", a parameter of its own"
        return f"unknown {kind}. Did you mean {near[0]}{where}?"
    near = get_close_matches(normalized, keys, 1, _SLIGHTLY_SIMILAR)
    return f"unknown {kind}. {f'Did you mean {near[0]}? ' if near else ''}Use {', '.join(keys)}."
