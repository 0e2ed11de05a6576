"""A folder that is written whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Give a fresh folder beside ``out`` that takes its place at the end, or is removed after an error.

    What is there stays until then, and comes back if a process was killed in the moment of the change.
    """
    old, partial = out.with_name(f"{out.name}.old"), out.with_name(f"{out.name}.partial")
    if old.exists() and not out.exists():
        old.rename(out)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        _replace(partial, out, old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(partial: Path, out: Path, old: Path) -> None:
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    partial.rename(out)
    shutil.rmtree(old, ignore_errors=True)
