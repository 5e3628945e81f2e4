"""Where a customer stands: seven stages, total and exclusive, a function of the events known at the instant.

g = (2·base gap + Σ own gaps) / (2 + number of own gaps); overdue = recency / g; m1 < m2 < m3 multiples of g.
First match wins and is kept as `stage_rule`:

    1 churned    paid cover ended                4 dormant   overdue ≥ m2
    2 prospect   no activity yet                 5 at_risk   overdue ≥ m1
    3 churned    overdue ≥ m3                    6 new       one activity
      (while cover runs: dormant)                7 loyal     run ≥ 4, or n ≥ 4 and run ≥ 2
                                                 8 growing   the rest
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

STAGES = ("prospect", "new", "growing", "loyal", "at_risk", "dormant", "churned")
CHINESE = dict(zip(STAGES, ("潜在", "新客户", "成长", "忠诚", "预警", "休眠", "流失"), strict=True))
STATE_COLUMNS = (
    "customer_id",
    "as_of",
    "eligible",
    "stage",
    "stage_rule",
    "stage_if_inactive",
    "stage_idle",
    "n",
    "first_at",
    "last_at",
    "cover_until",
    "overdue_state",
    "run",
)
ENDLESS = (1 << 63) - 1
FEW_GAPS = 500
DEFAULT_MULTIPLES = (2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Comeback:
    """Learned multiples; of the spells that `reached` m3·g, the `share` that was followed by activity."""

    multiples: tuple[float, float, float]
    reached: int
    share: float | None


def usual_gap(*, first: Any, last: Any, count: Any, base_gap_us: int) -> Any:
    """g in µs, for expressions and arrays alike: (2·base gap + Σ own gaps) / (2 + number of own gaps)."""
    return (2 * base_gap_us + (last - first)) / (count + 1)


def state(
    activity: nw.LazyFrame,
    *,
    at: int | nw.Expr,
    definitions: Any,
    cover: nw.LazyFrame | None = None,
) -> nw.LazyFrame:
    """One row per customer with activity: n, first_at, last_at (µs), usual_gap (g, µs), overdue, run, stage, stage_rule.

    `activity` is Known.activity (or Known's plus the outcome window's), `at` the clock. `cover` (customer_id,
    cover_until in µs) is given for contractual businesses: cover that ended by `at` makes rule 1.
    """
    people = people_of(activity, at=at, definitions=definitions)
    if cover is None:
        people = people.with_columns(cover_until=nw.lit(None, dtype=nw.Int64))
    else:
        people = people.join(cover, on="customer_id", how="left")
    stage, rule = stage_at(at, multiples=definitions.multiples, until=nw.col("cover_until"))
    return people.with_columns(overdue=overdue_at(at), stage=stage, stage_rule=rule)


def people_of(activity: nw.LazyFrame, *, at: int | nw.Expr, definitions: Any) -> nw.LazyFrame:
    """What stages are told from, whatever the clock: n, first_at, last_at, usual_gap and run of each customer."""
    carried = {"as_of": nw.col("as_of").max()} if isinstance(at, nw.Expr) else {}
    people = activity.group_by("customer_id").agg(
        n=nw.col("occurred_at").count(),
        first_at=nw.col("occurred_at").min(),
        last_at=nw.col("occurred_at").max(),
        **carried,
    )
    span = {"first": nw.col("first_at"), "last": nw.col("last_at"), "count": nw.col("n")}
    people = people.with_columns(usual_gap=usual_gap(**span, base_gap_us=definitions.base_gap_us))
    people = people.join(
        _last_long_gap(activity, people, definitions.multiples[1]), on="customer_id", how="left"
    )
    return people.with_columns(
        run=nw.col("n") - nw.coalesce(nw.col("broken_at"), nw.lit(1)) + 1
    ).drop("broken_at")


def _last_long_gap(activity: nw.LazyFrame, people: nw.LazyFrame, multiple: float) -> nw.LazyFrame:
    """The position of the activity that closed the last own gap ≥ m2·g: the run begins there."""
    gaps = activity.select("customer_id", "gap", "position").filter(~nw.col("gap").is_null())
    gaps = gaps.join(people.select("customer_id", "usual_gap"), on="customer_id", how="inner")
    long = gaps.filter(nw.col("gap") >= nw.col("usual_gap") * multiple)
    return long.group_by("customer_id").agg(broken_at=nw.col("position").max())


def overdue_at(at: int | nw.Expr) -> nw.Expr:
    """How long the customer has been quiet when the clock is at `at`, in usual gaps; of the columns of `people_of`."""
    return (at - nw.col("last_at")) / nw.col("usual_gap")


def stage_at(
    at: int | nw.Expr, *, multiples: tuple[float, float, float], until: nw.Expr
) -> tuple[nw.Expr, nw.Expr]:
    """Stage and rule of `people_of` with the clock at `at`; `until`: cover_until, null without contracts."""
    m1, m2, m3 = multiples
    n, run, overdue = nw.col("n"), nw.col("run"), overdue_at(at)
    runs = ~until.is_null() & (until > at)
    rules = (
        (1, "churned", ~until.is_null() & (until <= at)),
        (3, "dormant", (overdue >= m3) & runs),
        (3, "churned", overdue >= m3),
        (4, "dormant", overdue >= m2),
        (5, "at_risk", overdue >= m1),
        (6, "new", n == 1),
        (7, "loyal", (run >= 4) | ((n >= 4) & (run >= 2))),
    )
    stage, rule = nw.lit("growing"), nw.lit(8)
    for number, name, test in reversed(rules):
        stage = nw.when(test).then(nw.lit(name)).otherwise(stage)
        rule = nw.when(test).then(nw.lit(number)).otherwise(rule)
    return stage, rule.cast(nw.Int64)


def endless_cover(known: Any) -> nw.LazyFrame:
    """Cover that runs on for everybody with activity, whatever their terms say: customer_id, cover_until."""
    return known.activity.select("customer_id").unique().with_columns(cover_until=nw.lit(ENDLESS))


def learn_multiples(
    at: np.ndarray,
    gap: np.ndarray,
    position: np.ndarray,
    last: np.ndarray,
    base_gap: int,
    *,
    as_of: int,
    stated: list[float] | None,
) -> Comeback:
    """Multiples from the 80, 95, 99 % points of gap / g-before-the-gap, m3 raised until at most 10 % come back.

    Rows are one customer's activities after the other in time order; gap in µs, NaN for the first. A spell is a
    completed gap or the open wait at as_of; it reached m3 when it was at least m3·g long, g as known before it.
    """
    closing = position > 1
    before = at - np.where(closing, gap, 0)
    first = _first_of_each(at, position)
    usual = usual_gap(
        first=first, last=before, count=position - 1, base_gap_us=base_gap
    )  # as known before the gap
    closed = gap[closing] / usual[closing]
    open_usual = usual_gap(first=first, last=at, count=position, base_gap_us=base_gap)
    waiting = ((as_of - at) / open_usual)[last]
    if stated is not None:
        return _comeback(tuple(stated), closed, waiting)
    if closed.size < FEW_GAPS:
        return _comeback(DEFAULT_MULTIPLES, closed, waiting)
    points = np.quantile(closed, (0.80, 0.95, 0.99))
    m1 = max(1.25, float(points[0]))
    m2 = max(1.5 * m1, float(points[1]))
    m3 = max(1.5 * m2, float(points[2]))
    while (
        found := _comeback((m1, m2, m3), closed, waiting)
    ).share is not None and found.share > 0.10:
        if m3 + 0.25 > 4 * m2:
            break
        m3 += 0.25
    return found


def _first_of_each(at: np.ndarray, position: np.ndarray) -> np.ndarray:
    starts = np.flatnonzero(position == 1)
    return np.repeat(at[starts], np.diff(np.append(starts, at.size))) if at.size else at


def _comeback(multiples: tuple[float, ...], closed: np.ndarray, waiting: np.ndarray) -> Comeback:
    back, out = int(np.sum(closed >= multiples[2])), int(np.sum(waiting >= multiples[2]))
    return Comeback(
        tuple(round(m, 6) for m in multiples),
        back + out,
        back / (back + out) if back + out else None,
    )
