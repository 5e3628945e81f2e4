"""The pyramid: how unequal customers are in their money, and how far that goes on.

Of the customers with a purchase in the last 365 days: the Lorenz curve (Lorenz 1905), the Gini
coefficient and the money of the top fifth. The same of the customers of 365 days before as_of, as
known then, beside what that top fifth brought afterwards. A customer whose refunds are above their
purchases counts as 0 here, so that no curve leaves the square.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, YEAR_DAYS, IndicatorData

PYRAMID = TableShape(
    "pyramid",
    "lorenz: share of the money that the customers with the least have, by share of customers; "
    "gini: twice the area between that curve and the diagonal; top_20_share: share of the money of "
    "the fifth of the customers with the most, by the year that is named last; low and high: 95 % "
    "bootstrap over customers",
    "customers with a purchase in the year",
    {"year": TEXT, "measure": TEXT, "customer_share": NUMBER, "value": NUMBER},
)
LAST_YEAR, YEAR_BEFORE, LATER = "last year", "year before", "last year, by the year before"
TOP, TOP_SHARE = 0.2, "top_20_share"
POINTS = np.arange(101) / 100
REPLICATES, SEED = 200, 7
_IN_YEAR = "occurred_at >= {since} AND occurred_at < {until}"
_YEAR = f"greatest(coalesce(sum(net) FILTER ({_IN_YEAR}), 0), 0)"
_GROUPS = """
WITH past AS (
    SELECT who, {past} AS past FROM {money} GROUP BY who
    HAVING count(*) FILTER (bought AND occurred_at >= {since}) > 0
), later AS (SELECT who, {later} AS later FROM money GROUP BY who)
SELECT past.past, coalesce(later.later, 0) AS later, count(*) AS customers
FROM past LEFT JOIN later USING (who) GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class MoneyGroups:
    """Groups of customers who are equal in both years: their money and how many: (groups,) each.

    Money is in minor units, at least 0, and groups are in the order of past, then later money.
    """

    past: np.ndarray
    later: np.ndarray
    customers: np.ndarray

    @property
    def n(self) -> int:
        return int(self.customers.sum())


def pyramid_table(data: IndicatorData) -> dict[str, pa.Table]:
    """Lorenz points, Gini and top-20 % share of the last year and of the year before, and later."""
    now = _money_groups(data, "money", at=data.as_of)
    before = _money_groups(data, data.load_money_at(data.year_ago), at=data.year_ago)
    unknown = f"money that was known {YEAR_DAYS} days before as_of"
    later = "later money of the customers of the year before" if before.n else unknown
    last_year = "money in the last year" if data.has_purchase else NO_PURCHASE
    tables = [
        *_rows(data, now, {LAST_YEAR: now.past}, [last_year]),
        *_rows(data, before, {YEAR_BEFORE: before.past, LATER: before.later}, [unknown, later]),
    ]
    return {"pyramid": pa.concat_tables(tables)}


def _money_groups(data: IndicatorData, money: str, *, at: int) -> MoneyGroups:
    """The customers with a purchase in the 365 days before `at`, and their money from it on."""
    since = at - YEAR_DAYS * DAY_US
    rows = data.rows(
        _GROUPS.format(
            money=money,
            since=since,
            past=_YEAR.format(since=since, until=at),
            later=_YEAR.format(since=at, until=data.as_of),
        )
    )
    past, later, customers = (column.cast(pa.float64()).to_numpy() for column in rows.columns)
    return MoneyGroups(past, later, customers.astype(np.int64))


def _rows(
    data: IndicatorData, groups: MoneyGroups, years: dict[str, np.ndarray], missing: list[str]
) -> Iterator[pa.Table]:
    """The rows of each year; one that says what is missing where its money is 0."""
    intervals = _bootstrap(groups, list(years.values()))
    for (year, money), interval, sentence in zip(years.items(), intervals, missing, strict=True):
        if not (money * groups.customers).sum() > 0:
            yield PYRAMID.say_missing(sentence, as_of=data.as_of, year=year)
            continue
        values = _measure(groups, money, groups.customers)
        names: list[tuple[str, float | None]] = [(TOP_SHARE, TOP)]
        if year != LATER:
            names += [("gini", None), *(("lorenz", float(point)) for point in POINTS)]
        rows = [
            {
                "year": year,
                "measure": measure,
                "customer_share": share,
                "value": float(values[place]),
                "n": groups.n,
                "low": float(interval[0, place]),
                "high": float(interval[1, place]),
            }
            for place, (measure, share) in enumerate(names)
        ]
        yield PYRAMID.fill_rows(rows, as_of=data.as_of)


def _measure(groups: MoneyGroups, money: np.ndarray, customers: np.ndarray) -> np.ndarray:
    """(2 + points,): top-20 % share, Gini, Lorenz points; `customers`: how many of each group.

    Customers with equal past money are one step of the curve: which of them is in the top is open,
    and their later money is shared evenly.
    """
    starts = np.flatnonzero(np.r_[True, groups.past[1:] != groups.past[:-1]])
    counts = np.add.reduceat(customers.astype(np.float64), starts)
    sums = np.add.reduceat(customers * money, starts)
    if not sums.sum() > 0:
        return np.full(2 + len(POINTS), np.nan)
    x = np.r_[0.0, np.cumsum(counts)] / counts.sum()
    y = np.r_[0.0, np.cumsum(sums)] / sums.sum()
    x[-1] = y[-1] = 1.0
    curve = np.interp(POINTS, x, y)
    top = 1 - float(np.interp(1 - TOP, x, y))
    gini = 1 - float(np.sum(np.diff(x) * (y[1:] + y[:-1])))
    return np.r_[top, gini, curve]


def _bootstrap(groups: MoneyGroups, money: list[np.ndarray]) -> list[np.ndarray]:
    """For each kind of money the 2.5 % and 97.5 % quantiles: (2, measures) each.

    They are over draws of as many customers, with replacement, the same for every kind.
    """
    rng = np.random.default_rng(SEED)
    draws = [
        rng.multinomial(groups.n, groups.customers / groups.n)
        for _ in range(REPLICATES if groups.n else 0)
    ]
    return [
        np.nanquantile([_measure(groups, each, draw) for draw in draws], (0.025, 0.975), axis=0)
        if (each * groups.customers).sum() > 0
        else np.empty((2, 0))
        for each in money
    ]
