"""SQL of features over the joined rows."""

# ruff: noqa: S608 - see engine.py

from gmeta_api.errors import DataError
from gmeta_api.spec.feature import FeatureSpec
from gmeta_worker.metaio.prepare.engine import NULL_KEY
from gmeta_worker.metaio.prepare.joined import Joined, side_key_name
from gmeta_worker.metaio.prepare.keys import INTEGERS, Value, feature_keys

NUMBERS = (*INTEGERS, "UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE", "BOOLEAN")
FLOAT32_MAX = 3.4028234e38


def is_number(kind: str) -> bool:
    """Say whether an SQL type is a number; true and false are 1 and 0."""
    return kind in NUMBERS or (kind.startswith("DECIMAL") and not kind.endswith("]"))


def categorical(joined: Joined, feature: FeatureSpec) -> str:
    """Return SQL of the key of a categorical feature, or of the value whose rate or count is wanted; never null."""
    return f"coalesce({_keys(joined, feature)}, {NULL_KEY})"


def multi(joined: Joined, feature: FeatureSpec) -> str:
    """Return SQL of a multi-valued feature's keys, or of their number in ``lists_table``; never null.

    The keys are of several columns, a list, or text with separators.
    """
    return side_key_name(feature) if feature.name in joined.side_keys else f"coalesce({_keys(joined, feature)}, [])"


def numeric(joined: Joined, feature: FeatureSpec) -> str:
    """Return SQL of a numeric feature as DOUBLE, null where it is missing or NaN.

    Raises:
        DataError: A column or expression that is no number; text is named with the first value that is none.
    """
    what, text = _what(feature), feature.columns[0]
    value = joined.value(what, text)
    if value.kind == "VARCHAR":
        _check_text(joined, what, text, value)
    elif not is_number(value.kind):
        raise DataError(f"{what}: {text!r} is {value.kind}, expected a number; convert it or make it categorical")
    number = f"CAST({value.sql} AS DOUBLE)"
    return f"CASE WHEN NOT isnan({number}) THEN {number} END"


def _keys(joined: Joined, feature: FeatureSpec) -> str:
    if feature.name in joined.side_keys:
        return side_key_name(feature)
    return feature_keys(feature, [joined.value(_what(feature), column) for column in feature.columns])


def _check_text(joined: Joined, what: str, text: str, value: Value) -> None:
    no_number = f"{value.sql} IS NOT NULL AND TRY_CAST({value.sql} AS DOUBLE) IS NULL"
    bad = joined.engine.rows(what, f"SELECT {value.sql}, row_number + 1 FROM joined WHERE {no_number} LIMIT 1")
    if bad:
        raise DataError(
            f"{what}: expected a number in {text!r}, found {bad[0][0]!r} in row {bad[0][1]}; correct it or make the "
            "feature categorical"
        )


def _what(feature: FeatureSpec) -> str:
    return f"feature {feature.name}"
