"""Node selectors and tolerations, in the notation of Kubernetes."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_serializer, model_validator

from components.parameters.options import Integer, from_json, is_finite

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def _label_value(value: Any) -> Any:
    """Convert a boolean or a number to text, which Kubernetes requires as a label's value."""
    return str(value).lower() if isinstance(value, bool) else plain_number(value)


def plain_number(value: Any) -> Any:
    """Convert a number to text, e.g. 2.0 to `2`. Return any other value unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_finite(value):
        return value
    return str(int(value)) if value == int(value) else str(value)


def _check_selector(selector: dict[str, str]) -> dict[str, str]:
    for key, value in selector.items():
        check_label_key(key)
        if value and not _NAME.fullmatch(value):
            raise ValueError(
                f"'{value}' of '{key}' is not a label's value. Use at most 63 letters, digits, dots, hyphens and"
                " underscores."
            )
    return selector


def check_label_key(key: str) -> None:
    """Check the key of a label or taint.

    Raises:
        ValueError: Kubernetes does not accept the key.
    """
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"'{key}' is not a label's key. Write e.g. pool or example.com/pool.")


class Toleration(BaseModel):
    """Kubernetes' toleration of a taint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: Annotated[str, BeforeValidator(_label_value)] = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: Integer | None = Field(None, alias="tolerationSeconds")

    @model_validator(mode="after")
    def _is_accepted_by_kubernetes(self) -> Self:
        if self.key:
            check_label_key(self.key)
        elif self.operator != "Exists":
            raise ValueError("a toleration without a key tolerates nothing. Add the key, or the operator Exists.")
        if self.operator == "Exists" and self.value:
            raise ValueError(f"the operator Exists has no value, but '{self.value}' is given. Leave the value out.")
        if self.toleration_seconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds belongs to the effect NoExecute. Leave it out, or use that effect.")
        return self

    @model_serializer
    def _as_kubernetes_writes_it(self) -> dict[str, Any]:
        written = {
            "key": self.key,
            "operator": self.operator,
            "value": self.value,
            "effect": self.effect,
            "tolerationSeconds": self.toleration_seconds,
        }
        return {name: value for name, value in written.items() if value not in ("", None)}


# YAML reads a key of digits as a number.
NodeSelector = Annotated[
    dict[Annotated[str, BeforeValidator(plain_number)], Annotated[str, BeforeValidator(_label_value)]],
    BeforeValidator(from_json),
    AfterValidator(_check_selector),
]
Tolerations = Annotated[list[Toleration], BeforeValidator(from_json)]
