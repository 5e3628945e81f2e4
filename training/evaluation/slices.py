"""Where a model is good and where it is not: the same figures by stage, tenure, money and what customers are.

A slice speaks only where it has LEAST_ROWS rows and LEAST_OF_EACH on either side; a smaller one says that it is too
small. Levels of an attribute with fewer rows are one slice, `other`, so that nobody is named.
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
from serving.scoring.scorer import floored, inactive_index, reachable_of, stage_index
from training import metrics

LEAST_ROWS, LEAST_OF_EACH = 200, 20
MOST_ATTRIBUTES = 5
FIRST_ATTRIBUTES = ("channel", "region", "segment")
OTHER, UNKNOWN = "other", "unknown"
TRAINED_ON, NEVER = "trained on", "never trained on"
K = len(STAGES)
BEHIND = 2  # rows by which everybody's rate stands behind a slice's own


@dataclass(frozen=True)
class Cut:
    """One way to cut rows into slices: the slice's number (index in `names`) of each training and evaluation row."""

    of: str
    names: tuple[str, ...]
    early: np.ndarray
    late: np.ndarray


def cuts(early: pa.Table, late: pa.Table, definitions: Definitions) -> list[Cut]:
    """Every way these rows can be cut in two or more: stage, tenure, value, and the text attributes of the release.

    An attribute counts as known at each row's as_of, by the columns it has there.
    """
    found = [
        Cut("stage", STAGES, *(stage_index(rows["stage"].to_numpy()) for rows in (early, late)))
    ]
    found.append(_thirds("tenure", _tenure(early), _tenure(late), "{} days"))
    if "amount_all" in late.column_names:
        found.append(
            _thirds("value", _float(early, "amount_all"), _float(late, "amount_all"), "{} spent")
        )
    texts = [one for one in definitions.attributes if one.type == "text"]
    texts.sort(
        key=lambda one: FIRST_ATTRIBUTES.index(one.name) if one.name in FIRST_ATTRIBUTES else K
    )
    for one in texts:
        levels = [(level, column) for level, column in one.columns if column in late.column_names]
        if levels and len(found) < 3 + MOST_ATTRIBUTES:
            found.append(_levels(one.name, levels, early, late))
    return [cut for cut in found if len(np.unique(cut.late)) > 1]


def trained_on(early: pa.Table, late: pa.Table) -> Cut:
    """Customers with a training row, and customers without any."""
    known = set(early["customer_id"].to_pylist())
    new = np.array(
        [customer not in known for customer in late["customer_id"].to_pylist()], dtype=int
    )
    return Cut("customers", (TRAINED_ON, NEVER), np.zeros(early.num_rows, dtype=int), new)


def _tenure(rows: pa.Table) -> np.ndarray:
    return (rows["as_of"].to_numpy() - rows["first_at"].to_numpy()) / DAY_US


def _float(rows: pa.Table, name: str) -> np.ndarray:
    return rows[name].to_numpy(zero_copy_only=False).astype(float)


def _thirds(of: str, early: np.ndarray, late: np.ndarray, unit: str) -> Cut:
    """About a third of the evaluation rows each; edges are round, and equal values lie on one side."""
    known = late[~np.isnan(late)]
    quantiles = np.quantile(known, (1 / 3, 2 / 3)) if known.size else []
    edges = sorted({_round(float(value)) for value in quantiles})
    said = [f"{edge:,.10g}" for edge in edges]
    names = [f"{low} to {high}" for low, high in itertools.pairwise(said)]
    names = [f"up to {said[0]}", *names, f"over {said[-1]}"] if said else ["all"]

    def number(values: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(values), len(names), np.searchsorted(edges, values, side="left"))

    return Cut(of, (*(unit.format(name) for name in names), UNKNOWN), number(early), number(late))


def _round(value: float) -> float:
    """Two digits: an edge is nobody's own number."""
    return round(value, 1 - math.floor(math.log10(abs(value)))) if value else 0.0


def _levels(of: str, levels: Sequence[tuple[str, str]], early: pa.Table, late: pa.Table) -> Cut:
    """Levels that fewer than LEAST_ROWS evaluation rows have are `other`, like those the release has no column for."""
    held = [
        (level, column) for level, column in levels if np.nansum(_float(late, column)) >= LEAST_ROWS
    ]
    names = (*(level for level, _ in held), OTHER, UNKNOWN)

    def number(rows: pa.Table) -> np.ndarray:
        out = np.full(rows.num_rows, len(held))
        for at, (_, column) in enumerate(held):
            out[_float(rows, column) == 1] = at
        out[np.isnan(_float(rows, levels[0][1]))] = len(held) + 1
        return out

    return Cut(of, names, number(early), number(late))


def churn(
    cut: Cut, *, early: pa.Table, y: np.ndarray, p: np.ndarray, customers: np.ndarray
) -> list[dict[str, Any]]:
    """The slices of a cut for churn: y (bool) and p of the evaluation rows, beside each slice's own rate in training."""
    left = early["churned"].to_numpy()
    rate, edge = (left.sum() + 1) / (len(left) + 2), 1 / (2 * max(len(left), 1))
    own = _own(cut, np.stack([~left, left], axis=1), np.array([1 - rate, rate]))[:, 1]
    lost, base = metrics.losses(y, p), metrics.losses(y, np.clip(own, edge, 1 - edge)[cut.late])

    def figures(m: np.ndarray) -> dict[str, Any]:
        found = metrics.churn_metrics(y[m], p[m])
        return {name: found[name] for name in ("rate", "auroc", "auroc_low", "auroc_high", "ece")}

    return _table(cut, lost, base, customers, figures, y.astype(int))


def next_stage(
    cut: Cut,
    *,
    early: pa.Table,
    late: pa.Table,
    outcome: np.ndarray,
    p: np.ndarray,
    customers: np.ndarray,
    definitions: Definitions,
) -> list[dict[str, Any]]:
    """The slices of a cut for the next stage, beside how often each stage came in the slice's training rows."""
    came = stage_index(early["outcome_stage"].to_numpy())[:, None] == np.arange(K)
    own = _own(cut, came, (came.sum(axis=0) + 1) / (len(came) + K))
    possible = reachable_of(late, definitions)
    possible[np.arange(late.num_rows), inactive_index(late)] = True
    base = floored(own[cut.late], possible, rows_behind=early.num_rows)

    def figures(m: np.ndarray) -> dict[str, Any]:
        found = metrics.stage_metrics(outcome[m], p[m])
        return {name: found[name] for name in ("accuracy", "macro_f1", "ranked_probability_score")}

    lost, theirs = (metrics.stage_losses(outcome, each) for each in (p, base))
    return _table(cut, lost, theirs, customers, figures, outcome)


def _own(cut: Cut, came: np.ndarray, everybody: np.ndarray) -> np.ndarray:
    """How often each outcome (columns of `came`, bool) came in each slice's training rows, (slices, outcomes)."""
    counts = np.stack([came[cut.early == at].sum(axis=0) for at in range(len(cut.names))])
    return (counts + BEHIND * everybody) / (counts.sum(axis=1, keepdims=True) + BEHIND)


def _table(
    cut: Cut,
    lost: np.ndarray,
    base: np.ndarray,
    customers: np.ndarray,
    figures: Callable[[np.ndarray], dict[str, Any]],
    outcome: np.ndarray,
) -> list[dict[str, Any]]:
    out = []
    for at, name in enumerate(cut.names):
        m = cut.late == at
        if m.any():
            row = {"of": cut.of, "name": name, "rows": int(m.sum())}
            speaks = enough(outcome[m])
            out.append(
                row
                | (
                    _figures(lost[m], base[m], customers[m], figures(m))
                    if speaks
                    else {"too_few": True}
                )
            )
    return out


def enough(outcome: np.ndarray) -> bool:
    """Whether these rows can tell: LEAST_ROWS, LEAST_OF_EACH of them apart from the most frequent outcome."""
    return len(outcome) >= LEAST_ROWS and len(outcome) - np.bincount(outcome).max() >= LEAST_OF_EACH


def _figures(
    lost: np.ndarray, base: np.ndarray, customers: np.ndarray, figures: dict[str, Any]
) -> dict[str, Any]:
    """`relative`: our log loss in shares of what the slice's own base rate loses; `difference` with its interval."""
    told = {"log_loss": float(lost.mean()), "base_rate_log_loss": float(base.mean())}
    told["relative"] = told["log_loss"] / max(told["base_rate_log_loss"], metrics.SAME)
    found = figures | told | metrics.paired(lost, base, customers)
    return {name: None if value is None else round(value, 5) for name, value in found.items()}


def worst(tables: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The slice that loses most in shares of its own base rate, of how many that could tell; None where none can.

    `verdict`: `worse than its own base rate` only beyond the interval.
    """
    told = [row for row in tables if not row.get("too_few")]
    if not told:
        return None
    found = max(told, key=lambda row: (row["relative"], row["of"], row["name"]))
    keys = ("of", "name", "rows", "log_loss", "relative", "difference", "low", "high")
    words = metrics.verdict("its own base rate", found)
    return {**{key: found[key] for key in keys}, "among": len(told), "verdict": words}
