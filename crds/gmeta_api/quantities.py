"""Sums of Kubernetes quantities and of lists of resources."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal

DECIMAL = {"m": Decimal("0.001"), "": Decimal(1)} | {
    suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)
}
BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}

Resources = Mapping[str, str]
"""Quantities by the name of their resource."""


def sum_of(quantities: Iterable[str]) -> str:
    """The sum, in binary units where one of the quantities is, else in whole or thousandth parts, rounded up."""
    texts = tuple(quantities)
    total = sum((_value(text) for text in texts), Decimal(0))
    if any(text.endswith("i") for text in texts):
        return _binary(total)
    if total == total.to_integral_value():
        return f"{total:.0f}"
    return f"{(total * 1000).to_integral_value(ROUND_CEILING):.0f}m"


def total_resources(parts: Iterable[tuple[int, Resources]]) -> dict[str, str]:
    """The sum of lists of resources, each taken so many times."""
    parts = tuple(parts)
    names = dict.fromkeys(name for _, resources in parts for name in resources)
    return {name: sum_of(each[name] for count, each in parts if name in each for _ in range(count)) for name in names}


def _value(text: str) -> Decimal:
    number = text.rstrip("mkMGTPEi")
    return Decimal(number) * (DECIMAL | BINARY)[text.removeprefix(number)]


def _binary(total: Decimal) -> str:
    whole = total.to_integral_value(ROUND_CEILING)
    fitting = (suffix for suffix, unit in reversed(BINARY.items()) if whole and whole % unit == 0)
    suffix = next(fitting, "")
    return f"{whole / BINARY.get(suffix, Decimal(1)):.0f}{suffix}"
