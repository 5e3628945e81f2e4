"""The evaluation of lifetime value: each horizon whose money is known, beside simpler answers.

Money is judged as it came: not discounted, all of it margin. Rank is what most uses need, level and
interval what a sum needs; so each has figures of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import scipy

from features.labels.later_money import money_matrix
from features.recipes.definitions import Definitions
from serving.scoring.cover_money import PRICE
from serving.scoring.curve import Curve
from serving.scoring.lifetime_value import LifetimeValue
from serving.scoring.spending import AMOUNT, Spending
from training import metrics

FEWEST_ROWS = 30
TOP = 0.1  # the share of customers whose later money is looked at
LIKELY = 0.9  # P(no activity) up to which an interval says more than "nothing"
DECILES = 10
RESAMPLES = 300
PAST, PURCHASES, PRICE_ALONE = "past money", "BG/NBD × Gamma–Gamma", "price × days"


def evaluate_value(
    value_of: Callable[[int], LifetimeValue | None],
    curve: Curve,
    test: pa.Table,
    p: np.ndarray,
    definitions: Definitions,
    horizons: tuple[int, ...],
) -> dict[str, Any]:
    """{"<h>d": figures} of each horizon of money whose outcome is known at the evaluation.

    With contracts of who has cover: the others pay nothing, and their order says nothing.
    value_of(days): the value of so many days, undiscounted and without a margin, from what was
    known at the evaluation; None where there is none. p: P(churn) of the test rows. The figures:
    rows, mean (what came), expected, mean_of_stayers and expected_if_stays (of who stayed), `rank`
    (Spearman), `top_share` (of the later money, what the tenth with the highest values brought),
    `coverage` of the interval, `coverage_likely` (of those who may well come), `deciles` (of ten,
    those whose mean lies in the bootstrap interval of what came, after one correction of the
    level), learned_days, `extrapolated`, `baselines` (rank and top_share) and `less_baseline` (the
    difference in rank, with its 95 % interval).
    """
    money, within = money_matrix(test, horizons), curve.event_within(test, p)
    judged = {}
    for position, days in enumerate(horizons):
        known = ~np.isnan(money[:, position])
        if known.sum() < FEWEST_ROWS or (value := value_of(days)) is None:
            continue
        answers = value.answers(test, p, within, definitions)
        known &= ~np.isnan(answers["clv"])
        if definitions.contractual:
            known &= test["eligible"].to_numpy()
        came = money[known, position]
        if known.sum() < FEWEST_ROWS or not came.sum() > 0:
            continue
        rows = test.filter(pa.array(known))
        risk = value.risk(test, within, definitions)[known]
        ours = {name: each[known] for name, each in answers.items()}
        baselines = _baselines(value, rows, days)
        judged[f"{days}d"] = {
            **_figures(ours, came, risk, rows),
            "learned_days": value.terms.learned_days,
            "extrapolated": value.terms.extrapolated,
            **_baseline_figures(ours["clv"], came, baselines, rows["customer_id"].to_numpy()),
        }
    return judged


def _baselines(value: LifetimeValue, rows: pa.Table, days: int) -> dict[str, np.ndarray]:
    """Simpler answers by name, (rows,) each."""
    answers = {}
    if AMOUNT in rows.column_names:
        answers[PAST] = np.nan_to_num(rows[AMOUNT].to_numpy().astype(float))
    if isinstance(value.model, Spending):
        purchases = value.model.purchases(rows)
        answers[PURCHASES] = purchases.days_expected(float(days)) * purchases.per_day
    elif PRICE in rows.column_names:
        price = np.nan_to_num(rows[PRICE].to_numpy().astype(float))
        answers[PRICE_ALONE] = np.where(rows["eligible"].to_numpy(), price, 0.0) * days
    return answers


def _figures(
    ours: Mapping[str, np.ndarray], came: np.ndarray, risk: np.ndarray, rows: pa.Table
) -> dict[str, Any]:
    low, high = ours["clv_low"], ours["clv_high"]
    # Where more was given back than paid, nothing came.
    inside = (came <= high) & ((came >= low) | (low <= 0))
    likely = risk < LIKELY
    stays = ~rows["churned"].to_numpy()
    return {
        "rows": len(came),
        "mean": float(came.mean()),
        "expected": float(ours["clv"].mean()),
        "mean_of_stayers": float(came[stays].mean()) if stays.any() else None,
        "expected_if_stays": float(ours["clv_if_stays"][stays].mean()) if stays.any() else None,
        "rank": _rank(ours["clv"], came),
        "top_share": _top_share(ours["clv"], came),
        "deciles": _deciles(ours["clv"], came),
        "coverage": float(inside.mean()),
        "coverage_likely": float(inside[likely].mean()) if likely.any() else None,
    }


def _baseline_figures(
    ours: np.ndarray,
    came: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    customers: np.ndarray,
) -> dict[str, Any]:
    """The figures of the baselines, and our rank correlation less theirs, over the customers."""
    ranks = _ranks(came)
    products = {name: ranks * _ranks(each) for name, each in baselines.items()}
    return {
        "baselines": {
            name: {"rank": _rank(each, came), "top_share": _top_share(each, came)}
            for name, each in baselines.items()
        },
        "less_baseline": metrics.paired_differences(products, ranks * _ranks(ours), customers)
        if products
        else {},
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, ties shared, with mean 0 and variance 1; zeros where all are equal."""
    ranks = scipy.stats.rankdata(values)
    ranks = ranks - ranks.mean()
    spread = ranks.std()
    return ranks / spread if spread > 0 else np.zeros(len(ranks))


def _rank(values: np.ndarray, came: np.ndarray) -> float:
    """Spearman's correlation with what came; 0 where all values are equal."""
    return float((_ranks(values) * _ranks(came)).mean())


def _top_share(values: np.ndarray, came: np.ndarray) -> float:
    """The share of the money that the tenth with the highest values brought; ties count in part."""
    came = np.maximum(came, 0.0)
    count = max(round(TOP * len(values)), 1)
    edge = np.partition(values, -count)[-count]
    above, at = values > edge, values == edge
    money = came[above].sum() + came[at].mean() * (count - above.sum())
    return float(money / came.sum()) if came.sum() > 0 else 0.0


def _deciles(values: np.ndarray, came: np.ndarray) -> int:
    """Of ten equal groups by value: those whose mean lies in the 95 % interval of what came."""
    came = np.maximum(came, 0.0)
    values = values * came.sum() / max(values.sum(), 1e-12)
    order = np.lexsort((np.arange(len(values)), values))
    random, inside = np.random.default_rng(0), 0
    for part in np.array_split(order, DECILES):
        drawn = came[part][random.integers(0, len(part), (RESAMPLES, len(part)))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        inside += int(low <= values[part].mean() <= high)
    return inside
