"""Which stage comes next for those who stay: q(s | stays), learned from stayers' outcome stages."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from features.settings import Settings
from features.stages import STAGES
from serving.parts import Blend, Rate, design, design_names
from training import blending
from training.splits import Folds, customer_groups, tuning_folds

FEWEST = 100


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


def find(rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, seconds: float) -> blending.Ingredients:
    """Search on stayers; the classes are those of all stayers, so rare stages keep their place."""
    kept, training = stayers(rows), settings.training
    classes = classes_of(kept)
    labels = _labels(kept, classes)
    folds = tuning_folds(rows, settings)
    pairs = tuple((_of_stayers(rows, fit), _of_stayers(rows, check)) for fit, check in folds.pairs)
    pairs = tuple((fit, check) for fit, check in pairs if len(np.unique(labels[fit])) > 1 and check.size)
    if not pairs:
        halves = customer_groups(kept, groups=2)
        pairs, folds = ((np.flatnonzero(halves == 0), np.flatnonzero(halves == 1)),), Folds((), "grouped by customer")
    return blending.find(
        design(kept, columns), labels, names=design_names(columns), outputs=_outputs(classes),
        folds=Folds(pairs, folds.kind), trials=training.trials, seconds=seconds, seed=training.seed, label="next stage",
    )  # fmt: skip


def fit(
    ingredients: blending.Ingredients, rows: pa.Table, columns: tuple[str, ...], settings: Settings
) -> tuple[Blend, tuple[str, ...]]:
    kept = stayers(rows)
    classes = classes_of(kept)
    blend = blending.fit(ingredients, design(kept, columns), _labels(kept, classes), names=design_names(columns),
                         outputs=_outputs(classes), seed=settings.training.seed)  # fmt: skip
    return blend, classes


def frequencies(rows: pa.Table) -> tuple[Blend, tuple[str, ...]]:
    """Constant q: the outcome stages' frequencies among stayers (all stages alike where nobody stayed)."""
    kept = stayers(rows)
    classes = classes_of(kept) or STAGES[1:]
    counts = np.array([kept["outcome_stage"].to_pylist().count(stage) + 1 for stage in classes], dtype=float)
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
