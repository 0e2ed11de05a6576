"""Kubernetes quantities: `500m`, `16Gi`, `2`, `1e3`."""

import re
from decimal import Decimal

from gmeta_api.memory import size

FACTORS = {
    "": Decimal(1),
    **{
        suffix: Decimal(10) ** power
        for suffix, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
_FORM = re.compile(r"(?P<number>[-+]?[0-9.]+([eE][-+]?[0-9]+)?)(?P<suffix>[A-Za-z]*)")


def parse(text: object) -> Decimal:
    """The number that a quantity stands for."""
    found = _FORM.fullmatch(str(text))
    if found is None or found["suffix"] not in FACTORS:
        raise ValueError(f"expected a quantity such as 500m or 16Gi, received {text!r}")
    return Decimal(found["number"]) * FACTORS[found["suffix"]]


def show(resource: str, amount: Decimal) -> str:
    """An amount of a resource for people."""
    if resource.endswith(("memory", "storage")):
        return size(float(amount))
    return f"{amount.normalize():f}"
