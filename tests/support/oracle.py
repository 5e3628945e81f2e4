"""The oracle: what is known, stages and outcomes once more, slowly and obviously; features in
oracle_features.

Written from docs/architecture.md and the words of the feature functions, in plain Python over lists
of dicts: whole numbers and fractions wherever the definition is exact, floats only for roots,
logarithms and powers. A table is a list of rows, a row a dict in the contract's columns, an instant
µs UTC. `settings` and `definitions` are only read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

MINUTE, DAY = 60_000_000, 86_400_000_000
FOREVER = 10**18
OPEN = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * 10**6
Row = dict[str, Any]
Tables = dict[str, list[Row]]


def local_day(instant: int, zone: str) -> int:
    """The calendar day in `zone`, in days since 1970-01-01."""
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).astimezone(
        ZoneInfo(zone)
    )
    return (local.date() - date(1970, 1, 1)).days


def known(tables: Tables, as_of: int) -> Tables:
    """Rows with both clocks before as_of, the latest version of each, without the cells that became
    known later.
    """
    out = {}
    for name in tables.keys() - {"customers"}:
        rows = latest(name, [row for row in tables[name] if row["recorded_at"] < as_of])
        out[name] = [hidden(row, as_of) for row in rows if row.get("occurred_at", 0) < as_of]
    return out


def latest(name: str, rows: list[Row]) -> list[Row]:
    """Of rows that are versions of one thing, the one recorded last; what is voided is gone.

    A refund under its order's id is no version of the order, and a void withdraws both.
    """
    things: dict[Any, Row] = {}
    if name == "transactions":
        rows = [row for row in rows if not any(withdraws(other, row) for other in rows)]
    for number, row in enumerate(rows):
        thing: Any = number
        if name == "contracts":
            thing = (row["customer_id"], row["starts_at"], row["plan"])
        elif name == "transactions" and row["transaction_id"] is not None:
            refunded = row["occurred_at"] if is_refund(row) else None
            thing = (row["customer_id"], row["transaction_id"], refunded)
        if thing not in things or row["recorded_at"] > things[thing]["recorded_at"]:
            things[thing] = row
    return list(things.values())


def is_refund(row: Row) -> bool:
    return row["kind"] == "refund" or row["amount"] < 0


def withdraws(void: Row, row: Row) -> bool:
    """Whether a void takes a row with it, itself included; of a negative amount only refunds."""
    if void["kind"] != "void" or row["transaction_id"] is None:
        return void is row and row["kind"] == "void"
    same = all(void[key] == row[key] for key in ("customer_id", "transaction_id"))
    reached = void["amount"] >= 0 or is_refund(row)
    return same and reached and row["recorded_at"] <= void["recorded_at"]


def hidden(row: Row, as_of: int) -> Row:
    row = dict(row)
    for instant, came_with in (
        ("answered_at", ["score"]),
        ("resolved_at", []),
        ("cancelled_at", []),
    ):
        if row.get(instant) is not None and row[instant] >= as_of:
            row.update(dict.fromkeys([instant, *came_with]))
    return row


def of(customer: str, tables: Tables, name: str) -> list[Row]:
    return [row for row in tables.get(name, []) if row["customer_id"] == customer]


def of_kind(rows: list[Row], *kinds: str) -> list[Row]:
    return [row for row in rows if row["kind"] in kinds]


def activity(rows: list[Row], settings: Any) -> dict[str, dict[int, int]]:
    """customer -> local day -> the day's first event, of the kinds that are activity."""
    days: dict[str, dict[int, int]] = defaultdict(dict)
    for row in rows:
        if row["kind"] in settings.activity.kinds:
            mine, day = days[row["customer_id"]], local_day(row["occurred_at"], settings.zone)
            mine[day] = min(row["occurred_at"], mine.get(day, FOREVER))
    return dict(days)


def gaps_of(days: list[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(days)]


def usual_gap(days: list[int], base_gap: int) -> Fraction:
    return Fraction(2 * base_gap + sum(gaps_of(days)), 2 + len(gaps_of(days)))


def next_day(at: int, zone: str) -> int:
    """The same time by the clock of `zone`, one day later."""
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    wall = (local.astimezone(ZoneInfo(zone)) + timedelta(days=1)).replace(fold=1)
    later = wall.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return later // timedelta(microseconds=1)


def is_trial(term: Row, settings: Any) -> bool:
    trials = settings.contract.trial_plans
    if trials is None:
        return "trial" in re.split("[^a-z]", (term["plan"] or "").lower())
    return term["plan"] in trials


def terms_of(rows: list[Row], settings: Any) -> list[Row]:
    """A customer's known terms in time order. Trials are none. `ends_at` is the end as known then,
    `by` the instant by which the next must begin to follow without a break, `runs_until` how long
    the term runs by itself, `follows` whether it began without a break.
    """
    grace, terms = settings.churn.grace_days * DAY, []
    for row in rows:
        if is_trial(row, settings):
            continue
        ends, cancelled = row["ends_at"], row["cancelled_at"]
        cut_short = ends >= OPEN or settings.contract.cancelled_terms == "end"
        if cancelled is not None and (cut_short or cancelled < row["starts_at"]):
            ends = max(row["starts_at"], min(ends, cancelled))
        if ends > row["starts_at"]:
            terms.append(row | {"ends_at": ends})
    terms.sort(key=lambda row: (row["starts_at"], row["ends_at"], row["plan"] or "zzz"))
    for place, term in enumerate(terms):
        before = terms[:place]
        habit = any(term["starts_at"] <= other["ends_at"] + grace for other in before)
        renews = (
            (term["auto_renew"] or habit)
            and term["cancelled_at"] is None
            and term["ends_at"] < OPEN
        )
        by = term["ends_at"] + grace
        term["by"] = max(by, next_day(term["ends_at"], settings.zone)) if renews else by
        term["runs_until"] = term["by"] if renews else term["ends_at"]
        term["follows"] = any(term["starts_at"] <= other["by"] for other in before)
    return terms


@dataclass(frozen=True)
class Cover:
    """Cover at an instant: until when, since when without a break, whether it is given up."""

    until: int
    since: int
    cancelled: bool


def cancelled(who: str, now: Tables, begin: int, end: int, settings: Any) -> bool:
    """Whether the last term that ran between `begin` and `end` was cancelled before `end`."""
    rows = said_before(of(who, now, "contracts"), end)
    terms = [
        term
        for term in terms_of(rows, settings)
        if term["starts_at"] < end and term["ends_at"] > begin
    ]
    last = max((term["ends_at"] for term in terms), default=None)
    return any(term["ends_at"] == last and term["cancelled_at"] is not None for term in terms)


def said_before(contracts: list[Row], end: int) -> list[Row]:
    """Contracts without what was cancelled after the window: it has nothing to do with it."""
    return [
        row | {"cancelled_at": None} if (row["cancelled_at"] or 0) >= end else row
        for row in contracts
    ]


def cover_at(terms: list[Row], as_of: int) -> Cover | None:
    """None where no term has begun."""
    begun = [term for term in terms if term["starts_at"] <= as_of]
    if not begun:
        return None
    until = max(term["runs_until"] for term in begun)
    since = max(term["starts_at"] for term in begun if not term["follows"])
    ahead = [term for term in terms if term["runs_until"] > as_of]
    given_up = until > as_of and all(term["cancelled_at"] is not None for term in ahead)
    return Cover(until, since, given_up)


@dataclass(frozen=True)
class Standing:
    """Where a customer stands by activity instants in time order, the clock at `at`, cover paid
    until `until` and, without activity, unbroken since `since`.
    """

    days: list[int]
    at: int
    definitions: Any
    until: int | None = None
    since: int | None = None

    @property
    def streak(self) -> int:
        """Activities since the last own gap ≥ m₂·g, the one that closed it included."""
        if not self.days:
            return 0
        streak, long = (
            1,
            Fraction(self.definitions.multiples[1])
            * usual_gap(self.days, self.definitions.population_mean_gap_us),
        )
        for gap in reversed(gaps_of(self.days)):
            if gap >= long:
                break
            streak += 1
        return streak

    @property
    def stage(self) -> tuple[str, str]:
        """Stage and rule: the first that fits."""
        last = self.days[-1] if self.days else self.since
        overdue = (self.at - last) / usual_gap(self.days, self.definitions.population_mean_gap_us)
        n, streak = len(self.days), self.streak
        m1, m2, m3 = (Fraction(multiple) for multiple in self.definitions.multiples)
        rules = (
            ("churned", "no_cover", self.until is not None and self.until <= self.at),
            ("churned" if self.until is None else "dormant", "overdue_churned", overdue >= m3),
            ("dormant", "overdue_dormant", overdue >= m2),
            ("at_risk", "overdue_at_risk", overdue >= m1),
            ("new", "cover_alone", n == 0),
            ("new", "one_activity", n == 1),
            ("loyal", "regular", streak >= 4 or (n >= 4 and streak >= 2)),
            ("growing", "otherwise", True),
        )
        return next((stage, rule) for stage, rule, fits in rules if fits)


def everybody(now: Tables, as_of: int, settings: Any) -> dict[str, list[int]]:
    """customer -> activity instants in time order, of all with activity or cover begun."""
    active = activity(now[settings.activity.table], settings)
    people = {customer: sorted(days.values()) for customer, days in active.items()}
    if settings.contractual:
        for customer in {row["customer_id"] for row in now["contracts"]}:
            if cover_at(terms_of(of(customer, now, "contracts"), settings), as_of):
                people.setdefault(customer, [])
    return people


def states(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, Row]:
    """customer -> stage, rule, s₀, eligible, n, streak …, for all with activity or cover begun."""
    now, out = known(tables, as_of), {}
    for customer, days in everybody(now, as_of, settings).items():
        cover = None
        if settings.contractual:
            cover = cover_at(terms_of(of(customer, now, "contracts"), settings), as_of)
            idle, eligible = "churned", cover is not None and cover.until > as_of
        else:
            idle = Standing(days, as_of + settings.churn.horizon_days * DAY, definitions).stage[0]
            eligible = days[-1] >= as_of - settings.eligible_days * DAY
        until, since = (cover.until, cover.since) if cover else (None, None)
        here = Standing(days, as_of, definitions, until, since)
        out[customer] = {
            "stage": here.stage[0],
            "stage_rule": here.stage[1],
            "stage_if_inactive": idle,
            "eligible": eligible,
            "n": len(days),
            "streak": here.streak,
            "first_at": min(days, default=None),
            "last_at": max(days, default=None),
            "recency_from": days[-1] if days else since,
            "cover_until": 2**63 - 1 if until is not None and until >= OPEN else until,
            "has_cancelled": cover is not None and cover.cancelled,
        }
    return out


def outcomes(tables: Tables, as_of: int, settings: Any, definitions: Any) -> dict[str, Row]:
    """customer -> churned, outcome_stage, window_activities, for all with activity or cover begun
    by as_of.
    """
    end = as_of + settings.churn.horizon_days * DAY
    read = end + settings.churn.label_latency_days * DAY
    now, then = known(tables, as_of), known(tables, read)
    name, out = settings.activity.table, {}
    window = activity([row for row in then[name] if as_of <= row["occurred_at"] < end], settings)
    before = activity(now[name], settings)
    for customer, known_days in everybody(now, as_of, settings).items():
        new = {
            day: at
            for day, at in window.get(customer, {}).items()
            if day not in before.get(customer, {})
        }
        days = sorted([*known_days, *new.values()])
        churned, until, since = not new, None, None
        if settings.contractual:
            rows = said_before(of(customer, then, "contracts"), end)
            churned, until = not stays(terms_of(rows, settings), as_of, end, read), FOREVER
            cover = cover_at(terms_of(of(customer, now, "contracts"), settings), as_of)
            since = cover.since if cover else None
        stage = (
            "churned"
            if churned and settings.contractual
            else Standing(days, end, definitions, until, since).stage[0]
        )
        out[customer] = {"churned": churned, "outcome_stage": stage, "window_activities": len(new)}
    return out


def stays(terms: list[Row], as_of: int, end: int, read: int) -> bool:
    """Walk the terms in time order. The chain is the cover that runs at as_of, or without any the
    first term begun in the window, with all that follows without a break. Who stays is carried past
    the window's end by a term of the chain that is not cancelled in the window: one that ends
    later (cover that ends then has ended), or one that renews and whose time to renew is not over
    when the outcome is read.
    """
    chain: list[Row] = []
    for place, term in enumerate(terms):
        reach = max((other["runs_until"] for other in terms[:place]), default=as_of)
        if not term["follows"] and (reach > as_of or term["starts_at"] >= end):
            break
        chain.append(term)
    return any(
        (term["ends_at"] > end or (term["runs_until"] > term["ends_at"] and term["by"] > read))
        and not as_of <= (term["cancelled_at"] or 0) < end
        for term in chain
    )
