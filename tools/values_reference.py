"""README.md of a chart: `values_reference.py CHART` prints its README.head.md and a table of values.yaml.

A value is documented by the comment `# -- …` above it; a group without the mark is not shown, the values in it are.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

MARK = "# -- "
KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z][A-Za-z0-9]*):")


def descriptions(text: str) -> Iterator[tuple[str, str]]:
    """Path and description of every marked value of a values.yaml with two spaces a level."""
    path: list[str] = []
    description = ""
    for line in text.splitlines():
        if line.lstrip().startswith(MARK):
            description = line.strip().removeprefix(MARK)
        elif key := KEY.match(line):
            path[len(key["indent"]) // 2 :] = [key["name"]]
            if description:
                yield ".".join(path), description
            description = ""


def value_at(values: dict[str, Any], path: str) -> Any:  # noqa: ANN401 - a value of YAML
    """The value at a dotted path."""
    found: Any = values
    for name in path.split("."):
        found = found[name]
    return found


def page(chart: Path) -> str:
    """The whole page."""
    text = (chart / "values.yaml").read_text()
    values = yaml.safe_load(text)
    rows = [f"| `{path}` | `{json.dumps(value_at(values, path))}` | {words} |" for path, words in descriptions(text)]
    head = (chart / "README.head.md").read_text()
    return "\n".join([head, "## Values\n", "| value | default | meaning |", "| --- | --- | --- |", *rows, ""])


if __name__ == "__main__":
    print(page(Path(sys.argv[1])), end="")
