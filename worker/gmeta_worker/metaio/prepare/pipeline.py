"""The preparation from end to end: a spec and its source files become a dataset directory, or nothing at all."""

# ruff: noqa: S608 - see engine.py

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash
from pydantic_core import to_json

from gmeta_api.errors import DataError
from gmeta_api.spec.feature import FeatureSpec
from gmeta_api.spec.prepare import PrepareSpec
from gmeta_worker.metaio.card import CARD_NAME, FORMAT, Card, Feature, Provenance, Schema, read_card
from gmeta_worker.metaio.folder import replacing
from gmeta_worker.metaio.prepare.chunks import write_split
from gmeta_worker.metaio.prepare.engine import Engine
from gmeta_worker.metaio.prepare.joined import join_sources
from gmeta_worker.metaio.prepare.placement import left_out, place_tasks, placement, split_names
from gmeta_worker.metaio.prepare.priors import compute_priors, write_priors
from gmeta_worker.metaio.prepare.progress import LogProgress, Progress
from gmeta_worker.metaio.prepare.rows import build_rows, lists_apart, of_kind
from gmeta_worker.metaio.prepare.sources import Source, find_source
from gmeta_worker.metaio.prepare.statistics import numeric_cards, vocabulary_of, write_vocabularies


def run(spec: PrepareSpec, root: Path, out: Path, *, overwrite: bool = False, progress: Progress | None = None) -> Card:
    """Make the Meta-IO dataset ``out`` and return its card.

    The dataset is built in ``out.partial`` and renamed when it is complete. Where ``out`` already is the dataset of
    this spec and these source files, nothing is done.

    Args:
        spec: What to make.
        root: Folder of the volume, which the spec's sources are relative to.
        out: Folder of the dataset.
        overwrite: Whether a different dataset at ``out`` is replaced.
        progress: Hears of phases and rows; by default they are logged.

    Raises:
        DataError: Bad source, expression or value, or something else at ``out``.
    """
    progress = progress or LogProgress()
    sources = find_sources(spec, root)
    digest = digest_of(spec, sources)
    if current := existing(out, digest, overwrite=overwrite):
        progress.phase(f"{out} is up to date")
        return current
    try:
        with replacing(out) as partial:
            card = _build(spec, root, sources, digest, partial, progress)
            (partial / CARD_NAME).write_bytes(card.to_json())
    except OSError as error:
        raise DataError(
            f"{out}: cannot write the dataset: {error.strerror}; check the folder and its free space"
        ) from None
    return card


def find_sources(spec: PrepareSpec, root: Path) -> list[Source]:
    """Resolve the source and the side tables of a spec, in the order of the joins.

    Raises:
        DataError: Missing file, unknown format or unreadable header.
    """
    main = find_source(root, spec.source, spec.format, spec.delimiter)
    return [main, *(find_source(root, join.source, "auto", None) for join in spec.joins)]


def digest_of(spec: PrepareSpec, sources: list[Source]) -> str:
    """Return a digest of everything the dataset depends on; a file counts by name, size and modification time."""
    files = [
        (file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for source in sources for file in source.files
    ]
    return xxhash.xxh3_64_hexdigest(to_json([FORMAT, spec.model_dump(mode="json", exclude_none=True), files]))


def existing(out: Path, digest: str, *, overwrite: bool) -> Card | None:
    """Return the card of the same dataset at ``out``, or None where a new one may be written.

    Raises:
        DataError: Something else is there.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / CARD_NAME).is_file():
        raise DataError(f"{out}: exists and is not a Meta-IO dataset; choose another folder")
    if overwrite:
        return None
    card = read_card(out)
    if card.provenance.digest != digest:
        raise DataError(
            f"{out}: holds the dataset of another spec or source; use --overwrite to replace it, or another folder"
        )
    return card


def _build(spec: PrepareSpec, root: Path, sources: list[Source], digest: str, out: Path, progress: Progress) -> Card:
    schema = _schema(spec)
    with _engine(out / "work") as engine:
        progress.phase(f"read {spec.source}")
        joined = join_sources(engine, spec, sources)
        engine.seal()
        progress.phase("compute labels, order and features", joined.rows)
        build_rows(joined, spec)
        apart = lists_apart(engine, spec)
        progress.phase("place tasks")
        place_tasks(engine, spec)
        placements = {name: placement(engine, spec, name) for name in split_names(engine, spec)}
        progress.phase("compute statistics, priors and vocabularies")
        compute_priors(engine, spec)
        priors = dict(write_priors(engine, spec, out))
        numeric = numeric_cards(engine, spec)
        vocabularies = dict(write_vocabularies(engine, spec, apart, out))
        splits = {}
        for name, placed in placements.items():
            progress.phase(f"write {name}", placed.rows)
            splits[name] = write_split(engine, schema, numeric, name, placed, apart, out, progress.advance)
        return Card(
            format=FORMAT,
            schema=schema,
            splits=splits,
            vocabularies=vocabularies,
            numeric=numeric,
            priors=priors,
            left_out=left_out(engine, spec),
            unmatched=_unmatched(engine, spec),
            provenance=Provenance(
                digest=digest,
                spec=spec.model_dump(mode="json", by_alias=True, exclude_none=True),
                sources=tuple(str(file.relative_to(root)) for source in sources for file in source.files),
                rows=joined.rows,
            ),
        )


def _schema(spec: PrepareSpec) -> Schema:
    return Schema(
        categorical=tuple(map(_feature, of_kind(spec, "categorical"))),
        multi=tuple(map(_feature, of_kind(spec, "multi"))),
        numeric=tuple(feature.name for feature in of_kind(spec, "numeric")),
        labels=tuple(label.name for label in spec.labels),
    )


def _feature(feature: FeatureSpec) -> Feature:
    return Feature(feature.name, vocabulary_of(feature))


def _unmatched(engine: Engine, spec: PrepareSpec) -> dict[str, int]:
    counts = {}
    for number, join in enumerate(spec.joins, 1):
        ((count,),) = engine.rows(f"join {join.source}", f"SELECT count(*) FROM rows WHERE unmatched_{number}")
        counts[join.source] = int(count)
    return counts


@contextmanager
def _engine(folder: Path) -> Iterator[Engine]:
    engine = Engine(folder)
    try:
        yield engine
    finally:
        engine.close()
        shutil.rmtree(folder)
