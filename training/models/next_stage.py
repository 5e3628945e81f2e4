"""Which stage comes next for those who stay: q(s | stays), learned from stayers' outcome stages."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.core.progress import steps
from features.core.settings import Settings
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, Rate, design, design_names
from training import parallel
from training.models import blending, fit_cells
from training.splits import Folds, customer_groups, left_out_groups, tuning_folds

FEWEST = 100
CELLS = 0.2  # a hedge: stage and activities alone move least when a business changes


def stayers(rows: pa.Table) -> pa.Table:
    return rows.filter(pa.array(~rows["churned"].to_numpy()))


def classes_of(rows: pa.Table) -> tuple[str, ...]:
    """The stages stayers reached, in the order of STAGES."""
    seen = set(rows["outcome_stage"].to_pylist())
    return tuple(stage for stage in STAGES if stage in seen)


def enough(rows: pa.Table) -> bool:
    """Whether a model of q is worth fitting: enough stayers, at least two stages, each on both sides of every fold."""
    kept = stayers(rows)
    return kept.num_rows >= FEWEST and len(classes_of(kept)) > 1


def search_stage_model(
    rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, seconds: float
) -> blending.BlendSpec:
    """Search on stayers; the classes are those of all stayers, so rare stages keep their place."""
    kept, training = stayers(rows), settings.training
    classes = classes_of(kept)
    labels = _labels(kept, classes)
    folds = tuning_folds(rows, settings)
    pairs = tuple((_of_stayers(rows, fit), _of_stayers(rows, check)) for fit, check in folds.pairs)
    pairs = tuple(
        (fit, check) for fit, check in pairs if len(np.unique(labels[fit])) > 1 and check.size
    )
    if not pairs:
        halves = customer_groups(kept, groups=2)
        pairs, folds = (
            ((np.flatnonzero(halves == 0), np.flatnonzero(halves == 1)),),
            Folds((), "grouped by customer"),
        )
    return blending.search_blend(
        design(kept, columns),
        labels,
        names=design_names(columns),
        outputs=_outputs(classes),
        folds=Folds(pairs, folds.kind),
        trials=training.trials,
        seconds=seconds,
        seed=training.seed,
        label="next stage",
    )


def fit(
    ingredients: blending.BlendSpec, rows: pa.Table, columns: tuple[str, ...], settings: Settings
) -> tuple[Blend, tuple[str, ...]]:
    kept = stayers(rows)
    classes = classes_of(kept)
    blend = _fit(
        ingredients,
        design(kept, columns),
        _labels(kept, classes),
        columns,
        _outputs(classes),
        settings,
    )
    return blend, classes


def _fit(
    ingredients: blending.BlendSpec,
    matrix: np.ndarray,
    labels: np.ndarray,
    columns: tuple[str, ...],
    outputs: int,
    settings: Settings,
    *,
    seeds: int = blending.SEEDS,
) -> Blend:
    """The blend of ridge and boosters, and with CELLS of the weight what became of stayers by stage and activities."""
    learned = blending.fit(
        ingredients,
        matrix,
        labels,
        names=design_names(columns),
        outputs=outputs,
        seed=settings.training.seed,
        seeds=seeds,
    )
    parts = [((1 - CELLS) * weight, part) for weight, part in learned.parts]
    return Blend((*parts, (CELLS, fit_cells.fit(matrix, labels, columns=columns, outputs=outputs))))


def left_out(
    ingredients: blending.BlendSpec, rows: pa.Table, columns: tuple[str, ...], settings: Settings
) -> np.ndarray:
    """Margins of q from fits without the row's customer, float64 (rows, classes), NaN where no such fit was possible.

    For every row, also of those who left: what is said of them before they leave. The groups of customers are those of
    `churn.left_out`, so nothing said of a row rests on its customer.
    """
    classes, matrix, group = classes_of(stayers(rows)), design(rows, columns), customer_groups(rows)
    out, stays = np.full((rows.num_rows, _outputs(classes)), np.nan), ~rows["churned"].to_numpy()
    of = np.zeros(rows.num_rows, dtype=int)
    of[stays] = _labels(stayers(rows), classes)
    for away in steps(left_out_groups(group), label="next stage: sets"):
        parallel.check_cancelled()
        others, mine = stays & (group != away), group == away
        if mine.any() and len(np.unique(of[others])) > 1:
            part = _fit(
                ingredients,
                matrix[others],
                of[others],
                columns,
                _outputs(classes),
                settings,
                seeds=blending.ASIDE,
            )
            out[mine] = part.margins(matrix[mine])
    return out


def frequencies(rows: pa.Table) -> tuple[Blend, tuple[str, ...]]:
    """Constant q: the outcome stages' frequencies among stayers (all stages alike where nobody stayed)."""
    kept = stayers(rows)
    classes = classes_of(kept) or STAGES[1:]
    counts = np.array(
        [kept["outcome_stage"].to_pylist().count(stage) + 1 for stage in classes], dtype=float
    )
    return Blend(((1.0, Rate(tuple(float(x) for x in np.log(counts / counts.sum())))),)), classes


def _outputs(classes: tuple[str, ...]) -> int:
    return max(len(classes), 2)


def _labels(rows: pa.Table, classes: tuple[str, ...]) -> np.ndarray:
    number = {stage: at for at, stage in enumerate(classes)}
    return np.array([number[stage] for stage in rows["outcome_stage"].to_pylist()])


def _of_stayers(rows: pa.Table, part: np.ndarray) -> np.ndarray:
    """Row numbers among all rows to row numbers among stayers."""
    stays = ~rows["churned"].to_numpy()
    position = np.cumsum(stays) - 1
    return position[part[stays[part]]]
