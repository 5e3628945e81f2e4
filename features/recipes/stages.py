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
Multiples = tuple[float, float, float]
Values = TypeVar("Values", nw.Expr, np.ndarray)


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
    people = summarise_activity(activity, at=at, definitions=definitions)
    return state_of_people(people, at=at, definitions=definitions, cover=cover)


def state_of_people(
    people: nw.LazyFrame,
    *,
    at: int | nw.Expr,
    definitions: StageDefinitions,
    cover: nw.LazyFrame | None = None,
) -> nw.LazyFrame:
    """The columns of `state` from those of `summarise_activity`."""
    people = with_cover_alone(people, cover, definitions=definitions)
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
