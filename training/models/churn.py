"""Who will leave: the churn model from examples, calibrated on customers left out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.core.errors import NotEnoughData
from features.core.progress import steps
from features.core.settings import Settings
from features.recipes.recipe import FEATURES
from serving.scoring.parts import Blend, Rate, design, design_names, log_odds, logged
from serving.scoring.scorer import Calibration, ReasonReference, Scorer
from training import parallel
from training.models import blending, fit_calibration, fit_cannot_churn, simpler_models
from training.splits import customer_groups, left_out_groups, tuning_folds

FEWEST = 30
REFERENCE = 5000


def refuse_too_few(rows: pa.Table, settings: Settings) -> None:
    """NotEnoughData unless both outcomes are there often enough, also among eligible customers."""
    churned, eligible = rows["churned"].to_numpy(), rows["eligible"].to_numpy()
    left, stayed = int(churned.sum()), int((~churned).sum())
    got = (
        f"{len(churned):,} rows: {left:,} left, {stayed:,} stayed, {int(eligible.sum()):,} eligible"
    )
    if min(left, stayed) < FEWEST or not eligible.any():
        raise NotEnoughData(
            where="training churn",
            got=got,
            rule=f"The churn model needs {FEWEST} rows of customers who left and {FEWEST} who stayed, some eligible.",
            fix="Bring more history or customers, shorten [churn] horizon_days, or widen [churn] eligible_days.",
        )


def search_churn_model(
    rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, seconds: float
) -> blending.BlendSpec:
    """The blend searched for up to `seconds`, or the simpler model that `[training] churn_model` names."""
    training, names, folds = settings.training, design_names(columns), tuning_folds(rows, settings)
    matrix, labels = design(rows, columns), rows["churned"].to_numpy().astype(int)
    if training.churn_model != simpler_models.BLEND:
        return blending.find_simple(
            training.churn_model, matrix, labels, names=names, columns=columns, folds=folds
        )
    return blending.search_blend(
        matrix,
        labels,
        names=names,
        outputs=1,
        folds=folds,
        trials=training.trials,
        seconds=seconds,
        seed=training.seed,
        label="churn",
        directions=directions(columns),
    )


def directions(columns: tuple[str, ...]) -> dict[str, int]:
    """The columns whose effect on leaving has a certain direction (stated with the feature): 1 up, −1 down."""
    return {
        name: FEATURES[name].leaving
        for name in columns
        if name in FEATURES and FEATURES[name].leaving
    }


def left_out(
    ingredients: blending.BlendSpec, rows: pa.Table, columns: tuple[str, ...], settings: Settings
) -> np.ndarray:
    """Each row's log-odds from a fit without its customer, float64 (rows,), NaN where no such fit was possible.

    A few fits give every date: each saw all dates, but no row of the customers it answers for. NaN too for rows that
    no model answers (`training.models.fit_cannot_churn`).
    """
    matrix, labels = design(rows, columns), rows["churned"].to_numpy().astype(int)
    group, margin = customer_groups(rows), np.full(rows.num_rows, np.nan)
    for away in steps(left_out_groups(group), label="churn: calibration"):
        parallel.check_cancelled()
        others, mine = group != away, group == away
        if mine.any() and len(np.unique(labels[others])) == 2:
            part = blending.fit(
                ingredients,
                matrix[others],
                labels[others],
                names=design_names(columns),
                outputs=1,
                seed=settings.training.seed,
                seeds=blending.ASIDE,
            )
            margin[mine] = part.margins(matrix[mine])[:, 0]
    never = fit_cannot_churn.settled(matrix, labels, columns, settings)
    return margin if never is None else np.where(never.rows(matrix), np.nan, margin)


def forward(
    ingredients: blending.BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    settings: Settings,
    *,
    dates: int,
) -> np.ndarray:
    """Log-odds at up to `dates` of the newest as_of, a window apart, from fits on what had closed before each; else NaN."""
    matrix, labels, as_of = (
        design(rows, columns),
        rows["churned"].to_numpy().astype(int),
        rows["as_of"].to_numpy(),
    )
    window = settings.outcome_window_us
    margin, judged = np.full(rows.num_rows, np.nan), np.unique(as_of)[-1:]
    for _ in steps(range(dates), label="churn: forward in time"):
        parallel.check_cancelled()
        fit_on, now = as_of + window <= judged.max(initial=0), as_of == judged.max(initial=0)
        if len(np.unique(labels[fit_on])) < 2:
            break
        part = blending.fit(
            ingredients,
            matrix[fit_on],
            labels[fit_on],
            names=design_names(columns),
            outputs=1,
            seed=settings.training.seed,
            seeds=blending.ASIDE,
        )
        margin[now] = part.margins(matrix[now])[:, 0]
        judged = as_of[fit_on]
    return margin


def fit(
    ingredients: blending.BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    settings: Settings,
    *,
    margin: np.ndarray | None = None,
) -> tuple[Blend, Calibration]:
    """The blend on all rows, and its calibration from customer-left-out margins: chosen early, fitted at the newest as_of.

    `margin`: what `left_out` gave for these rows, where it is known already.
    """
    margin = left_out(ingredients, rows, columns, settings) if margin is None else margin
    matrix, labels = design(rows, columns), rows["churned"].to_numpy().astype(int)
    known = ~np.isnan(margin)
    blend = blending.fit(
        ingredients,
        matrix,
        labels,
        names=design_names(columns),
        outputs=1,
        seed=settings.training.seed,
    )
    never = fit_cannot_churn.settled(matrix, labels, columns, settings)
    blend = blend if never is None else Blend((*blend.parts, (1.0, never)))
    customers = rows["customer_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    window = settings.outcome_window_us
    return blend, fit_calibration.calibrate(
        margin[known],
        labels[known].astype(bool),
        rows["as_of"].to_numpy()[known],
        customers[known],
        window=window,
    )


def bearings(scorer: Scorer, rows: pa.Table) -> ReasonReference:
    """What is typical of eligible rows (of all where they are few): against it reasons are told.

    Over everyone whatever tells old leavers apart would drown the rest. Mean contributions come from up to REFERENCE
    rows, evenly spaced; the scores do not depend on them.
    """
    columns, eligible = scorer.columns, rows.filter(rows["eligible"])
    rows = eligible if eligible.num_rows >= FEWEST else rows
    some = rows.take(
        pa.array(
            np.unique(np.linspace(0, rows.num_rows - 1, min(rows.num_rows, REFERENCE)).astype(int))
        )
    )
    moved = tuple(
        float(value) for value in scorer.contributions(some)[:, : len(columns)].mean(axis=0)
    )
    values, churned = (
        logged(design(rows, columns)[:, : len(columns)]),
        rows["churned"].to_numpy().astype(float),
    )
    typical, direction = [], []
    for column in values.T:
        seen = ~np.isnan(column)
        away = column[seen] - column[seen].mean() if seen.any() else np.zeros(0)
        left = churned[seen] - churned[seen].mean() if seen.any() else np.zeros(0)
        spread = (away @ away) * np.sqrt(max(left @ left, 1e-12))
        typical.append(float(column[seen].mean()) if seen.any() else 0.0)
        direction.append(
            float(away @ left / spread * np.sqrt(seen.sum())) if spread > 1e-9 else 0.0
        )
    return ReasonReference(tuple(typical), tuple(direction), moved)


def base_rate(rows: pa.Table) -> Blend:
    """The share that left, one success and one failure added: the score when nothing better is known."""
    churned = rows["churned"].to_numpy()
    rate = (churned.sum() + 1) / (len(churned) + 2)
    return Blend(((1.0, Rate((float(log_odds(rate)),))),))
