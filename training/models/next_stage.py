"""The stage model: q(stage | stays), fitted on the outcome stages of customers who stayed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, Rate, design_matrix, design_names
from training.models import blend_search, blending, fit_cells, ridge
from training.models.blend_spec import BlendSpec
from training.models.booster_space import booster_space
from training.splits import (
    Folds,
    customer_groups,
    forward_splits,
    out_of_fold_groups,
    tuning_folds,
)

MIN_STAYERS = 100
# A share for frequencies by stage and activities: they change least when a business changes.
CELLS_WEIGHT = 0.2


def stayers(rows: pa.Table) -> pa.Table:
    return rows.filter(pa.array(~rows["churned"].to_numpy()))


def classes_of(rows: pa.Table) -> tuple[str, ...]:
    """The stages that stayers reached, in the order of STAGES."""
    seen = set(rows["outcome_stage"].to_pylist())
    return tuple(stage for stage in STAGES if stage in seen)


def has_enough_stayers(rows: pa.Table) -> bool:
    """Whether a model of q is worth fitting: MIN_STAYERS stayers and at least two stages."""
    stayed = stayers(rows)
    return stayed.num_rows >= MIN_STAYERS and len(classes_of(stayed)) > 1


def search_stage_model(
    rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, seconds: float
) -> BlendSpec:
    """Search on stayers; the classes are those of all stayers, so rare stages keep their place."""
    stayed, training = stayers(rows), settings.training
    classes = classes_of(stayed)
    labels = _labels(stayed, classes)
    return blend_search.search_blend(
        design_matrix(stayed, columns),
        labels,
        names=design_names(columns),
        outputs=_outputs(classes),
        folds=_stayer_folds(rows, stayed, labels, settings.outcome_window_us),
        trials=training.trials,
        seconds=seconds,
        seed=training.seed,
        space=booster_space(training.boosters),
        strengths=training.ridge.get("strengths", ridge.STRENGTHS),
        label="next stage",
    )


def _stayer_folds(
    rows: pa.Table, stayed: pa.Table, labels: np.ndarray, outcome_window_us: int
) -> Folds:
    """The tuning folds in row numbers of stayers; two halves of customers where none is usable."""
    folds = tuning_folds(rows, outcome_window_us=outcome_window_us)
    pairs = [(_stayer_rows(rows, fit), _stayer_rows(rows, check)) for fit, check in folds.pairs]
    usable = tuple(
        (fit, check) for fit, check in pairs if len(np.unique(labels[fit])) > 1 and check.size
    )
    if usable:
        return Folds(usable, folds.kind)
    halves = customer_groups(stayed, groups=2)
    pair = np.flatnonzero(halves == 0), np.flatnonzero(halves == 1)
    return Folds((pair,), "grouped by customer")


def fit_stage_model(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    *,
    seed: int,
    seeds: int = blending.SEEDS,
) -> tuple[Blend, tuple[str, ...]]:
    """(q fitted on all stayers, its classes). `seeds`: boosters of so many seeds."""
    stayed = stayers(rows)
    classes = classes_of(stayed)
    matrix, labels = design_matrix(stayed, columns), _labels(stayed, classes)
    outputs = _outputs(classes)
    blend = _fit_parts(spec, matrix, labels, columns, outputs, seed=seed, seeds=seeds)
    return blend, classes


def _fit_parts(
    spec: BlendSpec,
    matrix: np.ndarray,
    labels: np.ndarray,
    columns: tuple[str, ...],
    outputs: int,
    *,
    seed: int,
    seeds: int = blending.SEEDS,
) -> Blend:
    """The blend of ridge and boosters, and frequencies by cell with the weight CELLS_WEIGHT."""
    blend = blending.fit_blend(
        spec,
        matrix,
        labels,
        names=design_names(columns),
        outputs=outputs,
        seed=seed,
        seeds=seeds,
    )
    parts = [((1 - CELLS_WEIGHT) * weight, part) for weight, part in blend.parts]
    cells = fit_cells.fit_cells(matrix, labels, columns=columns, outputs=outputs)
    return Blend((*parts, (CELLS_WEIGHT, cells)))


def out_of_fold_margins(
    spec: BlendSpec, rows: pa.Table, columns: tuple[str, ...], *, seed: int
) -> np.ndarray:
    """Margins of q from fits without the row's customer, float64 (rows, classes).

    Also for rows that churned: q must be known before anybody knows who leaves. NaN where no such
    fit was possible. The groups of customers are those of `churn.out_of_fold_margins`, so neither
    p nor q of a row depends on its customer.
    """
    group = customer_groups(rows)
    splits = [(group != fold, group == fold) for fold in out_of_fold_groups(group)]
    classes = classes_of(stayers(rows))
    return _unseen_margins(spec, rows, columns, splits, classes=classes, seed=seed)


def forward_margins(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    *,
    classes: tuple[str, ...],
    dates: int,
    max_dates: int,
    outcome_window_us: int,
    seed: int,
) -> np.ndarray:
    """Margins of q (rows, classes) at the dates of `churn.forward_margins`; NaN elsewhere."""
    splits = forward_splits(
        rows["as_of"].to_numpy(),
        dates=dates,
        max_dates=max_dates,
        outcome_window_us=outcome_window_us,
    )
    return _unseen_margins(spec, rows, columns, list(splits), classes=classes, seed=seed)


def _unseen_margins(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    classes: tuple[str, ...],
    seed: int,
) -> np.ndarray:
    """Margins of q from a fit for each split (rows to fit on, rows to predict); NaN elsewhere."""
    matrix, outputs = design_matrix(rows, columns), _outputs(classes)
    outcome = rows["outcome_stage"].to_pylist()
    stays = ~rows["churned"].to_numpy() & np.isin(outcome, classes)
    number = {stage: at for at, stage in enumerate(classes)}
    labels = np.array([number.get(stage, 0) for stage in outcome], dtype=int)

    def fit(fit_on: np.ndarray) -> Blend | None:
        others = stays & fit_on
        if len(np.unique(labels[others])) < 2:
            return None
        return _fit_parts(
            spec,
            matrix[others],
            labels[others],
            columns,
            outputs,
            seed=seed,
            seeds=blending.EVAL_SEEDS,
        )

    return blending.predict_unseen(
        fit, matrix, splits, outputs=outputs, label="next stage, for prediction sets"
    )


def fit_frequencies(rows: pa.Table) -> tuple[Blend, tuple[str, ...]]:
    """(q, its classes): the frequencies of the outcome stages among stayers, equal for everybody.

    Where nobody stayed all stages are equally likely.
    """
    outcomes = stayers(rows)["outcome_stage"].to_pylist()
    classes = classes_of(stayers(rows)) or STAGES[1:]
    counts = np.array([outcomes.count(stage) + 1 for stage in classes], dtype=float)
    return Blend(((1.0, Rate(tuple(float(x) for x in np.log(counts / counts.sum())))),)), classes


def _outputs(classes: tuple[str, ...]) -> int:
    # One output would mean log-odds of two classes, so a single class has two outputs as well.
    return max(len(classes), 2)


def _labels(rows: pa.Table, classes: tuple[str, ...]) -> np.ndarray:
    number = {stage: at for at, stage in enumerate(classes)}
    return np.array([number[stage] for stage in rows["outcome_stage"].to_pylist()])


def _stayer_rows(rows: pa.Table, part: np.ndarray) -> np.ndarray:
    """Row numbers among all rows, as row numbers among stayers; churned rows are dropped."""
    stays = ~rows["churned"].to_numpy()
    position = np.cumsum(stays) - 1
    return position[part[stays[part]]]
