"""SQL of 64-bit keys: an integer is its own key, any other text has a stable hash, and nothing has null."""

from collections.abc import Sequence
from dataclasses import dataclass

from gmeta_api.errors import DataError
from gmeta_api.spec.feature import FeatureSpec
from gmeta_worker.metaio.prepare.engine import literal

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


@dataclass(frozen=True)
class Value:
    """A column or expression of the manifest: its SQL and its type."""

    sql: str
    kind: str


def key(value: Value) -> str:
    """Return SQL of a value's key; null for null and empty text."""
    return f"CAST({value.sql} AS BIGINT)" if value.kind in INTEGERS else f"text_key(CAST({value.sql} AS VARCHAR))"


def feature_keys(feature: FeatureSpec, values: Sequence[Value]) -> str:
    """Return SQL of a multi-valued feature's list of keys, or of any other one's key; null where it has none.

    Raises:
        DataError: A multi-valued feature that is one column, but neither a list nor separated text.
    """
    if feature.type == "multi":
        return f"list_filter({_list_of_keys(feature, values)}, lambda item: item IS NOT NULL)"
    return key(values[0])


def _list_of_keys(feature: FeatureSpec, values: Sequence[Value]) -> str:
    if len(values) > 1:
        return f"[{', '.join(key(value) for value in values)}]"
    (value,) = values
    if value.kind.endswith("[]"):
        return f"list_transform({value.sql}, lambda item: {key(Value('item', value.kind.removesuffix('[]')))})"
    if feature.separator is None:
        raise DataError(f"feature {feature.name}: column {feature.columns[0]!r} is no list; set a separator")
    parts = f"string_split(CAST({value.sql} AS VARCHAR), {literal(feature.separator)})"
    return f"list_transform({parts}, lambda item: text_key(item))"
