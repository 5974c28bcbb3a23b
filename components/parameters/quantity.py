"""CPU cores and memory, in the notation of Kubernetes' quantities."""

import re
from collections.abc import Mapping
from decimal import Decimal

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti|)", re.ASCII)
_FACTORS: Mapping[str, Decimal] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", 1)},
}
_MAXIMUM_CORES = 1024
# TensorFlow needs more. A smaller quantity probably lacks its unit.
_MINIMUM_MEMORY_BYTES = 2**28


def cores(quantity: str) -> Decimal:
    """Return a number of cores, more than 0.

    Args:
        quantity: Kubernetes' notation, e.g. `500m` or `2`.

    Raises:
        ValueError: The quantity is invalid, 0, or more than 1024 cores.
    """
    value = _parse(quantity)
    if value is None or not 0 < value <= _MAXIMUM_CORES:
        raise ValueError(f"'{quantity}' is not a number of cores. Write e.g. 2 or 500m.")
    return value


def memory_bytes(quantity: str) -> int:
    """Return an amount of memory in bytes, 256 MiB or more.

    Args:
        quantity: Kubernetes' notation, e.g. `6Gi`.

    Raises:
        ValueError: The quantity is invalid, or less than 256 MiB.
    """
    value = _parse(quantity)
    if value is None:
        raise ValueError(f"'{quantity}' is not an amount of memory. Write e.g. 6Gi or 1500Mi.")
    if value < _MINIMUM_MEMORY_BYTES:
        raise ValueError(f"'{quantity}' is less than 256Mi. Write the unit too, e.g. 6Gi.")
    return int(value)


def _parse(quantity: str) -> Decimal | None:
    matched = _QUANTITY.fullmatch(quantity)
    return Decimal(matched[1]) * _FACTORS[matched[2]] if matched else None
