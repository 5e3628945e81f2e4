"""What textbooks claim, beside the data: each claim a hypothesis that was fixed before looking.

Who was eligible one outcome window before as_of is sorted by what was known then, and who stayed
is what came. A difference between such groups is an association: nobody drew them by lot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US, HOUR_US
from features.core.settings import Settings
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.indicator_data import YEAR_DAYS, IndicatorData
from features.indicators.intervals import difference_of_shares, wilson
from features.indicators.pyramid import LAST_YEAR, TOP_SHARE, pyramid_table
from features.indicators.satisfaction import SATISFIED
from features.indicators.worth_of_retention import period_discount, periods_worth
from features.recipes.item_means import score_scaled
from features.recipes.recipe import SCORE_SCALE
from features.tables.history import Known

HOLDS, NOT, OPEN = "holds", "does not hold", "cannot be told"
LEAST_DIFFERENCE = 0.03  # of shares: an interval below it says that there is none worth the name
FEWEST = 20  # customers of each group
RETENTION_GAIN = 0.05
PROFIT_CLAIM = 0.25
TOP_CLAIM = 0.8
TEXTBOOK = TableShape(
    "textbook",
    "share_with and share_without: of the customers eligible one outcome window before as_of, with "
    "and without the sign as known then, those who stayed; difference with its 95 % interval "
    "(Newcombe 1998). holds: the interval lies on the claimed side of 0; does not hold: no part of "
    f"it is as much as {LEAST_DIFFERENCE:.0%} on that side; else it cannot be told. Associations, "
    "and no effects. Claims about money have a definition of their own",
    "customers eligible one outcome window before as_of",
    {
        "claim": TEXT,
        "verdict": TEXT,
        "difference": NUMBER,
        "share_with": NUMBER,
        "share_without": NUMBER,
        "n_with": COUNT,
        "n_without": COUNT,
    },
)
Signs = dict[str, bool]  # customer_id -> whether the customer has the sign; absent: not known


@dataclass(frozen=True)
class Claim:
    """`stays_more`: whether those with the sign are claimed to stay more. `missing`: its inputs."""

    text: str
    stays_more: bool
    signs: Callable[[IndicatorData, Known], Signs | None]
    missing: str


def textbook_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`textbook`: one row per claim."""
    then = data.history.as_of(data.as_of - data.settings.outcome_window_us)
    outcomes = data.last_outcomes
    stayed = dict(
        zip(
            outcomes["customer_id"].to_pylist(),
            (not left for left in outcomes["churned"].to_pylist()),
            strict=True,
        )
    )
    tables = [_judge(data, then, claim, stayed) for claim in CLAIMS]
    tables += [_top_fifth(data), *_retention_pays(data, np.array(list(stayed.values()), bool))]
    return {"textbook": pa.concat_tables(tables)}


def _judge(data: IndicatorData, then: Known, claim: Claim, stayed: dict[str, bool]) -> pa.Table:
    signs = claim.signs(data, then)
    if signs is None:
        return TEXTBOOK.say_missing(claim.missing, as_of=data.as_of, claim=claim.text)
    groups = {
        has: np.array([stayed[who] for who, sign in signs.items() if sign == has and who in stayed])
        for has in (True, False)
    }
    counts = {has: len(group) for has, group in groups.items()}
    if min(counts.values()) < FEWEST:
        missing = (
            f"at least {FEWEST} eligible customers with the sign and as many without it "
            f"({claim.missing}); there are {counts[True]} and {counts[False]}"
        )
        return TEXTBOOK.say_missing(missing, as_of=data.as_of, claim=claim.text)
    successes = {has: int(group.sum()) for has, group in groups.items()}
    difference, low, high = difference_of_shares(
        successes[True], counts[True], successes[False], counts[False]
    )
    cells = {
        "claim": claim.text,
        "verdict": verdict(low, high, positive=claim.stays_more),
        "difference": difference,
        "share_with": successes[True] / counts[True],
        "share_without": successes[False] / counts[False],
        "n_with": counts[True],
        "n_without": counts[False],
        "n": sum(counts.values()),
        "low": low,
        "high": high,
    }
    return TEXTBOOK.fill_rows([cells], as_of=data.as_of)


def verdict(low: float, high: float, *, positive: bool) -> str:
    """HOLDS, NOT or OPEN of the interval of a difference, claimed to be above 0 or below."""
    if not positive:
        low, high = -high, -low
    if low > 0:
        return HOLDS
    return NOT if high < LEAST_DIFFERENCE else OPEN


def _frame(rows: nw.LazyFrame) -> pa.Table:
    return rows.collect(backend="pyarrow").to_native()


def _above_median(rows: nw.LazyFrame, value: nw.Expr) -> Signs:
    """Who has a value above the median of everybody; who has the median has no sign of either."""
    table = _frame(rows.group_by("customer_id").agg(value=value))
    values = table["value"].to_numpy().astype(float)
    if not len(values):
        return {}
    middle = np.median(values)
    pairs = zip(table["customer_id"].to_pylist(), values, strict=True)
    return {who: bool(value > middle) for who, value in pairs if value != middle}


def _often(data: IndicatorData, then: Known) -> Signs | None:
    return _above_median(then.activity, nw.col("occurred_at").count())


def _long_known(data: IndicatorData, then: Known) -> Signs | None:
    return _above_median(then.activity, then.instant - nw.col("occurred_at").min())


def _channels(data: IndicatorData, then: Known) -> Signs | None:
    rows = then.tables[data.settings.activity.table].filter(~nw.col("channel").is_null())
    table = _frame(rows.group_by("customer_id").agg(count=nw.col("channel").n_unique()))
    return _signs(table, "count", lambda count: count > 1) or None


def _satisfied(data: IndicatorData, then: Known) -> Signs | None:
    """The newest answer of the last year: at least 3/4 of its scale, or at most 1/2."""
    if "feedback" not in then.tables:
        return None
    score = score_scaled(data.definitions.scales)
    rows = _recent(then.tables["feedback"], then).with_columns(share=score)
    rows = rows.filter(~nw.col("share").is_null())
    newest = rows.filter(nw.col("answered_at") == nw.col("answered_at").max().over("customer_id"))
    table = _frame(newest.group_by("customer_id").agg(share=nw.col("share").min()))
    good, poor = SATISFIED, SCORE_SCALE // 2
    return {
        who: share >= good
        for who, share in zip(
            table["customer_id"].to_pylist(), table["share"].to_pylist(), strict=True
        )
        if share >= good or share <= poor
    } or None


def _complained(data: IndicatorData, then: Known) -> Signs | None:
    if "feedback" not in then.tables:
        return None
    rows = _recent(then.tables["feedback"], then).filter(nw.col("kind") == "complaint")
    complained = set(_frame(rows.select("customer_id"))["customer_id"].to_pylist())
    everybody = _frame(then.activity.select("customer_id").unique())["customer_id"].to_pylist()
    return {who: who in complained for who in everybody} if complained else None


def _recovered(data: IndicatorData, then: Known) -> Signs | None:
    """Of those who complained: whose complaints were all resolved in time."""
    if "feedback" not in then.tables:
        return None
    rows = _recent(then.tables["feedback"], then).filter(nw.col("kind") == "complaint")
    limit = round(data.settings.satisfaction.resolve_within_hours * HOUR_US)
    waited = nw.col("resolved_at") - nw.col("occurred_at")
    late = (waited.is_null() | (waited > limit)).cast(nw.Int64)
    table = _frame(rows.group_by("customer_id").agg(late=late.sum()))
    return _signs(table, "late", lambda count: count == 0) or None


def _discounted(data: IndicatorData, then: Known) -> Signs | None:
    """Whose first purchase was with a discount."""
    if "transactions" not in then.tables:
        return None
    rows = then.tables["transactions"].filter(nw.col("kind") == "purchase")
    if not _frame(rows.filter(nw.col("discount") > 0).select("customer_id").head(1)).num_rows:
        return None
    first = rows.filter(nw.col("occurred_at") == nw.col("occurred_at").min().over("customer_id"))
    table = _frame(first.group_by("customer_id").agg(discount=nw.col("discount").max()))
    return _signs(table, "discount", lambda amount: (amount or 0) > 0)


def _referred(data: IndicatorData, then: Known) -> Signs | None:
    referrals = then.further.get("referrals")
    if referrals is None:
        return None
    referred = set(_frame(referrals.select("referred_id"))["referred_id"].to_pylist())
    everybody = _frame(then.activity.select("customer_id").unique())["customer_id"].to_pylist()
    return {who: who in referred for who in everybody}


def _signs(table: pa.Table, column: str, has: Callable[[Any], bool]) -> Signs:
    pairs = zip(table["customer_id"].to_pylist(), table[column].to_pylist(), strict=True)
    return {who: has(value) for who, value in pairs}


def _recent(rows: nw.LazyFrame, then: Known) -> nw.LazyFrame:
    return rows.filter(nw.col("occurred_at") >= then.instant - YEAR_DAYS * DAY_US)


CLAIMS = (
    Claim("who buys often stays", True, _often, "activity"),
    Claim("who has been a customer for long stays", True, _long_known, "activity"),
    Claim("who uses more than one channel stays", True, _channels, "the channel of activity"),
    Claim("who is satisfied stays", True, _satisfied, "answers of surveys"),
    Claim("who complains leaves", False, _complained, "complaints"),
    Claim("whose complaint is resolved in time stays", True, _recovered, "complaints"),
    Claim("who came for a discount leaves", False, _discounted, "discounts of purchases"),
    Claim("who was referred stays", True, _referred, "[tables] referrals"),
)


def _top_fifth(data: IndicatorData) -> pa.Table:
    """80 % of the money from 20 % of the customers: of the last year, as in `pyramid`."""
    claim = "80 % of the money comes from 20 % of the customers"
    rows = pyramid_table(data)["pyramid"]
    mask = pc.and_(pc.equal(rows["measure"], TOP_SHARE), pc.equal(rows["year"], LAST_YEAR))
    rows = rows.filter(mask)
    if not rows.num_rows or rows["n"][0].as_py() < FEWEST:
        missing = f"{FEWEST} customers with a purchase in the last year"
        return TEXTBOOK.say_missing(missing, as_of=data.as_of, claim=claim)
    [row] = rows.to_pylist()
    low, high = row["low"], row["high"]
    result = HOLDS if low >= TOP_CLAIM else NOT if high < TOP_CLAIM else OPEN
    cells = {
        "claim": claim,
        "verdict": result,
        "share_with": row["value"],
        "n": row["n"],
        "low": low,
        "high": high,
        "population": row["population"],
        "definition": "share_with: of the money of the last year, that of the fifth with the most "
        "of it, as in `pyramid`; holds: its 95 % interval lies at 80 % or above; does not hold: it "
        "lies below",
    }
    return TEXTBOOK.fill_rows([cells], as_of=data.as_of)


def _retention_pays(data: IndicatorData, stayed: np.ndarray) -> Iterator[pa.Table]:
    """5 points more retention: what 1 / (1 + d − r) becomes, with the retention of the data."""
    claim = "5 points more retention are worth 25 % more or better (books say 25 to 95 %)"
    if len(stayed) < FEWEST:
        missing = f"{FEWEST} customers eligible one outcome window before as_of"
        yield TEXTBOOK.say_missing(missing, as_of=data.as_of, claim=claim)
        return
    days = data.settings.churn.horizon_days
    [low], [high] = wilson(np.array([stayed.sum()]), np.array([len(stayed)]))
    if high + RETENTION_GAIN >= 1:
        missing = f"a retention surely below {1 - RETENTION_GAIN:.0%}: 5 points more are too many"
        yield TEXTBOOK.say_missing(missing, as_of=data.as_of, claim=claim)
        return
    retentions = (float(stayed.mean()), float(low), float(high))
    gains = [retention_gain(each, data.settings) for each in retentions]
    cells = {
        "claim": claim,
        "verdict": HOLDS if gains[1] >= PROFIT_CLAIM else NOT if gains[2] < PROFIT_CLAIM else OPEN,
        "difference": gains[0],
        "share_with": float(stayed.mean()),
        "n": len(stayed),
        "low": gains[1],
        "high": gains[2],
        "definition": f"difference: by how much the value of a customer, 1 / (1 + d − r), grows if "
        f"r, the share that stays over {days} days, is 5 points higher (share_with: r; holds: the "
        "interval lies at 25 % or above, does not hold: below; "
        "d: the discount of these days); low and high: at the ends of the interval of r",
    }
    yield TEXTBOOK.fill_rows([cells], as_of=data.as_of)


def retention_gain(retention: float, settings: Settings) -> float:
    """By what share 1 / (1 + d − r) grows if r is RETENTION_GAIN higher, which is at most 1."""
    discount = period_discount(settings)
    now = periods_worth(retention, discount)
    then = periods_worth(retention + RETENTION_GAIN, discount)
    return float("inf") if now is None or then is None else then / now - 1
