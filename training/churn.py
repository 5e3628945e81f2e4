"""Who will leave: the churn model from examples, calibrated on customers left out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.errors import NotEnoughData
from features.progress import steps
from features.settings import Settings
from serving.parts import Blend, Rate, design, design_names, log_odds, logged
from serving.scorer import Bearings, Calibration, Scorer
from training import blending, calibration
from training.splits import GROUPS, customer_groups, tuning_folds

FEWEST = 30
REFERENCE = 5000


def refuse_too_few(rows: pa.Table, settings: Settings) -> None:
    """NotEnoughData unless both outcomes are there often enough, also among eligible customers."""
    churned, eligible = rows["churned"].to_numpy(), rows["eligible"].to_numpy()
    left, stayed = int(churned.sum()), int((~churned).sum())
    got = f"{len(churned):,} rows: {left:,} left, {stayed:,} stayed, {int(eligible.sum()):,} eligible"
    if min(left, stayed) < FEWEST or not eligible.any():
        raise NotEnoughData(
            where="training churn", got=got,
            rule=f"The churn model needs {FEWEST} rows of customers who left and {FEWEST} who stayed, some eligible.",
            fix="Bring more history or customers, shorten [churn] horizon_days, or widen [churn] eligible_days.",
        )  # fmt: skip


def find(rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, seconds: float) -> blending.Ingredients:
    training = settings.training
    return blending.find(
        design(rows, columns), rows["churned"].to_numpy().astype(int), names=design_names(columns), outputs=1,
        folds=tuning_folds(rows, settings), trials=training.trials, seconds=seconds, seed=training.seed, label="churn",
    )  # fmt: skip


def fit(
    ingredients: blending.Ingredients, rows: pa.Table, columns: tuple[str, ...], settings: Settings
) -> tuple[Blend, Calibration]:
    """The blend on all rows, and its calibration from customer-left-out margins at the newest as_of."""
    matrix, labels = design(rows, columns), rows["churned"].to_numpy().astype(int)
    names, seed = design_names(columns), settings.training.seed
    group, newest = customer_groups(rows), rows["as_of"].to_numpy() == rows["as_of"].to_numpy().max()
    margin = np.full(rows.num_rows, np.nan)
    for left_out in steps(range(GROUPS), label="churn: calibration"):
        others, mine = group != left_out, (group == left_out) & newest
        if mine.any() and len(np.unique(labels[others])) == 2:
            part = blending.fit(ingredients, matrix[others], labels[others], names=names, outputs=1, seed=seed)
            margin[mine] = part.margins(matrix[mine])[:, 0]
    known = ~np.isnan(margin)
    blend = blending.fit(ingredients, matrix, labels, names=names, outputs=1, seed=seed)
    return blend, calibration.fit(margin[known], labels[known].astype(bool))


def bearings(scorer: Scorer, rows: pa.Table) -> Bearings:
    """What is typical of eligible rows (of all where they are few): against it reasons are told.

    Over everyone whatever tells old leavers apart would drown the rest. Mean contributions come from up to REFERENCE
    rows, evenly spaced; the scores do not depend on them.
    """
    columns, eligible = scorer.columns, rows.filter(rows["eligible"])
    rows = eligible if eligible.num_rows >= FEWEST else rows
    some = rows.take(pa.array(np.unique(np.linspace(0, rows.num_rows - 1, min(rows.num_rows, REFERENCE)).astype(int))))
    moved = tuple(float(value) for value in scorer.contributions(some)[:, : len(columns)].mean(axis=0))
    values, churned = logged(design(rows, columns)[:, : len(columns)]), rows["churned"].to_numpy().astype(float)
    typical, direction = [], []
    for column in values.T:
        seen = ~np.isnan(column)
        away = column[seen] - column[seen].mean() if seen.any() else np.zeros(0)
        left = churned[seen] - churned[seen].mean() if seen.any() else np.zeros(0)
        spread = (away @ away) * np.sqrt(max(left @ left, 1e-12))
        typical.append(float(column[seen].mean()) if seen.any() else 0.0)
        direction.append(float(away @ left / spread * np.sqrt(seen.sum())) if spread > 1e-9 else 0.0)
    return Bearings(tuple(typical), tuple(direction), moved)


def base_rate(rows: pa.Table) -> Blend:
    """The share that left, one success and one failure added: the score when nothing better is known."""
    churned = rows["churned"].to_numpy()
    rate = (churned.sum() + 1) / (len(churned) + 2)
    return Blend(((1.0, Rate((float(log_odds(rate)),))),))
