"""The model of one target: the blend of the churn model, fitted on another label.

Rows of a target are examples of its population whose column `churned` holds the target's label, so
every fit, fold and baseline of churn is that of the target.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.settings import Settings
from features.labels.targets import label_column
from features.recipes.definitions import Definitions
from serving.scoring.parts import design_matrix, design_names
from serving.scoring.scorer import Calibration
from serving.scoring.targets import NO_SKILL, OK, TargetModel
from training.models import blend_search, churn, fit_rates, ridge
from training.models.blend_spec import BlendSpec
from training.models.booster_space import booster_space
from training.splits import tuning_folds

LABEL = "churned"
MIN_OF_EACH = churn.MIN_OF_EACH
MIN_CUSTOMERS_OF_EACH = churn.MIN_CUSTOMERS_OF_EACH
# From this correlation with churn on, a label asks the question of churn, or the opposite one.
SAME_QUESTION = 0.9


def rows_of_target(examples: pa.Table, name: str, population: str) -> pa.Table:
    """The examples of the population, with the target's label in the column `churned`."""
    rows = examples.filter(examples["eligible"]) if population == "eligible" else examples
    place = rows.column_names.index(LABEL)
    return rows.set_column(place, LABEL, rows[label_column(name)])


def count_labels(examples: pa.Table, name: str, population: str) -> dict[str, int]:
    """`rows` of the population, and the `positive` ones among them; nothing is copied."""
    mask = examples["eligible"].to_numpy() | (population != "eligible")
    labels = examples[label_column(name)].to_numpy() != 0
    return {"rows": int(mask.sum()), "positive": int((labels & mask).sum())}


def shortage(rows: pa.Table, settings: Settings) -> str | None:
    """What there is too little of to learn from these rows; None where there is enough."""
    labels = rows[LABEL].to_numpy()
    ids = rows["customer_id"]
    for answer, mask in ((1, labels), (0, ~labels)):
        customers = pc.count_distinct(ids.filter(pa.array(mask, pa.bool_()))).as_py()
        count = int(mask.sum())
        if count < MIN_OF_EACH or customers < MIN_CUSTOMERS_OF_EACH:
            return (
                f"{count:,} of {len(labels):,} training rows ({customers:,} customers) have label "
                f"{answer}; a model needs {MIN_OF_EACH} rows of at least {MIN_CUSTOMERS_OF_EACH} "
                "customers with each label"
            )
    if not tuning_folds(rows, outcome_window_us=settings.outcome_window_us).pairs:
        return "no fold of the training rows has both labels to fit on and to check on"
    return None


def direction_of_question(rows: pa.Table, name: str, population: str) -> Literal[-1, 0, 1]:
    """1 where the label nearly is that of churn, −1 where it nearly is the opposite, else 0.

    `rows`: examples with both labels, of which those of the population count. Features that are
    known to move churn in one direction move such a label in the same one, or in the opposite one.
    """
    mask = rows["eligible"].to_numpy() | (population != "eligible")
    target, left = rows[label_column(name)].to_numpy()[mask], rows[LABEL].to_numpy()[mask]
    if target.all() or left.all() or not target.any() or not left.any():
        return 0
    correlation = float(np.corrcoef(target, left)[0, 1])
    if abs(correlation) < SAME_QUESTION:
        return 0
    return 1 if correlation > 0 else -1


def search_target(
    rows: pa.Table, columns: tuple[str, ...], settings: Settings, *, name: str, direction: int
) -> BlendSpec:
    """The blend of one target, searched for like that of churn; `rows`: those of the target.

    `direction`: as of `direction_of_question`.
    """
    training = settings.training
    directions = {
        column: direction * way for column, way in churn.monotone_directions(columns).items()
    }
    return blend_search.search_blend(
        design_matrix(rows, columns),
        rows[LABEL].to_numpy().astype(int),
        names=design_names(columns),
        outputs=1,
        folds=tuning_folds(rows, outcome_window_us=settings.outcome_window_us),
        trials=training.trials,
        seconds=training.seconds,
        seed=training.seed,
        label=name,
        directions=directions if direction else None,
        space=booster_space(training.boosters),
        strengths=training.ridge.get("strengths", ridge.STRENGTHS),
    )


def fit_target(
    spec: BlendSpec,
    rows: pa.Table,
    columns: tuple[str, ...],
    settings: Settings,
    *,
    name: str,
    population: str,
) -> TargetModel:
    """The model of a target on all its rows, calibrated on predictions that are out of fold."""
    blend, calibration = churn.fit_churn_model(
        spec,
        rows,
        columns,
        outcome_window_us=settings.outcome_window_us,
        seed=settings.training.seed,
        # That cover cannot end says nothing of another label.
        contractual=False,
    )
    return TargetModel(name, population, OK, columns, blend, calibration, rows.num_rows)


def fit_without_tables(
    spec: BlendSpec,
    rows: pa.Table,
    later: pa.Table,
    columns: tuple[str, ...],
    settings: Settings,
    *,
    name: str,
    population: str,
) -> TargetModel:
    """The model on fewer columns, calibrated on the `later` rows, which it has not seen.

    As the sub-releases of churn (docs/decisions/027).
    """
    known = set(columns)
    spec = replace(
        spec,
        directions={column: way for column, way in spec.directions.items() if column in known},
        columns=tuple(column for column in spec.columns if column in known),
    )
    blend = churn.fit_churn_blend(
        spec,
        rows,
        columns,
        seed=settings.training.seed,
        contractual=False,
    )
    margin = blend.margins(design_matrix(later, columns))[:, 0]
    calibration = churn.calibrate(margin, later, window=settings.outcome_window_us)
    return TargetModel(name, population, OK, columns, blend, calibration, rows.num_rows)


def rate_of_target(
    rows: pa.Table,
    columns: tuple[str, ...],
    definitions: Definitions,
    *,
    name: str,
    population: str,
) -> TargetModel:
    """The target without skill: the rate of its rows, of the eligible and of the others apart."""
    rates = fit_rates.fit_base_rates(rows, columns, definitions)
    return TargetModel(name, population, NO_SKILL, columns, rates, Calibration(), rows.num_rows)
