"""YAML 1.2 core scalars, limits, and the round trip of anything that JSON can say."""

import contextlib
import json
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gmeta_api.errors import ManifestError
from gmeta_api.yaml_loader import MAX_DEPTH, MAX_VALUES, parse_yaml, read_manifest


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0.25", -0.25),
        ("0o17", 15),
        ("0x1F", 31),
        ("012", 12),
        ("+7", 7),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("no", "no"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("~", None),
        ("Null", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
        ("!!null ''", None),
        ("rating >= 4", "rating >= 4"),
        ("|\n  on\n", "on\n"),
        ("<<", "<<"),
    ],
)
def test_core_scalars(text: str, value: object) -> None:
    loaded = parse_yaml(text, "text")
    assert (type(loaded), loaded) == (type(value), value)


@pytest.mark.parametrize("text", ["!!int x", "!!bool 1", "!!float a", "!!null 1"])
def test_a_tag_that_does_not_fit_is_an_error(text: str) -> None:
    tag, _, value = text.partition(" ")
    with pytest.raises(ManifestError) as caught:
        parse_yaml(text, "text")
    assert str(caught.value) == f"text:1:1: '{value}' is not a value of its tag {tag}"


_text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=12) | st.sampled_from(
    ["on", "1e-3", "null", "~", "012", "a: b", "- x", "#c", " lead", "trail ", "", "'", '"', "line\nbreak", "!t", "&a"]
)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)


@given(_json)
@settings(deadline=None, max_examples=150)
def test_json_is_read_back(value: Any) -> None:
    assert parse_yaml(json.dumps(value, ensure_ascii=False), "text") == value
    assert parse_yaml(json.dumps(value), "text") == value


@given(_json)
@settings(deadline=None, max_examples=150)
def test_quoted_and_tagged_scalars_are_read_back(value: Any) -> None:
    """PyYAML's writer tags every quoted scalar that is no text: `!!int "1"`."""
    written = yaml.safe_dump(value, allow_unicode=True, default_style='"')
    assert parse_yaml(written, "text") == value


@given(st.text(string.printable + "é\u2028\ufeff", max_size=60))
@settings(deadline=None, max_examples=300)
def test_any_text_gives_a_value_or_a_manifest_error(text: str) -> None:
    with contextlib.suppress(ManifestError):
        parse_yaml(text, "text")


def test_aliases_are_values() -> None:
    assert parse_yaml("a: &x [1, 2]\nb: *x", "text") == {"a": [1, 2], "b": [1, 2]}


def test_a_few_lines_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ManifestError, match=f"more than {MAX_VALUES} values after the aliases are expanded"):
        parse_yaml("\n".join(lines), "text")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5000])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(ManifestError, match=f"nested more than {MAX_DEPTH} levels deep"):
        parse_yaml("[" * depth + "]" * depth, "text")


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_yaml(r'a: "\ud800"', "text")
    assert str(caught.value) == r"text:1:4: a \u escape is half of a surrogate pair; write the character itself"


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ManifestError, match="an integer must fit in 64 bits"):
        parse_yaml("9" * 5000, "text")


def test_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xef\xbb\xbfkind: a\n")
    assert read_manifest(path) == {"kind": "a"}
