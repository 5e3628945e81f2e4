"""The value of a trained business again: with other settings, other money, other prices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from features.labels.later_money import (
    money_column,
)
from serving.scoring.lifetime_value import (
    LifetimeValue,
)
from training.models.fit_value import fit_value
from training.value import released_value


def refitted(business, **changes: object) -> tuple[LifetimeValue, pa.Table, np.ndarray]:
    """The value of a business with other keys of [value], with its refit rows and their p."""
    config = business.settings
    config = config.model_copy(update={"value": config.value.model_copy(update=changes)})
    rows = business.examples.rows_at(business.dates.refit)
    p = business.release.scorer.p_churn(rows)
    value = released_value(rows, p, business.release.curve, business.examples, config)
    assert value is not None
    return value, rows, p


def answers_of(business, value: LifetimeValue, rows: pa.Table, p: np.ndarray) -> dict:
    within = business.release.curve.event_within(rows, p)
    return value.answers(rows, p, within, business.release.scorer.definitions)


def changed_amounts(rows: pa.Table, horizons: tuple[int, ...], factor: float) -> pa.Table:
    """The rows with all money, past and later, times a factor."""
    for name in ("amount_all", *(money_column(days) for days in horizons)):
        place, values = rows.column_names.index(name), rows[name].to_numpy().astype(float)
        rows = rows.set_column(place, name, pa.array(values * factor, from_pandas=True))
    return rows


def fit_on(
    business, rows: pa.Table, p: np.ndarray | None = None, **stats: float
) -> LifetimeValue | None:
    population = replace(business.examples.population_stats[-1], **stats)
    p = business.release.scorer.p_churn(rows) if p is None else p
    definitions = business.release.scorer.definitions
    return fit_value(rows, p, business.release.curve, business.settings, definitions, population)


def with_price(rows: pa.Table, price: np.ndarray) -> pa.Table:
    return rows.set_column(
        rows.column_names.index("price_per_day"), "price_per_day", pa.array(price)
    )
