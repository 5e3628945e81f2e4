"""What a model must beat: simple scores fitted on the same training rows, printed beside every model.

Churn: base rate, recency, own past rate, RFM logistic, BG/NBD; with contracts also the renewal rate (by how cover can
end × plan × days left). Next stage: marginal, persistence, Markov (stage),
semi-Markov (stage × time in stage × n), hurdle (p on s₀, the rest by training frequency). The floors and the exact
zeros of the scorer hold for them too, so that nobody loses by a technicality.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.core.settings import Settings
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from serving.scoring.cannot_churn import COLUMNS, kinds
from serving.scoring.parts import sigmoid
from serving.scoring.scorer import composed, floored, inactive_index, reachable_of, stage_index
from training.models import ridge

K = len(STAGES)
DAYS_LEFT = (3, 7, 14, 30, 60, 90, 180, 365)
PLAN = ("term_days", "auto_renews")  # what tells plans apart among the features


def churn(
    train: pa.Table, test: pa.Table, settings: Settings, *, past: pa.Table | None = None
) -> dict[str, np.ndarray]:
    """Probabilities of churn for the rows of `test`, by baseline; `past` holds labelled rows for the own past rate."""
    labels = train["churned"].to_numpy().astype(int)
    rate = (labels.sum() + 1) / (len(labels) + 2)
    edge = 1 / (2 * len(labels))
    out = {"base rate": np.full(test.num_rows, rate)}
    views = {"recency": _recency, "RFM logistic": _rfm}
    for name, view in views.items():
        part = ridge.fit(view(train), labels, strength=1.0, outputs=1)
        out[name] = sigmoid(part.margins(view(test))[:, 0])
    history = past if past is not None else train
    out["own past rate"] = _own_past_rate(history, test, settings, rate)
    if "p_no_activity" in test.column_names:
        out["BG/NBD"] = test["p_no_activity"].to_numpy()
    if settings.contractual:
        found = _by_cell(_plans(train), _plans(test), labels)
        out["renewal rate"] = found[:, 1] / (found[:, 0] + found[:, 1])
    return {name: np.clip(p, edge, 1 - edge) for name, p in out.items()}


def _recency(rows: pa.Table) -> np.ndarray:
    return ((rows["as_of"].to_numpy() - rows["last_at"].to_numpy()) / DAY_US)[:, None]


def _rfm(rows: pa.Table) -> np.ndarray:
    """Recency, frequency, money (where there is any), tenure."""
    tenure = (rows["as_of"].to_numpy() - rows["first_at"].to_numpy()) / DAY_US
    views = [_recency(rows)[:, 0], rows["n"].to_numpy().astype(float), tenure]
    if "amount_all" in rows.column_names:
        views.append(rows["amount_all"].to_numpy())
    return np.stack(views, axis=1)


def _own_past_rate(past: pa.Table, test: pa.Table, settings: Settings, rate: float) -> np.ndarray:
    """(own churns + 2·rate) / (own labels + 2) over as_of dates whose windows closed before the row's as_of."""
    window = settings.outcome_window_us
    closed, left = past["as_of"].to_numpy() + window, past["churned"].to_numpy().astype(float)
    ids, at = past["customer_id"].to_pylist(), test["as_of"].to_numpy()
    sums: dict[tuple[str, int], tuple[float, float]] = {}
    for instant in np.unique(at):
        for row in np.flatnonzero(closed <= instant):
            churns, labels = sums.get((ids[row], instant), (0.0, 0.0))
            sums[ids[row], instant] = (churns + left[row], labels + 1)
    own = [
        sums.get(key, (0.0, 0.0)) for key in zip(test["customer_id"].to_pylist(), at, strict=True)
    ]
    churns, labels = np.array(own).reshape(-1, 2).T
    return (churns + 2 * rate) / (labels + 2)


def _plans(rows: pa.Table) -> list[np.ndarray]:
    """How cover can end, the plan, and the days left in steps; −1 without cover, and where a feature is switched off."""

    def values(name: str) -> np.ndarray:
        there = name in rows.column_names
        return rows[name].to_numpy() if there else np.full(rows.num_rows, np.nan)

    ends = rows["cover_until"].to_numpy().astype(float)
    left = (ends - rows["as_of"].to_numpy()) / DAY_US
    covered = left > 0
    plan = [
        np.where(np.isnan(values(name)), -1, np.round(np.nan_to_num(values(name)))) for name in PLAN
    ]
    step = np.searchsorted(DAYS_LEFT, np.where(covered, left, 0))
    return [
        np.where(covered, cell, -1).astype(int)
        for cell in (kinds(*(values(c) for c in COLUMNS)), *plan, step)
    ]


def next_stage(
    train: pa.Table,
    test: pa.Table,
    definitions: Definitions,
    *,
    p_base: np.ndarray,
    p_logistic: np.ndarray,
) -> dict[str, np.ndarray]:
    """P(next stage), float64 (rows, 7), by baseline; p_base and p_logistic are the churn baselines' probabilities."""
    outcome, n = stage_index(train["outcome_stage"].to_numpy()), train.num_rows
    now, then = stage_index(train["stage"].to_numpy()), stage_index(test["stage"].to_numpy())
    possible = _possible(test, definitions)
    persistence = np.zeros((test.num_rows, K))
    stays = np.mean(outcome == now) if n else 0.5
    persistence[np.arange(test.num_rows), then] = stays
    marginal = np.bincount(outcome, minlength=K) / max(n, 1)
    persistence += (1 - stays) * marginal
    raw = {
        "marginal": np.tile(marginal, (test.num_rows, 1)),
        "persistence": persistence,
        "Markov": _by_cell([now], [then], outcome),
        "semi-Markov": _by_cell(_cells(train, definitions), _cells(test, definitions), outcome),
    }
    out = {name: floored(p, possible, rows_behind=n) for name, p in raw.items()}
    q = _stayers_by_stage_and_n(train, test, definitions)
    for name, p in (("hurdle, constant p", p_base), ("hurdle, logistic p", p_logistic)):
        out[name] = composed(p, q, inactive_index(test))
    return out


def _possible(rows: pa.Table, definitions: Definitions) -> np.ndarray:
    allowed = reachable_of(rows, definitions)
    allowed[np.arange(rows.num_rows), inactive_index(rows)] = True
    return allowed


def _cells(rows: pa.Table, definitions: Definitions) -> list[np.ndarray]:
    """Stage; days in it in fifths of a base gap, doubled each step; n up to 6.

    Days in stage: for at_risk, dormant and churned the wait since their threshold was crossed; for new, growing and
    loyal the wait since the last activity, at which they were confirmed.
    """
    stage = stage_index(rows["stage"].to_numpy())
    starts = np.zeros(K)
    for name, multiple in zip(
        ("at_risk", "dormant", "churned"), definitions.multiples, strict=True
    ):
        starts[STAGES.index(name)] = multiple
    overdue = rows["overdue_state"].to_numpy()
    recency = rows["as_of"].to_numpy() - rows["last_at"].to_numpy()
    usual = np.where(
        overdue > 0, recency / np.where(overdue > 0, overdue, 1), definitions.base_gap_us
    )
    inside = np.maximum(recency - starts[stage] * usual, 0) / (definitions.base_gap_us / 5)
    return [
        stage,
        np.minimum(np.floor(np.log2(inside + 1)), 6).astype(int),
        np.minimum(rows["n"].to_numpy(), 6),
    ]


def _by_cell(
    cells: Sequence[np.ndarray], test_cells: Sequence[np.ndarray], outcome: np.ndarray
) -> np.ndarray:
    """Outcome frequencies by cell, each coarser cell standing behind the finer one with the weight of ten rows."""
    probability = np.tile(
        (np.bincount(outcome, minlength=K) + 1) / (outcome.size + K), (len(test_cells[0]), 1)
    )
    for depth in range(1, len(cells) + 1):
        keys = np.stack(
            [
                *cells[:depth],
            ],
            axis=1,
        )
        wanted = np.stack(
            [
                *test_cells[:depth],
            ],
            axis=1,
        )
        both, where = np.unique(np.vstack([keys, wanted]), axis=0, return_inverse=True)
        counts = np.zeros((len(both), K))
        np.add.at(counts, (where[: len(keys)], outcome), 1)
        mine = counts[where[len(keys) :]]
        probability = (mine + 10 * probability) / (mine.sum(axis=1, keepdims=True) + 10)
    return probability


def _stayers_by_stage_and_n(
    train: pa.Table, test: pa.Table, definitions: Definitions
) -> np.ndarray:
    stays = ~train["churned"].to_numpy()
    kept = train.filter(pa.array(stays))
    outcome = stage_index(kept["outcome_stage"].to_numpy())

    def cells(rows: pa.Table) -> list[np.ndarray]:
        return [stage_index(rows["stage"].to_numpy()), np.minimum(rows["n"].to_numpy(), 6)]

    q = _by_cell(cells(kept), cells(test), outcome)
    return floored(q, reachable_of(test, definitions), rows_behind=kept.num_rows)
