"""Where a model is good and where it is not: the metrics by stage, tenure, money and attributes.

A slice has metrics only from LEAST_ROWS rows on, with LEAST_OF_EACH on either side; a smaller one
is marked `too_few`. Levels of an attribute with fewer rows are one slice, `other`, so that no
customer can be recognised.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.recipes.definitions import Definitions
from features.recipes.stages import STAGES
from features.recipes.state_columns import tenure_us
from serving.scoring.scorer import apply_floor, inactive_index, reachable_from_rows, stage_index
from training import metrics

LEAST_ROWS, LEAST_OF_EACH = 200, 20
MOST_ATTRIBUTES = 5
FIRST_ATTRIBUTES = ("channel", "region", "segment")
OTHER, UNKNOWN = "other", "unknown"
TRAINED_ON, NEVER_TRAINED_ON = "trained on", "never trained on"
K = len(STAGES)
PRIOR_ROWS = 2  # rows of everybody's rate added to a slice's own rate


@dataclass(frozen=True)
class Cut:
    """One way to cut rows into slices along a `dimension`.

    `early` and `late`: the slice's number (index in `names`) of each training and evaluation row.
    """

    dimension: str
    names: tuple[str, ...]
    early: np.ndarray
    late: np.ndarray


def cuts(early: pa.Table, late: pa.Table, definitions: Definitions) -> list[Cut]:
    """Every cut of these rows into two or more slices.

    By stage, tenure, value, and the text attributes of the release. An attribute counts as known
    at each row's as_of, by the columns it has there.
    """
    all_cuts = [
        Cut("stage", STAGES, *(stage_index(rows["stage"].to_numpy()) for rows in (early, late))),
        _cut_into_thirds("tenure", _tenure(early), _tenure(late), "{} days"),
    ]
    if "amount_all" in late.column_names:
        early_amounts, late_amounts = (_floats(rows, "amount_all") for rows in (early, late))
        all_cuts.append(_cut_into_thirds("value", early_amounts, late_amounts, "{} spent"))
    all_cuts += _attribute_cuts(early, late, definitions)
    return [cut for cut in all_cuts if len(np.unique(cut.late)) > 1]


def _attribute_cuts(early: pa.Table, late: pa.Table, definitions: Definitions) -> list[Cut]:
    """By up to MOST_ATTRIBUTES text attributes, FIRST_ATTRIBUTES first."""
    texts = [attribute for attribute in definitions.attributes if attribute.type == "text"]
    texts.sort(
        key=lambda one: FIRST_ATTRIBUTES.index(one.name) if one.name in FIRST_ATTRIBUTES else K
    )
    levels_of = {
        one.name: [(level, column) for level, column in one.columns if column in late.column_names]
        for one in texts
    }
    usable = [(name, levels) for name, levels in levels_of.items() if levels]
    # Without amounts there is no cut by value, and room for one attribute more.
    room = MOST_ATTRIBUTES if "amount_all" in late.column_names else MOST_ATTRIBUTES + 1
    return [_cut_by_level(name, levels, early, late) for name, levels in usable[:room]]


def cut_by_training(early: pa.Table, late: pa.Table) -> Cut:
    """Customers with a training row, and customers without any."""
    known = set(early["customer_id"].to_pylist())
    new = np.array(
        [customer not in known for customer in late["customer_id"].to_pylist()], dtype=int
    )
    early_numbers = np.zeros(early.num_rows, dtype=int)
    return Cut("customers", (TRAINED_ON, NEVER_TRAINED_ON), early_numbers, new)


def _tenure(rows: pa.Table) -> np.ndarray:
    return tenure_us(rows) / DAY_US


def _floats(rows: pa.Table, name: str) -> np.ndarray:
    return rows[name].to_numpy(zero_copy_only=False).astype(float)


def _cut_into_thirds(dimension: str, early: np.ndarray, late: np.ndarray, unit: str) -> Cut:
    """About a third of the evaluation rows each; edges are round, equal values share a slice."""
    known = late[~np.isnan(late)]
    quantiles = np.quantile(known, (1 / 3, 2 / 3)) if known.size else []
    edges = sorted({_round(float(value)) for value in quantiles})
    texts = [f"{edge:,.10g}" for edge in edges]
    names = [f"{low} to {high}" for low, high in itertools.pairwise(texts)]
    names = [f"up to {texts[0]}", *names, f"over {texts[-1]}"] if texts else ["all"]

    def number(values: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(values), len(names), np.searchsorted(edges, values, side="left"))

    all_names = (*(unit.format(name) for name in names), UNKNOWN)
    return Cut(dimension, all_names, number(early), number(late))


def _round(value: float) -> float:
    """Two digits, so that an edge is not the value of one customer."""
    return round(value, 1 - math.floor(math.log10(abs(value)))) if value else 0.0


def _cut_by_level(
    dimension: str, levels: Sequence[tuple[str, str]], early: pa.Table, late: pa.Table
) -> Cut:
    """One slice per level of a text attribute.

    Levels with fewer than LEAST_ROWS evaluation rows are `other`, like those without a column.
    """
    frequent = [
        (level, column)
        for level, column in levels
        if np.nansum(_floats(late, column)) >= LEAST_ROWS
    ]
    names = (*(level for level, _ in frequent), OTHER, UNKNOWN)

    def number(rows: pa.Table) -> np.ndarray:
        out = np.full(rows.num_rows, len(frequent))
        for at, (_, column) in enumerate(frequent):
            out[_floats(rows, column) == 1] = at
        out[np.isnan(_floats(rows, levels[0][1]))] = len(frequent) + 1
        return out

    return Cut(dimension, names, number(early), number(late))


def churn_slices(
    cut: Cut, *, early: pa.Table, y: np.ndarray, p: np.ndarray, customers: np.ndarray
) -> list[dict[str, Any]]:
    """The slices of a cut for churn, next to each slice's own rate in training.

    `y` (bool) and `p` (rows,) are of the evaluation rows.
    """
    churned = early["churned"].to_numpy()
    rate, edge = (churned.sum() + 1) / (len(churned) + 2), 1 / (2 * max(len(churned), 1))
    outcomes = np.stack([~churned, churned], axis=1)
    own = _training_rates(cut, outcomes, np.array([1 - rate, rate]))[:, 1]
    losses = metrics.log_losses(y, p)
    base_losses = metrics.log_losses(y, np.clip(own, edge, 1 - edge)[cut.late])

    def figures(m: np.ndarray) -> dict[str, Any]:
        each = metrics.churn_metrics(y[m], p[m])
        return {name: each[name] for name in ("rate", "auroc", "auroc_low", "auroc_high", "ece")}

    return _table(cut, losses, base_losses, customers, figures, y.astype(int))


def stage_slices(
    cut: Cut,
    *,
    early: pa.Table,
    late: pa.Table,
    outcome: np.ndarray,
    p: np.ndarray,
    customers: np.ndarray,
    definitions: Definitions,
) -> list[dict[str, Any]]:
    """The slices of a cut for the next stage, next to the slice's stage frequencies in training."""
    outcomes = stage_index(early["outcome_stage"].to_numpy())[:, None] == np.arange(K)
    own = _training_rates(cut, outcomes, (outcomes.sum(axis=0) + 1) / (len(outcomes) + K))
    possible = reachable_from_rows(late, definitions)
    possible[np.arange(late.num_rows), inactive_index(late)] = True
    base = apply_floor(own[cut.late], possible, training_rows=early.num_rows)

    def figures(m: np.ndarray) -> dict[str, Any]:
        each = metrics.stage_metrics(outcome[m], p[m])
        return {name: each[name] for name in ("accuracy", "macro_f1", "ranked_probability_score")}

    losses, base_losses = (metrics.stage_log_losses(outcome, each) for each in (p, base))
    return _table(cut, losses, base_losses, customers, figures, outcome)


def _training_rates(cut: Cut, outcomes: np.ndarray, overall: np.ndarray) -> np.ndarray:
    """The rate of each outcome in each slice's training rows, (slices, outcomes).

    `outcomes`: bool (training rows, outcomes); `overall`: everybody's rates (outcomes,).
    """
    counts = np.stack([outcomes[cut.early == at].sum(axis=0) for at in range(len(cut.names))])
    return (counts + PRIOR_ROWS * overall) / (counts.sum(axis=1, keepdims=True) + PRIOR_ROWS)


def _table(
    cut: Cut,
    losses: np.ndarray,
    base_losses: np.ndarray,
    customers: np.ndarray,
    figures: Callable[[np.ndarray], dict[str, Any]],
    outcome: np.ndarray,
) -> list[dict[str, Any]]:
    out = []
    for at, name in enumerate(cut.names):
        m = cut.late == at
        if m.any():
            row: dict[str, Any] = {"dimension": cut.dimension, "name": name, "rows": int(m.sum())}
            if has_enough(outcome[m]):
                row |= _figures(losses[m], base_losses[m], customers[m], figures(m))
            else:
                row["too_few"] = True
            out.append(row)
    return out


def has_enough(outcome: np.ndarray) -> bool:
    """Whether a slice has enough rows: LEAST_ROWS, and LEAST_OF_EACH beside the main outcome."""
    return len(outcome) >= LEAST_ROWS and len(outcome) - np.bincount(outcome).max() >= LEAST_OF_EACH


def _figures(
    losses: np.ndarray, base_losses: np.ndarray, customers: np.ndarray, figures: dict[str, Any]
) -> dict[str, Any]:
    """`relative`: our log loss divided by that of the slice's base rate; `difference` of both."""
    log_loss, base_log_loss = float(losses.mean()), float(base_losses.mean())
    row = {
        **figures,
        "log_loss": log_loss,
        "base_rate_log_loss": base_log_loss,
        "relative": log_loss / max(base_log_loss, metrics.NEGLIGIBLE),
        **metrics.paired_difference(losses, base_losses, customers),
    }
    return {name: None if value is None else round(value, 5) for name, value in row.items()}


def worst_slice(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The slice with the largest `relative` log loss; None where no slice has enough rows.

    `compared`: how many slices had enough rows. `verdict`: `worse than its own base rate` only
    where the interval says so.
    """
    large = [row for row in rows if not row.get("too_few")]
    if not large:
        return None
    worst = max(large, key=lambda row: (row["relative"], row["dimension"], row["name"]))
    keys = ("dimension", "name", "rows", "log_loss", "relative", "difference", "low", "high")
    words = metrics.verdict("its own base rate", worst)
    return {**{key: worst[key] for key in keys}, "compared": len(large), "verdict": words}
