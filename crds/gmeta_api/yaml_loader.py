"""The YAML loader of every manifest: YAML 1.2 core scalars, duplicate keys refused, bounded, every error placed.

PyYAML's own loaders follow YAML 1.1: `1e-3` is a text there and `on` a boolean, and the last of two equal keys wins.
Only its scanner and composer are used here; the values are built from the node graph by the YAML 1.2 core schema
(https://yaml.org/spec/1.2.2/#103-core-schema).
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from gmeta_api.errors import ManifestError, Problem

MAX_BYTES = 1_048_576
"""Largest file; the API server stores no larger objects either."""
MAX_VALUES = 100_000
"""Most values after aliases are expanded, so that a few lines cannot fill the memory."""
MAX_DEPTH = 64
"""Deepest nesting."""

_INT64 = range(-(2**63), 2**63)

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NON_FINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")


def read_manifest(
    path: Path, what: str = "a MetaTrainingJob manifest", fields: str = "apiVersion, kind, metadata and spec"
) -> dict[str, Any]:
    """Read a manifest file as a mapping.

    Args:
        path: the file.
        what: what errors say was expected of an empty file.
        fields: the fields that errors say were expected of something else than a mapping.

    Raises:
        ManifestError: the file is missing, not UTF-8, not YAML, not one document or not a mapping.
    """
    value = parse_yaml(_read_text(path), str(path))
    if value is None:
        _fail(str(path), f"the file is empty; expected {what}")
    if not isinstance(value, dict):
        _fail(str(path), f"expected a mapping with {fields}, received {describe(value)}")
    return value


def parse_yaml(text: str, source: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a text with at most one YAML document.

    Args:
        text: the YAML text.
        source: what errors call the text, such as a file name.

    Raises:
        ManifestError: not YAML, or beyond the limits; the problem's path is `source:line:column`.
    """
    try:
        node = _compose(text)
        return None if node is None else _Builder(source).build(node)
    except yaml.MarkedYAMLError as error:
        _fail(_place(source, error.problem_mark or error.context_mark), _syntax_message(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        _fail(f"{source}:{line}", f"the character U+{ord(text[error.position]):04X} is not allowed in YAML")
    except RecursionError:
        _fail(source, f"nested more than {MAX_DEPTH} levels deep")


def describe(value: object) -> str:
    """A received value in the words of an error message."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return f"a list of {len(value)} items" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Builder:
    """Builds plain values from a node graph; counts them, since aliases repeat nodes."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._values = 0
        self._parents: list[yaml.Node] = []

    def build(self, node: yaml.Node) -> Any:  # noqa: ANN401 - any JSON value
        self._enter(node)
        self._parents.append(node)
        value = self._value(node)
        self._parents.pop()
        return value

    def _enter(self, node: yaml.Node) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            self._fail(node, f"more than {MAX_VALUES} values after the aliases are expanded")
        if len(self._parents) >= MAX_DEPTH:
            self._fail(node, f"nested more than {MAX_DEPTH} levels deep")
        if any(parent is node for parent in self._parents):
            self._fail(node, "an alias refers to a value that contains it")

    def _value(self, node: yaml.Node) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(node, yaml.MappingNode):
            self._expect_tag(node, "map")
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            self._expect_tag(node, "seq")
            return [self.build(item) for item in node.value]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.build(key_node)
            if not isinstance(key, str):
                self._fail(key_node, f"a key must be a text, received {describe(key)}; put it in quotes")
            if key in result:
                self._fail(key_node, f"duplicate key {key!r}; the first one is above, remove one of them")
            result[key] = self.build(value_node)
        return result

    def _scalar(self, node: yaml.Node) -> Any:  # noqa: ANN401 - any JSON value
        if node.tag == _UNTAGGED:
            return self._checked(node, resolve(node.value))
        if node.tag == _TEXT_TAG:
            return self._text(node)
        if node.tag not in _TAGS:
            self._fail(node, f"unknown tag {node.tag!r}; remove it")
        return self._tagged(node, _TAGS[node.tag])

    def _text(self, node: yaml.Node) -> str:
        """A text; JSON writes characters beyond U+FFFF as two escapes, which PyYAML leaves apart."""
        text: str = node.value
        if _SURROGATE.search(text) is None:
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            return self._fail(node, r"a \u escape is half of a surrogate pair; write the character itself")

    def _tagged(self, node: yaml.Node, kind: type) -> Any:  # noqa: ANN401 - any JSON value
        value = self._checked(node, resolve(node.value))
        value = float(value) if kind is float and type(value) is int else value
        if type(value) is not kind:
            self._fail(node, f"{node.value!r} is not a value of its tag {node.tag.replace(_CORE, '!!')}")
        return value

    def _checked(self, node: yaml.Node, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if type(value) is int and value not in _INT64:
            self._fail(node, "an integer must fit in 64 bits")
        if type(value) is float and not math.isfinite(value):
            self._fail(node, f"{node.value} is not a finite number; manifests are JSON, which has no other")
        return value

    def _expect_tag(self, node: yaml.Node, name: str) -> None:
        if node.tag not in (_UNTAGGED, f"{_CORE}{name}"):
            self._fail(node, f"unknown tag {node.tag!r}; remove it")

    def _fail(self, node: yaml.Node, message: str) -> NoReturn:
        _fail(_place(self._source, node.start_mark), message)


_CORE = "tag:yaml.org,2002:"
_UNTAGGED = "?"
_TEXT_TAG = f"{_CORE}str"
_TAGS: Mapping[str, type] = {
    f"{_CORE}int": int,
    f"{_CORE}float": float,
    f"{_CORE}bool": bool,
    f"{_CORE}null": type(None),
}


class _Loader(yaml.SafeLoader):
    """Scanner and composer of PyYAML that leaves plain scalars unresolved."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:  # noqa: ANN401 - PyYAML's own
        del value
        quoted = kind is yaml.ScalarNode and not implicit[0]
        return _TEXT_TAG if quoted else _UNTAGGED


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar by the YAML 1.2 core schema."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NON_FINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    # Python refuses to read thousands of digits; any number that long is beyond 64 bits anyway.
    return int(text, base) if len(text) <= 64 else _INT64.stop


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        _fail(str(path), f"cannot read the file: {error.strerror or error}")
    if len(data) > MAX_BYTES:
        _fail(str(path), f"the file has {len(data)} bytes; a manifest has at most {MAX_BYTES}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _fail(f"{path}:{line}", f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8")


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "not YAML"
    for fragment, words in _SYNTAX_WORDS.items():
        if fragment in problem:
            return words
    return problem if error.context is None else f"{problem} ({error.context})"


_SYNTAX_WORDS: Mapping[str, str] = {
    r"found character '\t'": "a tab cannot indent YAML; use spaces",
    "but found another document": "more than one document; put each job in a file of its own",
}


def _place(source: str, mark: yaml.Mark | None) -> str:
    return source if mark is None else f"{source}:{mark.line + 1}:{mark.column + 1}"


def _fail(path: str, message: str) -> NoReturn:
    raise ManifestError([Problem(path, message)])
