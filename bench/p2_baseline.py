"""The two-term baseline of protocol P2: how generous a user is, plus how much a movie is liked beyond that."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np

from gmeta_worker.evaluation import MODES, Outcomes, score_shot
from gmeta_worker.parallel import ALONE

USER_ROWS, MOVIE_ROWS = 20, 5
"""Rows of the mean that a user's rate and a movie's residual are drawn to; chosen on valid movies."""

_SCORED = """
with base as (select avg((rating >= 4)::int) as rate from ratings where part = 'train'),
known as (
    select user_id, sum((rating >= 4)::int) as clicks, count(*) as n
    from ratings where part = 'train' group by user_id),
rows as (
    select movie_id, (rating >= 4)::int as click,
        (coalesce(clicks, 0) + {user_rows} * base.rate) / (coalesce(n, 0) + {user_rows}) as user_rate,
        row_number() over (partition by movie_id order by {order}) <= {shot} as support
    from ratings left join known using (user_id), base where part = '{part}')
select movie_id, click, user_rate + coalesce(sum(click - user_rate) filter (support) over (partition by movie_id), 0)
    / (count(*) filter (support) over (partition by movie_id) + {movie_rows}) as score, user_rate
from rows qualify not support order by movie_id
"""
_ORDER = {"valid": "(user_id * 7919 + movie_id * 104729) % 1000003", "test": "rank nulls last"}


def two_terms(ratings: Path, part: str, shots: Iterable[int]) -> dict[str, dict[str, float]]:
    """Metrics of `part`'s query rows by group (k20, …), from P2's ratings.csv; users' rates are of train movies."""
    tables = duckdb.connect()
    tables.execute(f"create table ratings as select * from read_csv('{ratings}')")
    found: dict[str, dict[str, float]] = {"auc": {}, "gauc": {}}
    for shot in shots:
        query = _SCORED.format(shot=shot, part=part, order=_ORDER[part], user_rows=USER_ROWS, movie_rows=MOVIE_ROWS)
        rows = tables.execute(query).fetchnumpy()
        _, task, counts = np.unique(rows["movie_id"], return_inverse=True, return_counts=True)
        logits = np.stack([rows["score"].astype(np.float32)] * len(MODES), axis=1)
        outcomes = Outcomes(logits[:, :, None], rows["click"].astype(np.float32)[:, None], task, counts)
        score = score_shot(ALONE, outcomes, ("click",), shot=shot).whole[0]
        found["auc"][f"k{shot}"], found["gauc"][f"k{shot}"] = round(score.auc, 5), round(score.gauc, 5)
    return found
