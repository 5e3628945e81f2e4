"""What goes with later money: how much worse customers are ranked when one thing is not known.

At several instants, one outcome window apart, a regression learned one window before ranks the
customers by the money of the window to come. A driver is shuffled, and the rank correlation falls
by its importance (Breiman 2001). What has the same direction at every instant is stable. Drivers
go together (who buys often also bought lately), so the importance of one is what the others do not
tell; and none is a lever: nobody was drawn by lot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import scipy.stats

from features.core.instants import DAY_US, day_text, midnight_before
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.indicator_data import NO_PURCHASE, YEAR_DAYS, IndicatorData, load

SLICES = 4  # instants; the oldest is learned from alone
FEWEST, FEWEST_LATER = 100, 20  # customers with a purchase, and with later money, at an instant
SHUFFLES, DRAWS, SEED, RIDGE = 2, 100, 7, 1.0
DRIVERS = (
    "days since the last purchase",
    "days with a purchase",
    "money of such a day",
    "days since the first purchase",
    "share given back",
    "categories bought",
    "complaints of the last year",
)
TOO_SHORT = (
    f"two instants one outcome window apart with {FEWEST} customers with a purchase, of whom "
    f"{FEWEST_LATER} bought in the window"
)
VALUE_DRIVERS = TableShape(
    "value_drivers",
    "importance: by how much the rank correlation of expected and later money falls when the "
    "driver is shuffled among customers; low and high: bootstrap over customers, 95 %; direction: "
    "what more of it goes with; stable: one direction at all instants, and an interval above 0 at "
    "each; rank_correlation: with all drivers. An association, and no lever",
    "customers with a purchase before the instant",
    {
        "instant": TEXT,
        "driver": TEXT,
        "direction": TEXT,
        "importance": NUMBER,
        "stable": TEXT,
        "rank_correlation": NUMBER,
    },
)
_KNOWN = """
SELECT who, ({at} - max(occurred_at) FILTER (bought)) / {day} AS recency,
       count(DISTINCT local_day) FILTER (bought) AS days,
       CAST(coalesce(sum(net) FILTER (bought), 0) AS DOUBLE) AS paid,
       CAST(coalesce(-sum(net) FILTER (NOT bought), 0) AS DOUBLE) AS given_back,
       ({at} - min(occurred_at) FILTER (bought)) / {day} AS age,
       count(DISTINCT category) FILTER (bought) AS categories
FROM {money} GROUP BY who HAVING bool_or(bought) ORDER BY who
"""
_LATER = """
SELECT who, CAST(sum(net) AS DOUBLE) AS later FROM money
WHERE occurred_at >= {at} AND occurred_at < {end} GROUP BY who
"""


def value_driver_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`value_drivers`: a row for each driver and instant, the newest instant first."""
    if not data.has_purchase:
        return {"value_drivers": VALUE_DRIVERS.say_missing(NO_PURCHASE, as_of=data.as_of)}
    window = data.settings.outcome_window_us
    zone = data.settings.zone
    instants = [
        midnight_before(data.as_of - window * (number + 1), zone) for number in range(SLICES)
    ]
    slices = [_slice(data, at) for at in instants]
    parts = []
    for at, newer, older in zip(instants, slices, slices[1:], strict=False):
        if newer is None or older is None:
            break
        parts += _judge(day_text(at, zone=zone), newer, older)
    if not parts:
        return {"value_drivers": VALUE_DRIVERS.say_missing(TOO_SHORT, as_of=data.as_of)}
    stable = _stable(parts)
    rows = [row | {"stable": stable[row["driver"]]} for row in parts]
    return {"value_drivers": VALUE_DRIVERS.fill_rows(rows, as_of=data.as_of)}


def _slice(data: IndicatorData, at: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The drivers (customers, drivers) as known at `at`, and the money of the window from it.

    None where too few customers say anything.
    """
    known = data.rows(_KNOWN.format(at=at, day=DAY_US, money=data.load_money_at(at)))
    if known.num_rows < FEWEST:
        return None
    end = at + data.settings.churn.horizon_days * DAY_US
    came = data.rows(_LATER.format(at=at, end=end))
    who = known["who"].to_numpy()
    later = np.zeros(len(who))
    place = np.searchsorted(who, came["who"].to_numpy())
    inside = (place < len(who)) & (who[np.minimum(place, len(who) - 1)] == came["who"].to_numpy())
    later[place[inside]] = came["later"].to_numpy()[inside]
    if (later > 0).sum() < FEWEST_LATER:
        return None
    column = {name: known[name].to_numpy().astype(float) for name in known.column_names}
    unit = 10**data.settings.minor_digits
    drivers = [
        np.log1p(column["recency"]),
        np.log(column["days"]),
        np.log1p(np.maximum(column["paid"], 0) / unit / column["days"]),
        np.log1p(column["age"]),
        column["given_back"] / np.maximum(column["paid"] + column["given_back"], 1),
        np.log1p(column["categories"]),
        np.log1p(_complaints(data, at, who)),
    ]
    return np.column_stack(drivers), np.maximum(later, 0) / unit


def _complaints(data: IndicatorData, at: int, who: np.ndarray) -> np.ndarray:
    """The complaints of the 365 days before `at`, as known then, (customers,)."""
    known = data.history.as_of(at)
    if "feedback" not in known.tables:
        return np.zeros(len(who))
    rows = known.tables["feedback"].select("customer_id", "occurred_at", "kind")
    create = (
        "CREATE OR REPLACE TABLE complained AS SELECT who, count(*) AS complaints FROM incoming "
        f"JOIN people USING (customer_id) WHERE kind = 'complaint' AND occurred_at >= "
        f"{at - YEAR_DAYS * DAY_US} GROUP BY who"
    )
    load(data.connection, rows.collect(backend="pyarrow").to_native(), create)
    counts = dict(
        zip(*(column.to_pylist() for column in data.rows("FROM complained")), strict=True)
    )
    return np.array([counts.get(each, 0) for each in who.tolist()], dtype=float)


def _judge(
    instant: str, newer: tuple[np.ndarray, np.ndarray], older: tuple[np.ndarray, np.ndarray]
) -> list[dict[str, Any]]:
    """A row for each driver that varies; learned from `older`, judged on `newer`."""
    mean, spread = older[0].mean(axis=0), older[0].std(axis=0)
    varies = spread > 1e-9
    weights = _fit((older[0] - mean) / np.where(varies, spread, 1.0), np.log1p(older[1]))
    inputs, later = (newer[0] - mean) / np.where(varies, spread, 1.0), newer[1]
    rng = np.random.default_rng(SEED)
    expected, places = inputs @ weights, np.flatnonzero(varies).tolist()
    ranks = scipy.stats.rankdata(later)
    whole = scipy.stats.rankdata(expected)
    shuffled = [
        [
            scipy.stats.rankdata(
                expected + (rng.permutation(inputs[:, place]) - inputs[:, place]) * weights[place]
            )
            for _ in range(SHUFFLES)
        ]
        for place in places
    ]
    correlation = _correlation(whole, ranks)
    falls = _drawn_falls(ranks, whole, [each[0] for each in shuffled], rng)
    rows = []
    for place, each, fall in zip(places, shuffled, falls, strict=True):
        importance = correlation - float(np.mean([_correlation(one, ranks) for one in each]))
        low, high = np.quantile(fall, (0.025, 0.975))
        rows.append(
            {
                "instant": instant,
                "driver": DRIVERS[place],
                "direction": "more money" if weights[place] > 0 else "less money",
                "importance": importance,
                "low": float(min(low, importance)),
                "high": float(max(high, importance)),
                "rank_correlation": correlation,
                "n": len(later),
            }
        )
    return rows


def _drawn_falls(
    later: np.ndarray, whole: np.ndarray, shuffled: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """By how much the correlation falls, with customers drawn again: (drivers, DRAWS).

    All are ranks (customers,). The ranks of the whole stay in a draw: ranking each draw anew would
    cost most of the time and change the ends of an interval by little.
    """
    every = np.column_stack([whole, *shuffled])
    centred, middle = every - every.mean(axis=0), later - later.mean()
    moments = np.column_stack([middle, middle**2, centred, centred**2, centred * middle[:, None]])
    count, many = len(later), every.shape[1]
    falls = np.empty((many - 1, DRAWS))
    for draw in range(DRAWS):
        weights = np.bincount(rng.integers(0, count, count), minlength=count)
        mean = weights @ moments / count
        first, square, rest = mean[0], mean[1], mean[2:].reshape(3, many)
        spread = np.sqrt((rest[1] - rest[0] ** 2) * (square - first**2))
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(spread > 0, (rest[2] - rest[0] * first) / spread, 0.0)
        falls[:, draw] = each[0] - each[1:]
    return falls


def _fit(inputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Ridge regression of y on standardised inputs, (drivers,)."""
    gram = inputs.T @ inputs + RIDGE * np.eye(inputs.shape[1])
    return np.linalg.solve(gram, inputs.T @ (y - y.mean()))


def _correlation(expected: np.ndarray, later: np.ndarray) -> float:
    """Of ranks (Spearman's); 0 where one side is constant."""
    if not np.ptp(expected) or not np.ptp(later):
        return 0.0
    return float(np.corrcoef(expected, later)[0, 1])


def _stable(rows: list[dict[str, Any]]) -> dict[str, str | None]:
    """`yes` or `no` by driver; None where it was judged at one instant alone."""
    result: dict[str, str | None] = {}
    for name in dict.fromkeys(row["driver"] for row in rows):
        mine = [row for row in rows if row["driver"] == name]
        same = len({row["direction"] for row in mine}) == 1 and all(row["low"] > 0 for row in mine)
        result[name] = None if len(mine) < 2 else "yes" if same else "no"
    return result
