"""The docs pages of the states, made of the explanations: `python -m gmeta_kubectl.pages docs/states` writes them."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from gmeta_kubectl.explanations import CONDITIONS, EXPLANATIONS, STATES, Explanation

COLUMNS = ("NAME", "STATE", "REASON", "WORKERS", "RESTARTS", "STEP", "PROGRESS", "SAMPLES/S", "AUC", "AGE")
PLACES = {"job": "JOB", "pod": "POD", "namespace": "NAMESPACE"}


def pages() -> Mapping[str, str]:
    """Text of each page by its file's name."""
    states = {f"{state.lower()}.md": "\n".join([*_page(state), ""]) for state in STATES}
    return {"README.md": "\n".join([*_index(), ""]), **states}


def _index() -> Iterator[str]:
    yield from (
        "# States of a job",
        "",
        "`kubectl gmeta why JOB` says which of these holds, how that is known and what to do.",
        "",
    )
    yield from ("| state | what it means |", "| --- | --- |")
    yield from (f"| [{name}]({name.lower()}.md) | {state.meaning} |" for name, state in STATES.items())
    yield from (
        "",
        "## Reasons of conditions",
        "",
        "They tell of one aspect of the job (`kubectl describe mtj JOB`), and are never the reason of its state.",
        "",
    )
    yield from ("| reason | what it means |", "| --- | --- |")
    yield from (f"| `{reason}` | {meaning} |" for reason, meaning in CONDITIONS.items())


def _page(name: str) -> Iterator[str]:
    state = STATES[name]
    cells = ("movies", name, *state.row)
    widths = [max(len(pair) for pair in pairs) + 3 for pairs in zip(COLUMNS, cells, strict=True)]
    lines = ("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (COLUMNS, cells))
    yield from (f"# {name}", "", state.meaning, "", "## What one sees", "", "```", "$ kubectl get mtj movies")
    yield from (line.rstrip() for line in lines)
    yield from (
        "```",
        "",
        state.seen,
        "",
        "`kubectl gmeta why JOB` has the evidence and the next command.",
        "",
        "## Reasons",
        "",
    )
    yield from ("| reason | what it means | what to do | next command |", "| --- | --- | --- | --- |")
    yield from (_row(reason, entry) for (of, reason), entry in EXPLANATIONS.items() if of == name)
    yield from ("", f"Of any other reason: {state.advice[0].lower()}{state.advice[1:]}")


def _row(reason: str, entry: Explanation) -> str:
    return f"| `{reason}` | {entry.meaning} | {entry.advice} | `{entry.command.format_map(PLACES)}` |"


def main(folder: Path) -> None:
    """Write the pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
