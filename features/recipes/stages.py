"""Stages: every customer is in exactly one of seven, decided by the events known at the instant.

g is the customer's usual gap: (2·population mean gap + Σ own gaps) / (2 + number of own gaps).
overdue = recency / g. m1 < m2 < m3 are multiples of g. The first rule that matches decides; the
column `stage_rule` has its name:

    stage_rule        stage      when
    no_cover          churned    the paid cover has ended
    no_activity       prospect   there was no activity and no cover yet
    overdue_churned   churned    overdue ≥ m3 (dormant while cover runs)
    overdue_dormant   dormant    overdue ≥ m2
    overdue_at_risk   at_risk    overdue ≥ m1
    cover_alone       new        n = 0: covered, without activity yet
    one_activity      new        n = 1
    regular           loyal      streak ≥ 4, or n ≥ 4 and streak ≥ 2
    otherwise         growing    no other rule matches

n counts activities. The streak counts the activities since the last gap of m2·g or longer, the one
that ended it included. Recency counts from the last activity. Before the first it counts from the
start of unbroken cover; n and streak are 0 then, and g is the population mean gap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

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
    "recency_from",
    "cover_until",
    "has_cancelled",
    "overdue_state",
    "streak",
)
# The rules in the order in which they are tried, as `stage_rule` names them. The second never
# applies to a customer with activity or cover.
STAGE_RULES = (
    "no_cover",
    "no_activity",
    "overdue_churned",
    "overdue_dormant",
    "overdue_at_risk",
    "cover_alone",
    "one_activity",
    "regular",
    "otherwise",
)
ENDLESS = (1 << 63) - 1  # µs; an end of cover that no instant reaches
FEW_GAPS = 500
DEFAULT_MULTIPLES = (2.0, 4.0, 8.0)
# Of the spells that reach m3; a larger share means that customers are called churned too early.
MAX_REACTIVATED = 0.10
M3_STEP = 0.25
Multiples = tuple[float, float, float]
Values = TypeVar("Values", nw.Expr, np.ndarray)


@dataclass(frozen=True)
class Reactivation:
    """Learned multiples, and what they mean for reactivation.

    reached: spells that lasted m3·g or longer. reactivated_share: the share of them that activity
    ended; None without.
    """

    multiples: Multiples
    reached: int
    reactivated_share: float | None


class StageDefinitions(Protocol):
    """What the stage rules need of a release's definitions."""

    @property
    def population_mean_gap_us(self) -> int: ...

    @property
    def multiples(self) -> Multiples: ...


def usual_gap(*, first: Values, last: Values, count: Values, population_mean_gap_us: int) -> Values:
    """The usual gap g in µs, of expressions and of arrays (customers,) alike.

    g = (2·population mean gap + Σ own gaps) / (2 + number of own gaps); the own gaps add up to
    `last` − `first`. The two population gaps are a prior: a customer without a gap of their own has
    the population's.
    """
    return (2 * population_mean_gap_us + (last - first)) / (count + 1)


def state(
    activity: nw.LazyFrame,
    *,
    at: int | nw.Expr,
    definitions: StageDefinitions,
    cover: nw.LazyFrame | None = None,
) -> nw.LazyFrame:
    """The stage of everybody with activity or cover when the clock is at `at`.

    activity: Known.activity, or Known's plus the outcome window's. at: µs. cover: for contractual
    businesses, the columns of `features.recipes.cover.current_cover`; cover that ended by `at`
    matches the rule no_cover. Returns one row per customer: n, first_at, last_at (µs, null without
    activity), recency_from (µs), usual_gap (µs), streak, cover_until, has_cancelled, overdue,
    stage, stage_rule.
    """
    people = with_cover_alone(
        summarise_activity(activity, at=at, definitions=definitions), cover, definitions=definitions
    )
    stage, rule = stage_at(at, multiples=definitions.multiples, until=nw.col("cover_until"))
    return people.with_columns(overdue=overdue_at(at), stage=stage, stage_rule=rule)


def with_cover_alone(
    people: nw.LazyFrame, cover: nw.LazyFrame | None, *, definitions: StageDefinitions
) -> nw.LazyFrame:
    """`people` of `summarise_activity`, and everybody in `cover` without activity.

    Adds recency_from, cover_until and has_cancelled. No column says that an activity happened:
    first_at and last_at are null without one.
    """
    if cover is None:
        return people.with_columns(
            recency_from=nw.col("last_at"),
            cover_until=nw.lit(None, dtype=nw.Int64),
            has_cancelled=nw.lit(False),
        )
    # as_of, where it is a column, is that of either side.
    shared = [name for name in ("as_of",) if name in people.collect_schema().names()]
    keys = ["customer_id", *shared]
    both = nw.concat([people.select(*keys), cover.select(*keys)]).unique()
    people = both.join(people.drop(*shared), on="customer_id", how="left")
    people = people.join(cover.drop(*shared), on="customer_id", how="left")
    mean_gap = float(definitions.population_mean_gap_us)
    return people.with_columns(
        n=nw.col("n").fill_null(0),
        streak=nw.col("streak").fill_null(0),
        usual_gap=nw.col("usual_gap").fill_null(mean_gap),
        recency_from=nw.coalesce(nw.col("last_at"), nw.col("cover_from")),
        has_cancelled=nw.col("has_cancelled").fill_null(value=False),
    ).drop("cover_from")


def summarise_activity(
    activity: nw.LazyFrame, *, at: int | nw.Expr, definitions: StageDefinitions
) -> nw.LazyFrame:
    """What the stage rules read of each customer: n, first_at, last_at, usual_gap, streak."""
    # In a prepared statement `at` is the column as_of, which must survive the grouping.
    as_of = {"as_of": nw.col("as_of").max()} if isinstance(at, nw.Expr) else {}
    people = activity.group_by("customer_id").agg(
        n=nw.col("occurred_at").count(),
        first_at=nw.col("occurred_at").min(),
        last_at=nw.col("occurred_at").max(),
        **as_of,
    )
    people = people.with_columns(
        usual_gap=usual_gap(
            first=nw.col("first_at"),
            last=nw.col("last_at"),
            count=nw.col("n"),
            population_mean_gap_us=definitions.population_mean_gap_us,
        )
    )
    people = people.join(
        _last_long_gap(activity, people, definitions.multiples[1]), on="customer_id", how="left"
    )
    return people.with_columns(
        streak=nw.col("n") - nw.coalesce(nw.col("broken_at"), nw.lit(1)) + 1
    ).drop("broken_at")


def _last_long_gap(activity: nw.LazyFrame, people: nw.LazyFrame, multiple: float) -> nw.LazyFrame:
    """The position of the activity that ended the last own gap ≥ m2·g: the streak begins there."""
    gaps = activity.select("customer_id", "gap", "position").filter(~nw.col("gap").is_null())
    gaps = gaps.join(people.select("customer_id", "usual_gap"), on="customer_id", how="inner")
    long = gaps.filter(nw.col("gap") >= nw.col("usual_gap") * multiple)
    return long.group_by("customer_id").agg(broken_at=nw.col("position").max())


def overdue_at(at: int | nw.Expr) -> nw.Expr:
    """Recency in usual gaps when the clock is at `at` (µs); reads recency_from and usual_gap."""
    return (at - nw.col("recency_from")) / nw.col("usual_gap")


def stage_at(at: int | nw.Expr, *, multiples: Multiples, until: nw.Expr) -> tuple[nw.Expr, nw.Expr]:
    """Expressions for stage and stage_rule with the clock at `at` (µs).

    They read the columns of `with_cover_alone`. until: cover_until, null without contracts.
    """
    m1, m2, m3 = multiples
    n, streak, overdue = nw.col("n"), nw.col("streak"), overdue_at(at)
    covered = ~until.is_null() & (until > at)
    rules = (
        ("no_cover", "churned", ~until.is_null() & (until <= at)),
        ("overdue_churned", "dormant", (overdue >= m3) & covered),
        ("overdue_churned", "churned", overdue >= m3),
        ("overdue_dormant", "dormant", overdue >= m2),
        ("overdue_at_risk", "at_risk", overdue >= m1),
        ("cover_alone", "new", n == 0),
        ("one_activity", "new", n == 1),
        ("regular", "loyal", (streak >= 4) | ((n >= 4) & (streak >= 2))),
    )
    stage, rule = nw.lit("growing"), nw.lit("otherwise")
    # From the last rule to the first, so that the first rule that matches wins.
    for rule_name, stage_name, test in reversed(rules):
        stage = nw.when(test).then(nw.lit(stage_name)).otherwise(stage)
        rule = nw.when(test).then(nw.lit(rule_name)).otherwise(rule)
    return stage, rule


def learn_multiples(
    at: np.ndarray,
    gap: np.ndarray,
    position: np.ndarray,
    last: np.ndarray,
    population_mean_gap_us: int,
    *,
    as_of: int,
    configured: list[float] | None,
) -> Reactivation:
    """Multiples from the 80, 95 and 99 % quantiles of gap / g.

    m3 is raised until at most 10 % of those that reach it are reactivated, but not above 4·m2.
    at, gap, position, last: (activities,), one customer's after the other's, in time order; gap in
    µs, NaN for the first. A spell is a completed gap or the open wait at as_of. It reached m3 when
    it was at least m3·g long, with g as known before it. configured: [stages] multiples, used as
    they are. With fewer than 500 completed gaps: 2, 4, 8.
    """
    first = _first_of_each(at, position)
    closed = _closed_gaps(at, gap, position, first, population_mean_gap_us)
    usual = usual_gap(
        first=first, last=at, count=position, population_mean_gap_us=population_mean_gap_us
    )
    waiting = ((as_of - at) / usual)[last]
    if configured is not None:
        return _reactivation((configured[0], configured[1], configured[2]), closed, waiting)
    if closed.size < FEW_GAPS:
        return _reactivation(DEFAULT_MULTIPLES, closed, waiting)
    return _multiples_from_quantiles(closed, waiting)


def _closed_gaps(
    at: np.ndarray,
    gap: np.ndarray,
    position: np.ndarray,
    first: np.ndarray,
    population_mean_gap_us: int,
) -> np.ndarray:
    """Every completed gap in usual gaps, as known before it: it must not raise its own unit."""
    closing = position > 1
    before = at - np.where(closing, gap, 0)
    usual = usual_gap(
        first=first,
        last=before,
        count=position - 1,
        population_mean_gap_us=population_mean_gap_us,
    )
    return gap[closing] / usual[closing]


def _multiples_from_quantiles(closed: np.ndarray, waiting: np.ndarray) -> Reactivation:
    points = np.quantile(closed, (0.80, 0.95, 0.99))
    # The factors keep the stages apart where the quantiles lie close together.
    m1 = max(1.25, float(points[0]))
    m2 = max(1.5 * m1, float(points[1]))
    m3 = max(1.5 * m2, float(points[2]))
    learned = _reactivation((m1, m2, m3), closed, waiting)
    while (learned.reactivated_share or 0) > MAX_REACTIVATED and m3 + M3_STEP <= 4 * m2:
        m3 += M3_STEP
        learned = _reactivation((m1, m2, m3), closed, waiting)
    return learned


def _first_of_each(at: np.ndarray, position: np.ndarray) -> np.ndarray:
    """The instant of the customer's first activity, for every activity."""
    starts = np.flatnonzero(position == 1)
    return np.repeat(at[starts], np.diff(np.append(starts, at.size))) if at.size else at


def _reactivation(multiples: Multiples, closed: np.ndarray, waiting: np.ndarray) -> Reactivation:
    m1, m2, m3 = (round(multiple, 6) for multiple in multiples)
    # Counted with the multiple before rounding, by which it was chosen.
    ended, still_open = int(np.sum(closed >= multiples[2])), int(np.sum(waiting >= multiples[2]))
    reached = ended + still_open
    return Reactivation((m1, m2, m3), reached, ended / reached if reached else None)
