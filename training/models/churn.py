"""The churn model: fitted on examples, calibrated on out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.config_schema import CHURN_MODELS
from features.core.errors import NotEnoughData
from features.core.settings import Settings
from features.recipes.recipe import FEATURES
from serving.scoring.parts import Blend, design_matrix, design_names
from serving.scoring.scorer import Calibration
from training.models import (
    blend_search,
    blending,
    fit_calibration,
    fit_cannot_churn,
    ridge,
    simpler_models,
)
from training.models.blend_spec import BlendSpec
from training.models.booster_space import booster_space
from training.models.estimators.estimators_file import read_estimators
from training.splits import (
    customer_groups,
    forward_splits,
    out_of_fold_groups,
    tuning_folds,
)

MIN_OF_EACH = 30
# The rows of one customer at several dates say little more than one of them.
MIN_CUSTOMERS_OF_EACH = 10


def refuse_too_few(rows: pa.Table) -> None:
    """NotEnoughData unless both outcomes are frequent enough and somebody is eligible."""
    churned, eligible = rows["churned"].to_numpy(), rows["eligible"].to_numpy()
    left, stayed = int(churned.sum()), int((~churned).sum())
    customers = [
        pc.count_distinct(rows["customer_id"].filter(pa.array(who))).as_py()
        for who in (churned, ~churned)
    ]
    too_few = min(left, stayed) < MIN_OF_EACH or min(customers) < MIN_CUSTOMERS_OF_EACH
    if too_few or not eligible.any():
        raise NotEnoughData(
            where="training churn",
            got=f"{len(churned):,} rows: {left:,} left ({customers[0]:,} customers), {stayed:,} "
            f"stayed ({customers[1]:,} customers), {int(eligible.sum()):,} eligible",
            rule=f"The churn model needs {MIN_OF_EACH} rows of at least {MIN_CUSTOMERS_OF_EACH} "
            f"customers who left, {MIN_OF_EACH} of as many who stayed, and some eligible ones.",
            fix="Add older history or more customers, or change [churn] horizon_days (without "
            "contracts also [churn] eligible_days).",
        )


def refuse_unknown_churn_model(settings: Settings) -> None:
    """BadSetting where the file of own estimators is wrong, or has no estimator of that name."""
    estimators, name = read_estimators(settings), settings.training.churn_model
    if name not in CHURN_MODELS:
        estimators.named(name)


def search_churn_model(
    rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, seconds: float
) -> BlendSpec:
    """The blend, searched for up to `seconds`.

    Or the simpler model, or the business's own estimator, that `[training] churn_model` names.
    """
    training, names = settings.training, design_names(columns)
    folds = tuning_folds(rows, outcome_window_us=settings.outcome_window_us)
    matrix, labels = _matrix_and_labels(rows, columns)
    estimators = read_estimators(settings)
    if training.churn_model in simpler_models.COLUMNS:
        return blend_search.simple_model_spec(
            training.churn_model, matrix, labels, names=names, columns=columns, folds=folds
        )
    if training.churn_model != simpler_models.BLEND:
        return blend_search.own_model_spec(
            training.churn_model,
            matrix,
            labels,
            names=names,
            folds=folds,
            trials=training.trials,
            seconds=seconds,
            seed=training.seed,
            estimators=estimators,
        )
    return blend_search.search_blend(
        matrix,
        labels,
        names=names,
        outputs=1,
        folds=folds,
        trials=training.trials,
        seconds=seconds,
        seed=training.seed,
        space=booster_space(training.boosters),
        strengths=training.ridge.get("strengths", ridge.STRENGTHS),
        label="churn",
        directions=monotone_directions(columns),
        estimators=estimators,
    )


def _matrix_and_labels(rows: pa.Table, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(the design matrix (rows, columns + 14), churned as 0 or 1)."""
    return design_matrix(rows, columns), rows["churned"].to_numpy().astype(int)


def monotone_directions(columns: tuple[str, ...]) -> dict[str, int]:
    """The columns whose effect on churn has a certain direction: 1 up, −1 down.

    The feature's definition states it.
    """
    return {
        name: FEATURES[name].leaving
        for name in columns
        if name in FEATURES and FEATURES[name].leaving
    }


def out_of_fold_margins(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    *,
    seed: int,
    contractual: bool,
) -> np.ndarray:
    """Each row's log-odds from a fit without its customer, float64 (rows,).

    A few fits serve all dates: each saw all dates, but no row of the customers it predicts. NaN
    where no such fit was possible, and for rows that cannot churn (`fit_cannot_churn`).
    """
    matrix, labels = _matrix_and_labels(rows, columns)
    group = customer_groups(rows)
    splits = [(group != fold, group == fold) for fold in out_of_fold_groups(group)]
    margin = _unseen_margins(spec, matrix, labels, splits, columns, seed, label="for calibration")
    never = fit_cannot_churn.fit_cannot_churn(matrix, labels, columns, contractual=contractual)
    return margin if never is None else np.where(never.row_mask(matrix), np.nan, margin)


def _fit_for_evaluation(
    spec: BlendSpec,
    matrix: np.ndarray,
    labels: np.ndarray,
    columns: tuple[str, ...],
    seed: int,
) -> Blend:
    return blending.fit_blend(
        spec,
        matrix,
        labels,
        names=design_names(columns),
        outputs=1,
        seed=seed,
        seeds=blending.EVAL_SEEDS,
    )


def forward_margins(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    *,
    dates: int,
    max_dates: int,
    outcome_window_us: int,
    seed: int,
) -> np.ndarray:
    """Log-odds at up to `dates` of the newest as_of, an outcome window apart; NaN elsewhere.

    Each date's fit uses the newest `max_dates` dates whose outcome windows had closed before it.
    Float64 (rows,).
    """
    matrix, labels = _matrix_and_labels(rows, columns)
    splits = forward_splits(
        rows["as_of"].to_numpy(),
        dates=dates,
        max_dates=max_dates,
        outcome_window_us=outcome_window_us,
    )
    return _unseen_margins(spec, matrix, labels, list(splits), columns, seed, label="for intervals")


def _unseen_margins(
    spec: BlendSpec,
    matrix: np.ndarray,
    labels: np.ndarray,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    columns: tuple[str, ...],
    seed: int,
    *,
    label: str,
) -> np.ndarray:
    """Log-odds from a fit for each split (rows to fit on, rows to predict); NaN elsewhere."""

    def fit(fit_on: np.ndarray) -> Blend | None:
        if len(np.unique(labels[fit_on])) < 2:
            return None
        return _fit_for_evaluation(spec, matrix[fit_on], labels[fit_on], columns, seed)

    return blending.predict_unseen(fit, matrix, splits, outputs=1, label=f"churn, {label}")[:, 0]


def fit_churn_model(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    *,
    outcome_window_us: int,
    seed: int,
    contractual: bool,
    margin: np.ndarray | None = None,
) -> tuple[Blend, Calibration]:
    """The blend on all rows, and its calibration from out-of-fold margins.

    The calibration's kind is chosen on earlier dates and fitted at the newest as_of. `margin`:
    the `out_of_fold_margins` of these rows, where they are known already.
    """
    if margin is None:
        margin = out_of_fold_margins(spec, rows, columns, seed=seed, contractual=contractual)
    blend = fit_churn_blend(spec, rows, columns, seed=seed, contractual=contractual)
    return blend, calibrate(margin, rows, window=outcome_window_us)


def fit_churn_blend(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    *,
    seed: int,
    contractual: bool,
    seeds: int = blending.SEEDS,
) -> Blend:
    """The blend on all rows, not calibrated. `seeds`: boosters of so many seeds."""
    matrix, labels = _matrix_and_labels(rows, columns)
    blend = blending.fit_blend(
        spec, matrix, labels, names=design_names(columns), outputs=1, seed=seed, seeds=seeds
    )
    never = fit_cannot_churn.fit_cannot_churn(matrix, labels, columns, contractual=contractual)
    return blend if never is None else Blend((*blend.parts, (1.0, never)))


def calibrate(margin: np.ndarray, rows: pa.Table, *, window: int) -> Calibration:
    """The calibration of log-odds (rows,) from fits that had not seen the row; NaN is left out.

    `window`: the length of an outcome window with its label latency, in µs.
    """
    known = ~np.isnan(margin)
    customers = rows["customer_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return fit_calibration.fit_calibration(
        margin[known],
        rows["churned"].to_numpy()[known].astype(bool),
        rows["as_of"].to_numpy()[known],
        customers[known],
        window=window,
    )
