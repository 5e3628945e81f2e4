"""The lifetime value of a release, fitted on money that came within L days of past instants.

L is the longest horizon, up to the days in question, whose outcome was there at two dates;
else the horizon of churn. Without contracts a regression moves BG/NBD × Gamma–Gamma (a Tweedie
model with a log link whose offset they are: with a strong penalty it is they alone). With contracts
one number corrects the curve × the price. How far money lay from what was expected is read off the
same rows by risk and evidence, so p there must come from fits without the row's customer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from features.core.settings import Settings
from features.labels.later_money import money_column, money_matrix
from features.recipes.definitions import Definitions
from features.recipes.population_stats import PopulationStats
from serving.scoring.cover_money import PRICE, CoverMoney
from serving.scoring.curve import Curve
from serving.scoring.evidence import grades
from serving.scoring.lifetime_value import (
    LifetimeValue,
    MoneyModel,
    MoneySpread,
    ValueTerms,
    months_touched,
    risk_groups,
    spread_shape,
)
from serving.scoring.spending import (
    AMOUNT,
    REFUNDS,
    PurchaseModels,
    Purchases,
    Spending,
    spending_inputs,
)
from training import parallel

STRENGTH = 0.1  # of the penalty of the regression
POWER = 1.5  # of the Tweedie variance: between a count (1) and a gamma (2)
FEWEST_ROWS, FEWEST_CUSTOMERS = 30, 10  # with money, else there is no answer
FEWEST_IN_CELL = 60  # rows of one risk and grade, else those of the risk, else all
LEAST_LEVEL, MOST_LEVEL = 0.2, 5.0  # a level beyond these is one of too few rows
LOW, HIGH = 0.05, 0.95
NO_MARGINS = "a margin of half of the amounts of a window (column margin of transactions)"
# A term of a minute has a price of a day that nobody pays: no price counts above this.
DEAR_QUANTILE, DEAREST = 0.99, 3.0


@dataclass(frozen=True)
class ValueRows:
    """Rows whose money is known: the table, P(churn) p and the money that came, (rows,) each.

    `within`: what the curve says of them, (rows, horizons).
    """

    rows: pa.Table
    p: np.ndarray
    within: np.ndarray
    came: np.ndarray


def missing_for_value(rows: pa.Table, settings: Settings) -> str | None:
    """What rows lack so that nothing can be said of money; None where they have it."""
    if settings.contractual:
        if PRICE not in rows.column_names:
            return f"the feature {PRICE}"
        priced = rows[PRICE].null_count < rows.num_rows
        return None if priced else "a price of terms with an end (column price of contracts)"
    if "transactions" not in settings.tables:
        return "a table of transactions"
    if AMOUNT not in rows.column_names:
        return f"the feature {AMOUNT}"
    # The money of a training row within the horizon of churn is always known, but for margins.
    money = rows[money_column(settings.money_horizons[0])]
    no_margin = settings.value.reads_margins and money.null_count == rows.num_rows
    return NO_MARGINS if no_margin else None


def fit_value(
    rows: pa.Table,
    p: np.ndarray,
    curve: Curve,
    settings: Settings,
    definitions: Definitions,
    population: PopulationStats,
    *,
    money: np.ndarray | None = None,
    margin_share: float = 1.0,
) -> LifetimeValue | None:
    """The value from labelled rows; None where they are too few, or nothing has money.

    p: P(churn) of each row from a fit without its customer, (rows,). `population`: of the newest
    instant among the rows. `money`: what of `money_matrix` was known; all of it if not given.
    `margin_share`: what share of the amounts of that instant the money is, above 0; the purchase
    models, which know amounts, begin at that level.
    """
    if missing_for_value(rows, settings):
        return None
    if money is None:
        money = money_matrix(rows, settings.money_horizons)
    terms, column = _terms(rows, money, curve, settings)
    known = ~np.isnan(money[:, column])
    rows, p, came = rows.filter(pa.array(known)), p[known], money[known, column]
    some = came > 0
    if settings.contractual:
        some &= ~np.isnan(rows[PRICE].to_numpy().astype(float))
    customers = len(set(rows["customer_id"].filter(pa.array(some)).to_pylist()))
    if some.sum() < FEWEST_ROWS or customers < FEWEST_CUSTOMERS:
        return None
    data = ValueRows(rows, p, curve.event_within(rows, p), came)
    model: MoneyModel | None = (
        _fit_cover(data, curve, terms)
        if settings.contractual
        else _fit_spending(data, terms, curve.horizon, population, definitions, margin_share)
    )
    if model is None:
        return None
    empty = MoneySpread(*(np.zeros(spread_shape()) for _ in range(3)))
    value = LifetimeValue(terms, model, empty, curve.horizons.index(terms.learned_days))
    return replace(value, spread=_spread(value, data, definitions))


def _terms(
    rows: pa.Table, money: np.ndarray, curve: Curve, settings: Settings
) -> tuple[ValueTerms, int]:
    """The question and what is learned, and the column of `money` that it is learned from."""
    as_of = rows["as_of"].to_numpy()
    column, twice = 0, False
    for position, days in enumerate(settings.money_horizons):
        dates = len(np.unique(as_of[~np.isnan(money[:, position])]))
        # The curve must say how probable activity is within the same days.
        known = all(days in curve.known_horizons(group) for group in curve.groups)
        if dates >= 2 and known:
            column, twice = position, True
    section = settings.value
    learned = settings.money_horizons[column]
    ends = as_of[~np.isnan(money[:, column])]
    months = {month for at in np.unique(ends) for month in months_touched(int(at), learned)}
    terms = ValueTerms(
        section.days,
        section.margin,
        section.annual_discount,
        learned,
        twice,
        tuple(sorted(months)),
    )
    return terms, column


def _fit_spending(
    data: ValueRows,
    terms: ValueTerms,
    horizon: int,
    population: PopulationStats,
    definitions: Definitions,
    margin_share: float,
) -> Spending | None:
    if not population.money_v > 0:
        return None
    unit = definitions.minor_units
    models = PurchaseModels(
        population.r,
        population.alpha,
        population.a,
        population.b,
        population.money_p,
        population.money_q,
        population.money_v / unit,
        margin_share,
    )
    reads_refunds = REFUNDS in data.rows.column_names
    purchases = Purchases(data.rows, models, horizon, reads_refunds=reads_refunds)
    stays = purchases.days_if_stays(float(terms.learned_days))
    inputs = spending_inputs(purchases, data.p, stays)
    churned = data.rows["churned"].to_numpy()
    if (~churned).sum() < FEWEST_ROWS or not (data.came[~churned] > 0).any():
        return None
    kept = inputs[~churned]
    mean, scale = kept.mean(axis=0), kept.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    low, high = kept.min(axis=0), kept.max(axis=0)
    offset = (stays * purchases.per_day)[~churned]
    # More may be given back than was paid; the mean of a Tweedie model is above 0.
    weights, intercept = _regression(
        (kept - mean) / scale, offset, np.maximum(data.came[~churned], 0)
    )
    model = Spending(
        models, horizon, mean, scale, low, high, weights, intercept, 1.0, reads_refunds
    )
    if terms.learned_days == horizon or not churned.any():
        return model
    expected = model.money_if_stays(purchases, data.p, stays) * np.minimum(
        purchases.days_if_left(float(terms.learned_days)) / stays, 1.0
    )
    share = _level(data.came[churned], expected[churned])
    return replace(model, later_share=share)


def _regression(
    inputs: np.ndarray, offset: np.ndarray, money: np.ndarray
) -> tuple[np.ndarray, float]:
    """(weights, intercept) of log E[money] = log offset + inputs · weights + intercept."""
    from sklearn.linear_model import TweedieRegressor

    # With a log link an offset is a division, and a weight of offset^(2 − power).
    weight = (offset / offset.mean()) ** (2 - POWER)
    model = TweedieRegressor(
        power=POWER, alpha=STRENGTH, link="log", solver="newton-cholesky", max_iter=300
    )
    with parallel.reproducible_fits():
        model.fit(inputs, money / offset, sample_weight=weight)
    return model.coef_, float(model.intercept_)


def _fit_cover(data: ValueRows, curve: Curve, terms: ValueTerms) -> CoverMoney | None:
    covered = data.rows["eligible"].to_numpy()
    price = data.rows[PRICE].to_numpy().astype(float)
    priced = price[covered & (price > 0)]
    if not len(priced):
        return None
    highest = DEAREST * float(np.quantile(priced, DEAR_QUANTILE))
    usual = float(np.minimum(priced, highest).mean())
    model = CoverMoney(curve.horizons, curve.horizon, 1.0, 1.0, usual, highest)
    expected = model.expect(data.rows, data.p, data.within, terms).learned
    known = ~np.isnan(expected)
    return replace(
        model,
        level=_level(data.came[covered & known], expected[covered & known]),
        level_gone=_level(data.came[~covered & known], expected[~covered & known]),
    )


def _level(came: np.ndarray, expected: np.ndarray) -> float:
    """What came over what was expected, drawn to 1 by as much as FEWEST_CUSTOMERS rows."""
    if not len(expected):
        return 1.0
    prior = FEWEST_CUSTOMERS * max(float(expected.mean()), 1e-12)
    ratio = (max(float(came.sum()), 0.0) + prior) / (float(expected.sum()) + prior)
    return float(np.clip(ratio, LEAST_LEVEL, MOST_LEVEL))


def _spread(value: LifetimeValue, data: ValueRows, definitions: Definitions) -> MoneySpread:
    """What came over what was expected, by risk and grade."""
    learned = value.model.expect(data.rows, data.p, data.within, value.terms).learned
    use = ~np.isnan(learned) & (learned > 0)
    risk = risk_groups(value.risk(data.rows, data.within, definitions))
    grade = grades(data.rows, definitions)
    ratio = np.maximum(data.came[use], 0.0) / learned[use]
    risk, grade = risk[use], grade[use]
    low, high, rows = (np.zeros(spread_shape()) for _ in range(3))
    for k in range(low.shape[0]):
        for g in range(low.shape[1]):
            cell = (risk == k) & (grade == g)
            rows[k, g] = cell.sum()
            for part in (cell, risk == k, np.abs(risk - k) <= 1):
                if part.sum() >= FEWEST_IN_CELL:
                    break
            else:
                part = np.ones(len(ratio), dtype=bool)
            low[k, g], high[k, g] = _ninety(ratio[part])
    return MoneySpread(low, high, rows.astype(int))


def _ninety(ratio: np.ndarray) -> tuple[float, float]:
    """The range of nine of ten: from 0 where one of twenty or more has nothing."""
    low, upper = np.quantile(ratio, LOW), HIGH
    if low <= 0:
        low, upper = 0.0, HIGH - LOW
    return float(low), float(np.quantile(ratio, upper))
